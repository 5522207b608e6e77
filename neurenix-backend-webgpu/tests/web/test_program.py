"""Every op of the page's plain JavaScript, beside core's NumPy kernels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neurenix
from neurenix import Tensor, nn, ops
from neurenix.io import save_safetensors
from neurenix.nn import functional as F
from neurenix.ops.op import OPS
from neurenix_backend_webgpu.web.program import (
    JAVASCRIPT_OPS,
    WebExportError,
    WebProgram,
    build_program,
    web_graph,
)

from .conftest import RunModule, from_text, to_text

RUN = """
const { Program } = await import("./program.js");
const { readSafetensors } = await import("./safetensors.js");
const file = await fetch("constants.safetensors", { cache: "no-store" });
const program = new Program(given.program, readSafetensors(await file.arrayBuffer()).array);
const input = new Float32Array(bytes(given.input).buffer);
const first = text(program.run(input));
program.run(input.map((value) => 1 - value)); // what is left of a run does not show in the next
return [first, text(program.run(input))];
"""
TABLE = """
const { KERNELS } = await import("./kernels/table.js");
return Object.keys(KERNELS);
"""


Run = Callable[[WebProgram, Tensor], list[Any]]


class Function(nn.Module):
    """A function as a module, with tensors of its own."""

    def __init__(self, function: Callable[..., Tensor], *constants: Tensor) -> None:
        super().__init__()
        self.function = function
        for number, constant in enumerate(constants):
            self.register_buffer(f"constant{number}", constant)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, *(tensor for _, tensor in self.named_buffers()))


def noise(*shape: int, seed: int = 1) -> Tensor:
    return Tensor(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def conv(*arguments: Any, size: tuple[int, int] = (9, 8), **options: Any) -> tuple[Any, Any]:
    return nn.Conv2d(*arguments, **options), (2, arguments[0], *size)


def unary(function: Callable[[Tensor], Tensor]) -> tuple[Any, Any]:
    return Function(function), (3, 5)


X4 = (2, 3, 8, 7)
# What is run, and the shape of its input. A case shows that its op is in the program.
CASES: dict[str, dict[str, tuple[Any, tuple[int, ...]]]] = {
    "conv2d": {
        "plain": conv(3, 5, 3),
        "padded": conv(3, 8, 3, padding=1),
        "stride": conv(4, 6, 3, stride=2, padding=1, bias=False),
        "uneven": conv(2, 3, (3, 2), stride=(2, 1), padding=(0, 1), dilation=(1, 2)),
        "groups": conv(6, 9, 3, padding=2, groups=3, dilation=2),
        "depthwise": conv(6, 6, 5, padding=2, groups=6),
        "point": conv(7, 13, 1, stride=2, size=(11, 13)),
        "large": conv(3, 4, 3, size=(20, 21)),  # more pixels than are packed at a time
    },
    "linear": {
        "bias": (nn.Linear(7, 5), (3, 7)),
        "no-bias": (nn.Linear(7, 5, bias=False), (2, 3, 7)),
    },
    "matmul": {
        "batches": (Function(lambda x, y: x @ y, noise(2, 1, 5, 4)), (3, 6, 5)),
        "both": (Function(lambda x: x @ x.transpose(-2, -1)), (2, 3, 5)),
    },
    "max_pool2d": {
        "padded": (nn.MaxPool2d(3, stride=2, padding=1), X4),
        "dilated": (Function(lambda x: ops.max_pool2d(x, (2, 3), (1, 2), 1, (2, 1))), X4),
    },
    "avg_pool2d": {
        "padded": (nn.AvgPool2d(3, stride=2, padding=1), X4),
        "inside": (nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False), X4),
    },
    "adaptive_avg_pool2d": {
        "one": (nn.AdaptiveAvgPool2d(1), X4),
        "uneven": (nn.AdaptiveAvgPool2d((3, 5)), X4),
    },
    "batch_norm_inference": {"after-nothing": (nn.BatchNorm2d(3), X4)},
    "layer_norm": {
        "affine": (nn.LayerNorm((8, 7)), X4),
        "plain": (nn.LayerNorm(7, elementwise_affine=False), X4),
        "groups": (nn.GroupNorm(2, 6), (2, 6, 4, 4)),
    },
    "softmax": {"middle": (Function(lambda x: ops.softmax(x * 50.0, 1)), X4)},
    "log_softmax": {"last": (Function(lambda x: ops.log_softmax(x * 9.0)), X4)},
    "sum": {"axes": (Function(lambda x: x.sum((1, 3))), X4), "all": (Function(Tensor.sum), X4)},
    "prod": {"axis": (Function(lambda x: x.prod(2, keepdims=True)), X4)},
    "max": {"axes": (Function(lambda x: x.max((0, 2))), X4)},
    "min": {"axis": (Function(lambda x: x.min(1)), X4)},
    "add": {
        "alike": (Function(lambda x: x + x), X4),
        "broadcast": (Function(lambda x, y: x + y, noise(3, 1, 7)), X4),
        "scalar": (Function(lambda x: 2.5 + x), X4),
    },
    "sub": {"broadcast": (Function(lambda x, y: y - x, noise(8, 1)), X4)},
    "mul": {"wider": (Function(lambda x, y: x * y, noise(4, 1, 1, 1)), (3, 2, 2))},
    "div": {"scalar": (Function(lambda x: 1.0 / x), X4)},
    "pow": {"square": (Function(lambda x: x**2), X4)},
    "maximum": {"scalar": (Function(lambda x: ops.maximum(x, 0.25)), X4)},
    "minimum": {"other": (Function(lambda x, y: ops.minimum(x, y), noise(7)), X4)},
    "where": {
        name: (Function(lambda x, c=compare: ops.where(c(x), x * 2.0, -1.0)), X4)
        for name, compare in {"lt": lambda x: x < 0.5, "not": lambda x: ~(x < 0.5)}.items()
    },
    "logical_not": {"of-bools": (Function(lambda x: (~(x < 0.5)).float() + x), X4)},
    "cast": {
        "bools": (Function(lambda x: (x > 0.1).float() * x), X4),
        "whole": (Function(lambda x: (x * 9.0).astype(neurenix.int32).float()), X4),
    },
    "copy": {
        "permuted": (Function(lambda x: ops.relu(x.permute((0, 2, 3, 1)))), X4),
        "sliced": (Function(lambda x: x[:, 1:, ::3, 2:5].exp()), X4),
        "reshaped": (Function(lambda x: x.permute((0, 2, 1, 3)).reshape((2, -1))), X4),
    },
    "concat": {
        "channels": (Function(lambda x, y: ops.concat([x, y, x * 2.0], 1), noise(2, 1, 8, 7)), X4)
    },
    "pad": {"sides": (Function(lambda x: ops.pad(x, ((0, 0), (1, 0), (2, 3), (0, 1)), 0.5)), X4)},
    "fill": {
        # Too large to be kept as a constant.
        "large": (Function(lambda x: x + ops.full((2, 3, 80, 70), 0.5)), (2, 3, 80, 70))
    },
    "leaky_relu": {"slope": (Function(lambda x: F.leaky_relu(x, 0.2)), X4)},
    "gelu": {
        "erf": (Function(lambda x: F.gelu(x * 3.0)), X4),
        "tanh": (Function(lambda x: F.gelu(x * 3.0, "tanh")), X4),
    },
    "relu": {"plain": unary(ops.relu)},
    "sigmoid": {"plain": unary(lambda x: ops.sigmoid(x * 30.0))},
    "silu": {"plain": unary(ops.silu)},
    "abs": {"plain": unary(ops.abs)},
    "ceil": {"plain": unary(ops.ceil)},
    "floor": {"plain": unary(ops.floor)},
    "round": {"halves": unary(lambda x: ops.round(ops.floor(x * 4.0) * 0.5))},
    "cos": {"plain": unary(ops.cos)},
    "sin": {"plain": unary(ops.sin)},
    "exp": {"plain": unary(ops.exp)},
    "log": {"plain": unary(lambda x: ops.log(ops.abs(x)))},
    "sqrt": {"plain": unary(lambda x: ops.sqrt(ops.abs(x)))},
    "tanh": {"plain": unary(ops.tanh)},
    "erf": {"wide": unary(lambda x: ops.erf(x * 2.5))},
    "neg": {"plain": unary(lambda x: -x)},
    "sign": {"plain": unary(lambda x: ops.sign(ops.round(x)))},
    **{
        compare.name: {"scalar": unary(lambda x, o=compare: o(ops.round(x), 1.0).float() + x)}
        for compare in (ops.eq, ops.ne, ops.lt, ops.le, ops.gt, ops.ge)
    },
}
EACH = [(op, name) for op, cases in CASES.items() for name in cases]


def test_every_op_has_a_case_and_code(run_module: RunModule) -> None:
    assert set(CASES) == JAVASCRIPT_OPS
    assert set(run_module(TABLE)) == JAVASCRIPT_OPS


@pytest.mark.parametrize(("op", "name"), EACH, ids=[f"{op}-{name}" for op, name in EACH])
def test_an_op_equals_cores(run: Run, op: str, name: str) -> None:
    neurenix.manual_seed(5)
    model, shape = CASES[op][name]
    model.eval()
    if op == "batch_norm_inference":
        model.running_mean.copy_(noise(3)), model.running_var.copy_(noise(3, seed=2) ** 2)
    x = noise(*shape, seed=7)
    program = build_program(web_graph(model, shape))
    assert op in {step["op"] for step in program.steps["steps"]}
    first, again = run(program, x)
    with neurenix.no_grad():
        expected = model(x).numpy()
    assert np.allclose(first.reshape(expected.shape), expected, rtol=2e-5, atol=2e-6)
    assert np.array_equal(first, again)


@pytest.fixture
def run(run_module: RunModule, site_folder: Path) -> Run:
    """Run a program twice on one input, and on another in between."""

    def run(program: WebProgram, x: Tensor) -> list[Any]:
        save_safetensors(site_folder / "constants.safetensors", program.constants)
        found = run_module(RUN, program=program.steps, input=to_text(x.numpy()))
        return [from_text(text, np.float32) for text in found]

    return run


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_a_network_of_the_zoo_equals_cores(run: Run, name: str) -> None:
    neurenix.manual_seed(2)
    model = neurenix.models.create(name, num_classes=5).eval()
    x = noise(1, 3, 40, 40)
    program = build_program(web_graph(model, x.shape))
    ops_used = {step["op"] for step in program.steps["steps"]}
    assert "batch_norm_inference" not in ops_used  # folded
    with neurenix.no_grad():
        expected = model(x).numpy().ravel()
    first, again = run(program, x)
    assert np.allclose(first, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    assert np.array_equal(first, again)


def test_buffers_are_used_again() -> None:
    model = neurenix.models.resnet18(num_classes=5).eval()
    program = build_program(web_graph(model, (1, 3, 64, 64))).steps
    used = sum(buffer["size"] for buffer in program["buffers"])
    made = {
        step["output"]: np.prod(program["tensors"][step["output"]]["shape"])
        for step in program["steps"]
    }
    assert used < sum(made.values()) / 3


def test_an_op_without_code_is_refused_by_its_name() -> None:
    with pytest.raises(WebExportError, match="model's 'sort': there is no JavaScript code"):
        build_program(web_graph(Function(lambda x: ops.sort(x)[0]), (2, 3)))


def test_a_result_beside_the_first_is_refused() -> None:
    model = Function(lambda x: OPS["layer_norm"].all(x, None, None, axes=1, eps=1e-5)[1])
    with pytest.raises(WebExportError, match="'layer_norm' has JavaScript code for its result"):
        build_program(web_graph(model, (2, 3)))


def test_a_dtype_without_code_is_refused() -> None:
    model = Function(lambda x: x.astype(neurenix.float64))
    with pytest.raises(WebExportError, match="'cast' is of float64"):
        build_program(web_graph(model, (2, 3)))
