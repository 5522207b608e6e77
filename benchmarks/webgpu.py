"""A float32 matrix product and ResNet-18's forward pass on WebGPU, beside ONNX Runtime's provider.

That one gets batch norms folded into convolutions, and is left out where it does not open the
adapter. All end with the result on the host.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import machine
import peer

GOAL = 0.5  # on an adapter in software; on a GPU we want 1
SAME = 1e-4  # of the largest value: what float32 in another order may differ by


def main() -> None:
    parser = peer.options(__doc__, rounds=11)
    parser.add_argument("--size", type=int, default=1024, help="of the matrices")
    parser.add_argument("--pixels", type=int, default=224, help="of the picture, along each side")
    options = parser.parse_args()
    options.threads = machine.use_threads(options.threads)
    os.environ.setdefault("NEURENIX_WEBGPU_SOFTWARE", "1")

    import numpy as np
    import resnet18_ours
    from results import Goal, Results, in_ms

    import neurenix
    from neurenix.backends.registry import record_of, resolve

    device = resolve("webgpu")
    info = record_of(device).devices[0]
    results = Results("webgpu.py", options.json, options.threads)
    results.remark(f"adapter: {info.description}, {info.details['driver']}")

    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((options.size,) * 2, dtype=np.float32) for _ in range(2))
    image = rng.standard_normal((1, 3, options.pixels, options.pixels), dtype=np.float32)
    x, y, picture = (neurenix.from_numpy(values).to(device) for values in (a, b, image))
    network = resnet18_ours.model()
    with neurenix.no_grad():
        expected = network(neurenix.from_numpy(image)).numpy()
    convolutions, head = folded(resnet18_ours.state(network))
    network.to(device)
    plan = neurenix.compile(network, picture, fallback="error")

    def forward(run: Callable[[Any], Any]) -> Any:
        with neurenix.inference_mode():
            return run(picture).numpy()

    products = {"neurenix": lambda: (x @ y).numpy()}
    forwards = {"neurenix eager": lambda: forward(network), "neurenix plan": lambda: forward(plan)}
    if not options.without_peers:
        add_onnx_runtime(results, products, forwards, (a, b, image, convolutions, head))
    for name, run in products.items():
        check(results, f"{name}, product", run(), a @ b)
    for name, run in forwards.items():
        check(results, f"{name}, forward", run(), expected)

    times = peer.measure(products, rounds=options.rounds, warm_ups=1)
    results.compare(
        f"Matrix product on WebGPU, {options.size}³, float32",
        "ms", in_ms(times), goals=[Goal("neurenix", GOAL)], gflop=2 * options.size**3 / 1e9,
    )  # fmt: skip
    times = peer.measure(forwards, rounds=options.rounds, warm_ups=1)
    results.compare(
        f"ResNet-18 inference on WebGPU, float32, batch 1, {options.pixels}²",
        "ms", in_ms(times), goals=[Goal("neurenix plan", GOAL), Goal("neurenix eager", GOAL)],
        gflop=resnet18_ours.FORWARD_GFLOP * (options.pixels / 224) ** 2,
    )  # fmt: skip


def check(results: Any, name: str, answer: Any, expected: Any) -> None:
    """Say how far an answer is from what is expected, and end where that is too far."""
    import forwards

    apart = forwards.difference(answer, expected)
    results.remark(f"{name}: at most {apart:.1e} from the answer of device cpu, of its range")
    if not apart < SAME:
        sys.exit("the answers differ: timing them would mean nothing")


def folded(state: dict[str, Any]) -> tuple[dict[str, list[Any]], list[Any]]:
    """Return ResNet-18's convolutions, batch norms folded into them, in order; and its head."""
    import numpy as np

    def conv(name: str, norm: str) -> list[Any]:
        mean, variance, scale, shift = (
            state[f"{norm}.{part}"].astype(np.float64)
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        factor = scale / np.sqrt(variance + 1e-5)
        return [state[f"{name}.weight"] * factor[:, None, None, None], shift - mean * factor]

    found = {"conv1": conv("conv1", "bn1")}
    for layer in range(1, 5):
        for block in range(2):
            name = f"layer{layer}.{block}"
            for number in (1, 2):
                found[f"{name}.conv{number}"] = conv(f"{name}.conv{number}", f"{name}.bn{number}")
            detour = f"{name}.downsample"
            if f"{detour}.0.weight" in state:
                found[f"{detour}.0"] = conv(f"{detour}.0", f"{detour}.1")
    return found, [state["fc.weight"], state["fc.bias"]]


def add_onnx_runtime(results: Any, products: Any, forwards: Any, given: Any) -> None:
    """Add ONNX Runtime to the contenders, or say why not."""
    from functools import partial

    import webgpu_onnx

    left, right, image, convolutions, head = given
    made = peer.Contenders()
    name = "ONNX Runtime"
    made.add(name, partial(webgpu_onnx.product, left, right))
    if name in made.ready:
        products[name] = made.ready[name]
        made.add(name, partial(webgpu_onnx.resnet18, convolutions, head, image))
        forwards[name] = made.ready[name]
    for reason in made.left_out.values():
        results.remarks.append(f"{name} is left out: {reason}")


if __name__ == "__main__":
    peer.start_fairly()
    main()
