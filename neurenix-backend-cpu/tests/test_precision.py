"""Plans in bfloat16 and int8: close to float32, the same for any batch and number of threads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import pytest

import neurenix as nx
from neurenix import nn
from neurenix.models import resnet18
from neurenix_backend_cpu import _native

Narrow = Literal["bfloat16", "int8"]
NARROW: tuple[Narrow, ...] = ("bfloat16", "int8")
# Of the largest answer: what an answer may differ from that of float32.
TOLERANCE = {"bfloat16": 0.02, "int8": 0.1}


class Blocks(nn.Module):
    """Convolutions of odd widths, a residual, pools, a depthwise convolution, a linear tail."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 20, 5, stride=2, padding=2)
        self.left = nn.Conv2d(20, 37, 3, padding=1)
        self.right = nn.Conv2d(20, 37, 1, bias=False)
        self.norm = nn.BatchNorm2d(37)
        self.depthwise = nn.Conv2d(37, 37, 3, padding=1, groups=37)
        self.down = nn.Conv2d(37, 70, 3, stride=2, padding=1)
        self.hidden = nn.Linear(70, 40)
        self.last = nn.Linear(40, 6)

    def forward(self, x: nx.Tensor) -> nx.Tensor:
        x = nx.max_pool2d(nx.relu(self.first(x)), 3, 2, 1)
        x = nx.relu(self.left(x) + self.norm(self.right(x)))
        x = self.down(self.depthwise(x)).mean((2, 3))
        return self.last(nx.relu(self.hidden(x)))


class Gated(nn.Module):
    """Ops that narrow plans have not, between convolutions: these run in float32."""

    def __init__(self) -> None:
        super().__init__()
        self.before = nn.Conv2d(18, 33, 3, padding=1)
        self.after = nn.Conv2d(33, 17, 1)

    def forward(self, x: nx.Tensor) -> nx.Tensor:
        x = self.before(x)
        return self.after(x * nx.sigmoid(x))


def resnet() -> tuple[nn.Module, nx.Tensor]:
    return resnet18(num_classes=10).eval(), nx.randn((4, 3, 64, 64))


def blocks() -> tuple[nn.Module, nx.Tensor]:
    return Blocks().eval(), nx.randn((4, 3, 33, 41))


def gated() -> tuple[nn.Module, nx.Tensor]:
    return Gated().eval(), nx.randn((4, 18, 9, 7))


NETWORKS = {"resnet18": resnet, "blocks": blocks, "gated": gated}


def made(name: str) -> tuple[nn.Module, nx.Tensor]:
    nx.manual_seed(5)
    return NETWORKS[name]()


def compiled(module: nn.Module, x: nx.Tensor, precision: Narrow) -> Any:
    calibration = x if precision == "int8" else None
    return nx.compile(module, x, fallback="error", precision=precision, calibration=calibration)


def answers(run: Any, x: nx.Tensor) -> np.ndarray[Any, Any]:
    with nx.no_grad():
        return np.array(run(x).numpy())


def worst(found: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.fixture
def every_instruction_set(instruction_sets: tuple[str, ...]) -> Iterator[Iterator[str]]:
    """Give the instruction sets, each set as it comes."""
    now = _native.instruction_set()
    yield (_native.set_instruction_set(name) for name in instruction_sets)
    _native.set_instruction_set(now)


@pytest.mark.parametrize("precision", NARROW)
@pytest.mark.parametrize("name", NETWORKS)
def test_answers_are_close_to_those_of_float32(name: str, precision: Narrow) -> None:
    module, x = made(name)
    expected = answers(module, x)
    run = compiled(module, x, precision)
    found = answers(run, x)
    assert 0 < worst(found, expected) < TOLERANCE[precision]
    np.testing.assert_array_equal(answers(run, x), found)


@pytest.mark.parametrize("precision", NARROW)
def test_answers_are_close_on_every_instruction_set(
    precision: Narrow, every_instruction_set: Iterator[str]
) -> None:
    module, x = made("blocks")
    expected = answers(module, x)
    for name in every_instruction_set:
        found = answers(compiled(module, x, precision), x)
        assert worst(found, expected) < TOLERANCE[precision], name


def test_convolutions_of_integers_have_the_same_bits_on_every_instruction_set(
    every_instruction_set: Iterator[str],
) -> None:
    nx.manual_seed(5)
    module = nn.Sequential(nn.Conv2d(24, 40, 3, padding=1), nn.ReLU(), nn.Conv2d(40, 19, 1))
    x = nx.randn((2, 24, 7, 9))
    found = {name: answers(compiled(module, x, "int8"), x) for name in every_instruction_set}
    # What is measured of activations is rounded otherwise where there is no fused multiply-add.
    alike = [found[name] for name in found if name != "portable"]
    for other in alike[1:]:
        np.testing.assert_array_equal(other, alike[0])


@pytest.mark.parametrize("precision", NARROW)
@pytest.mark.parametrize("name", ["resnet18", "blocks"])
def test_a_sample_has_the_same_bits_in_any_batch_and_on_any_threads(
    name: str, precision: Narrow
) -> None:
    module, x = made(name)
    run = compiled(module, x, precision)
    together = answers(run, x)
    for sample in range(len(x)):
        alone = answers(run, x[sample : sample + 1])
        np.testing.assert_array_equal(alone[0], together[sample])
    now = _native.threads()
    try:
        for threads in (1, 2, 5):
            _native.set_threads(threads)
            np.testing.assert_array_equal(answers(run, x), together)
    finally:
        _native.set_threads(now)


@pytest.mark.parametrize("precision", NARROW)
def test_changed_weights_show_in_the_next_run(precision: Narrow) -> None:
    module, x = made("blocks")
    run = compiled(module, x, precision)
    before = answers(run, x)
    with nx.no_grad():
        for parameter in module.parameters():
            parameter.copy_(parameter * 0.75)
    after = answers(run, x)
    assert not np.array_equal(after, before)
    assert worst(after, answers(module, x)) < TOLERANCE[precision]
    module.load_state_dict({key: value * 1.25 for key, value in module.state_dict().items()})
    assert worst(answers(run, x), answers(module, x)) < TOLERANCE[precision]


def test_activations_stay_narrow_from_end_to_end() -> None:
    module, x = made("resnet18")
    for precision in NARROW:
        text = compiled(module, x, precision).executable(x).describe()
        assert f"in {precision}: " in text.partition("\n")[0]
        assert text.count(f"in {precision} blocks") == 21  # 20 convolutions and a pool
        assert f"adaptive_avg_pool2d from {precision} blocks" in text
        assert "linear in bfloat16" in text, "the last layer"
        for conversion in ("to blocks", f"to {precision}", f"  from {precision}", "float32:"):
            assert conversion not in text, text


@pytest.mark.parametrize("precision", NARROW)
def test_what_a_narrow_plan_has_not_runs_in_float32_between_conversions(precision: Narrow) -> None:
    module, x = made("gated")
    text = compiled(module, x, precision).executable(x).describe()
    layer = rf"conv2d \w+ in {precision} blocks"
    order = ["to blocks", f"to {precision}", layer, f"from {precision}", "sigmoid"]
    order += [f"to {precision}", layer, f"from {precision}", "from blocks"]
    assert re.search(".*".join(rf"  {step}\b" for step in order), text, re.DOTALL), text


def test_a_layer_without_a_range_stays_in_float32_and_says_so() -> None:
    module, x = made("blocks")
    with nx.no_grad():
        module.get_parameter("depthwise.bias").copy_(nx.full((37,), float("inf")))
    run = compiled(module, x, "int8")
    text = run.executable(x).describe()
    assert "in float32: no range of" in text
    assert "in int8 blocks" in text


def test_programs_say_what_they_do_not_take() -> None:
    with pytest.raises(ValueError, match='no precision "float16"'):
        _native.Program("net", 0, "float16")
    program = _native.Program("net", 1, "int8")
    storage = program.storage(16, 0, False)
    value = program.value(np.dtype(np.float32), [4], [1], 0, storage, "x")
    for largest in (float("nan"), float("inf"), -1.0):
        with pytest.raises(ValueError, match="the range of x is finite"):
            program.range(value, largest)
    with pytest.raises(ValueError, match="there is no value 7"):
        program.range(7, 1.0)
