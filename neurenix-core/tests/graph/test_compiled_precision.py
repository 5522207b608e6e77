"""neurenix.compile(precision=): what backends are told, what is measured, what is refused."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from narrow_backend import NarrowBackend

import neurenix
from neurenix import Tensor, nn
from neurenix.backends import Device, registry
from neurenix.backends.registry import host_device, record_of
from neurenix.errors import PrecisionError, TraceError
from neurenix.graph import Plan, Precision, TensorMeta, available_precisions


def network() -> nn.Module:
    neurenix.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5)).eval()


@pytest.fixture
def narrow(twin: Device, monkeypatch: pytest.MonkeyPatch) -> NarrowBackend:
    twin.backend = backend = NarrowBackend(twin.backend)
    monkeypatch.setitem(registry._bound, twin, record_of(host_device()))
    return backend


def images(count: int, scale: float = 1.0) -> Tensor:
    return (neurenix.randn((count, 3, 6, 6)) * scale).to("twin")


def is_rounded(tensor: Tensor) -> bool:
    narrow = tensor.astype(neurenix.bfloat16).astype(neurenix.float32)
    return bool((tensor.numpy() == narrow.numpy()).all())


def test_a_backend_is_told_a_precision_that_is_not_float32(
    narrow: NarrowBackend, twin: Device
) -> None:
    module, x = network().to(twin), images(2)
    plan = neurenix.compile(module, x, precision="bfloat16", fallback="error")
    with neurenix.no_grad():
        assert is_rounded(plan(x))
        assert not is_rounded(neurenix.compile(module, x)(x))
    assert narrow.asked == [Precision("bfloat16"), None]


def test_int8_comes_with_the_ranges_of_the_calibration_inputs(
    narrow: NarrowBackend, twin: Device
) -> None:
    x, known = images(2), images(20, 3.0)
    plan = neurenix.compile(network().to(twin), x, precision="int8", calibration=known)
    told = narrow.asked[-1]
    assert told is not None
    assert told.name == "int8"
    graph = plan.executable(x).graph  # type: ignore[attr-defined]
    assert told.ranges[graph.inputs[0]] == float(np.abs(known.numpy()).max())
    assert {*told.ranges} == {
        *graph.inputs, *(value for node in graph.nodes for value in node.outputs)
    }  # fmt: skip


def test_another_batch_has_the_same_ranges_without_measuring_again(
    narrow: NarrowBackend, twin: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[Any] = []
    run = Plan.run
    monkeypatch.setattr(Plan, "run", lambda plan, x: runs.append(plan.graph.name) or run(plan, x))
    plan = neurenix.compile(network().to(twin), precision="int8", calibration=images(20))
    with neurenix.no_grad():
        plan(images(2))
        assert len(runs) == 3 + 1  # 8, 8 and the last 8 of 20 rows; then the call itself
        plan(images(5))
    assert len(runs) == 3 + 2
    first, second = narrow.asked
    assert first is not None
    assert second is not None
    assert [*first.ranges.values()] == [*second.ranges.values()]


def test_arguments_of_calls_calibrate_as_well_as_a_tensor(
    narrow: NarrowBackend, twin: Device
) -> None:
    module = network().to(twin)
    for calibration in ([images(2), images(1)], [(images(2),)], (images(3), (images(2),))):
        neurenix.compile(module, images(2), precision="int8", calibration=calibration)
    assert all(told is not None and told.ranges for told in narrow.asked)


def test_other_weights_are_calibrated_anew(narrow: NarrowBackend, twin: Device) -> None:
    module, x = network().to(twin), images(2)
    plan = neurenix.compile(module, x, precision="int8", calibration=images(9))
    with neurenix.no_grad():
        plan(x)
        assert len(narrow.asked) == 1
        module[0].weight.copy_(module[0].weight * 10.0)
        plan(x)
        plan(x)
    first, second = narrow.asked
    assert first is not None
    assert second is not None
    before, after = [*first.ranges.values()], [*second.ranges.values()]
    assert after[0] == before[0]
    assert after[1] > 3.0 * before[1]


def test_a_backend_without_narrow_plans_runs_float32_and_says_so_once() -> None:
    module, x = network(), neurenix.randn((2, 3, 6, 6))
    with pytest.warns(RuntimeWarning, match="runs in float32: the backend 'numpy'") as caught:
        plan = neurenix.compile(module, x, precision="bfloat16")
    assert caught[0].filename == __file__
    assert "it has float32" in str(caught[0].message)
    assert "pip install neurenix-backend-cpu" in str(caught[0].message)
    with warnings.catch_warnings(), neurenix.no_grad():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(plan(x).numpy(), neurenix.compile(module)(x).numpy())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        neurenix.compile(module, x, precision="bfloat16", fallback="silent")


def test_fallback_error_refuses_float32_in_place_of_what_was_asked_for(
    narrow: NarrowBackend, twin: Device
) -> None:
    x = neurenix.randn((2, 3, 6, 6))
    with pytest.raises(PrecisionError, match="has no bfloat16 plans; it has float32"):
        neurenix.compile(network(), x, precision="bfloat16", fallback="error")
    lazy = neurenix.compile(network(), precision="bfloat16", fallback="error")
    with pytest.raises(PrecisionError), neurenix.no_grad():
        lazy(x)
    narrow.knows = False
    with pytest.raises(PrecisionError, match="no code for one of its ops"):
        neurenix.compile(network().to(twin), images(2), precision="bfloat16", fallback="error")


def test_a_module_that_runs_eagerly_does_so_in_float32_and_says_so(
    narrow: NarrowBackend, twin: Device
) -> None:
    plan = neurenix.compile(network().to(twin).train(), precision="bfloat16")
    with pytest.warns(RuntimeWarning, match="runs eagerly, in float32: it is in training mode"):
        plan(images(2))


def test_calibration_inputs_of_another_structure_are_refused(
    narrow: NarrowBackend, twin: Device
) -> None:
    class Branches(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return neurenix.relu(x) if x.shape[0] > 4 else neurenix.exp(x)

    x = neurenix.ones((2, 3)).to(twin)
    plan = neurenix.compile(
        Branches(), precision="int8", calibration=[neurenix.ones((8, 3)).to(twin)]
    )
    with pytest.warns(RuntimeWarning, match="other ops than the graph for the calibration"):
        plan(x)
    mixed = [x, neurenix.ones((8, 3)).to(twin)]
    with pytest.raises(PrecisionError, match="different ops"):
        neurenix.compile(Branches(), x, precision="int8", calibration=mixed, fallback="error")


def test_errors_of_the_module_on_calibration_inputs_say_where_they_come_from(
    narrow: NarrowBackend, twin: Device
) -> None:
    wrong = neurenix.randn((4, 7, 6, 6)).to(twin)
    with pytest.raises(neurenix.errors.ShapeError) as caught:
        neurenix.compile(network().to(twin), images(2), precision="int8", calibration=wrong)
    assert "calibration inputs" in caught.value.__notes__[0]
    bad = neurenix.full((4, 3, 6, 6), np.nan).to(twin)
    with pytest.warns(RuntimeWarning, match="not finite"):
        neurenix.compile(network().to(twin), images(2), precision="int8", calibration=bad)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"precision": "int4"}, ValueError, "'float32', 'bfloat16' or 'int8', not 'int4'"),
        ({"precision": "int8"}, ValueError, "needs calibration="),
        ({"calibration": [1]}, ValueError, "for precision='int8', not for 'float32'"),
        (
            {"precision": "bfloat16", "calibration": [1]},
            ValueError,
            "for precision='int8', not for 'bfloat16'",
        ),
        ({"precision": "int8", "calibration": []}, ValueError, "holds no inputs"),
        ({"precision": "int8", "calibration": 3}, TypeError, "not int"),
        ({"precision": "int8", "calibration": ["x"]}, TypeError, "without a tensor"),
    ],
)
def test_options_that_make_no_sense_are_refused_at_once(
    options: dict[str, Any], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        neurenix.compile(network(), **options)


def test_a_device_says_which_precisions_its_plans_have(narrow: NarrowBackend, twin: Device) -> None:
    assert available_precisions() == ("float32",)
    assert available_precisions(twin) == ("float32", "bfloat16", "int8")
    assert available_precisions("twin") == available_precisions(twin)


def test_an_empty_tensor_calibrates_nothing() -> None:
    for shape in ((), (0, 3, 6, 6)):
        with pytest.raises(ValueError, match="along its first axis"):
            neurenix.compile(network(), precision="int8", calibration=neurenix.zeros(shape))


def test_precision_is_for_modules_since_a_step_would_lose_its_updates() -> None:
    with pytest.raises(ValueError, match="gradients and updates are lost"):
        neurenix.compile(lambda x: x, precision="bfloat16")


def test_an_untraceable_module_has_no_narrow_plan_either(
    narrow: NarrowBackend, twin: Device
) -> None:
    class Branches(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum().item() > 0 else -x

    with pytest.raises(TraceError, match="cannot run as a plan"):
        neurenix.compile(
            Branches(), TensorMeta((2, 3), neurenix.float32), precision="bfloat16", fallback="error"
        )
