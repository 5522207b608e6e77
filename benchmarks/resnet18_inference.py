"""ResNet-18 inference: the same weights, the same pictures, the same answer as the peers.

float32 by PyTorch (eager, channels_last, TorchScript frozen, compiled), ONNX Runtime and OpenVINO;
bfloat16 by PyTorch and OpenVINO; int8 by OpenVINO with NNCF, calibrated on photos.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from typing import Any

import machine
import peer

# How far answers may be from ours in float32, as a share of the largest.
TOLERANCES = {"float32": 1e-4, "bfloat16": 0.1}
GOALS = {"float32": 1.5, "bfloat16": 1.1, "int8": 1.0}
PRECISIONS = tuple(GOALS)


def main() -> None:
    parser = peer.options(__doc__, rounds=11)
    parser.add_argument("--batch", type=int, nargs="+", default=[16, 1])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--precision", nargs="+", choices=PRECISIONS, default=PRECISIONS)
    options = parser.parse_args()
    options.threads = machine.use_threads(options.threads)

    import hymenoptera
    import resnet18_ours
    from results import Results

    results = Results("resnet18_inference.py", options.json, options.threads)
    file = hymenoptera.weights()
    ours = resnet18_ours.model(file)
    results.remark(f"weights: {'random' if file is None else file.name}")
    for batch in options.batch:
        measure(results, ours, batch, options)


def measure(results: Any, ours: Any, batch: int, options: argparse.Namespace) -> None:
    """Measure all precisions in turn at one batch size."""
    import forwards
    import resnet18_ours
    from results import Goal, in_ms

    pictures, calibration, photos = inputs(batch, options)
    ready = contenders(results, ours, pictures, calibration, options)

    expected = ready["float32"]["neurenix eager"](pictures)
    for precision, found in ready.items():
        for name, forward in found.items():
            apart = forwards.difference(forward(pictures), expected)
            results.remark(f"batch {batch}, {name}: at most {apart:.1e} from neurenix eager")
            if not apart < TOLERANCES.get(precision, float("inf")):
                sys.exit("the answers differ: timing them would mean nothing")
    if photos is not None:
        compare_answers(results, ready, photos, batch)

    times = peer.measure(
        {name: f.on(pictures) for found in ready.values() for name, f in found.items()},
        rounds=options.rounds,
        calls=max(1, 4 // batch),
        rest_s=peer.REST_S,
    )
    for precision, found in ready.items():
        plan = "neurenix plan" if precision == "float32" else f"neurenix {precision}"
        goals = [Goal(plan, GOALS[precision])]
        if precision == "float32":
            goals.append(Goal("neurenix eager", 1.2, "PyTorch eager"))
        if found:
            results.compare(
                f"ResNet-18 inference, {precision}, batch {batch}, {options.size}²",
                "ms an image",
                in_ms({name: times[name] for name in found}, batch),
                goals=goals,
                gflop=resnet18_ours.FORWARD_GFLOP * (options.size / 224) ** 2
                if precision == "float32"
                else None,
            )


def inputs(batch: int, options: argparse.Namespace) -> tuple[Any, Any, Any]:
    """Return a batch, photos to calibrate with, and labelled photos to compare answers on.

    Noise stands for photos where there are none; answers are not compared on noise.
    """
    import hymenoptera
    import numpy as np

    if hymenoptera.weights() is None or options.size != 224:
        shape = (max(batch, 16), 3, options.size, options.size)
        noise = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
        return noise[:batch], noise, None
    wanted = "int8" in options.precision or "bfloat16" in options.precision
    photos = hymenoptera.photos("val", None if wanted else batch)
    train = hymenoptera.photos("train", 128)[0] if "int8" in options.precision else None
    return photos[0][:batch], train, photos if wanted else None


def contenders(
    results: Any, ours: Any, pictures: Any, calibration: Any, options: argparse.Namespace
) -> dict[str, dict[str, Any]]:
    """Return the forward passes there are, by precision and name."""
    import resnet18_ours

    exported: Any = None
    theirs: Any = None
    if not options.without_peers:
        try:
            import resnet18_torch
            from resnet18_exported import Exported
        except ModuleNotFoundError as error:
            sys.exit(f"{error.name} is needed by the peers; --without-peers goes without")
        theirs = resnet18_torch.model(resnet18_ours.state(ours), options.threads)
        exported = Exported(theirs, pictures, options.threads)

    found: dict[str, dict[str, Any]] = {}
    for precision in dict.fromkeys(("float32", *options.precision)):
        made = peer.Contenders()
        planned = partial(resnet18_ours.plan, ours, pictures, precision, calibration)
        if precision == "float32":
            made.add("neurenix eager", partial(resnet18_ours.eager, ours))
            made.add("neurenix plan", planned)
        else:
            made.add(f"neurenix {precision}", planned)
        if theirs is not None:
            if precision == "float32":
                for name, make in resnet18_torch.forwards(theirs, pictures).items():
                    made.add(name, make)
                made.add("ONNX Runtime", exported.onnx_runtime)
                made.add("OpenVINO", partial(exported.openvino, "f32"))
            elif precision == "bfloat16":
                made.add("PyTorch bfloat16", partial(resnet18_torch.bfloat16, theirs))
                made.add("OpenVINO bfloat16", partial(exported.openvino, "bf16"))
            else:
                made.add("OpenVINO int8", partial(exported.openvino_int8, calibration))
        for name, reason in made.left_out.items():
            results.remarks.append(f"{name} is left out: {reason}")
        found[precision] = made.ready
    return found


def compare_answers(
    results: Any, ready: dict[str, dict[str, Any]], photos: Any, batch: int
) -> None:
    """Say how often each precision names the class that float32 names, and the true one."""
    import forwards
    import hymenoptera
    import numpy as np

    pictures, labels, classes = photos
    truth = np.array([hymenoptera.IMAGENET_CLASSES[name] for name in classes])[labels]
    float32 = forwards.predicted(ready["float32"]["neurenix plan"], pictures, batch)
    results.remark(
        f"batch {batch}, float32: {np.mean(float32 == truth):.2%} of {len(truth)} photos get their "
        "class among ImageNet's thousand"
    )
    for precision in ("bfloat16", "int8"):
        for name, forward in ready.get(precision, {}).items():
            classes_found = forwards.predicted(forward, pictures, batch)
            results.remark(
                f"batch {batch}, {name}: {np.mean(classes_found == truth):.2%}; the same class as "
                f"float32 for {np.mean(classes_found == float32):.2%}"
            )


if __name__ == "__main__":
    peer.start_fairly()
    main()
