"""The op database: it has every op, and its references are what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import neurenix as nx
from neurenix.backends.registry import host_device
from neurenix.errors import SettingError
from neurenix.ops.op import OPS
from neurenix.testing import Coverage, calls_of, difference, expected, measure, op_names
from neurenix.testing.calls import LARGE
from neurenix.testing.layouts import LAYOUTS, place
from neurenix.testing.overrides import read_overrides
from neurenix.testing.references import REFERENCES, threefry
from neurenix.testing.requirements import REQUIRED

PRIMITIVES = sorted(n for n, op in OPS.items() if op.decomposition is None and not op.view)


@pytest.mark.parametrize("name", op_names())
def test_every_op_has_calls_with_labels_of_their_own(name: str) -> None:
    calls = calls_of(name)
    assert calls
    labels = [(call.label, dtype) for call in calls for dtype in call.dtypes()]
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize("name", op_names())
def test_every_op_with_a_kernel_has_a_call_to_time(name: str) -> None:
    if name in host_device().kernels.native and name not in {"put", "running_average"}:
        backward = name.endswith("_backward")
        assert backward or LARGE in [call.label for call in calls_of(name)]


def test_every_primitive_is_required_in_some_dtype_and_has_a_reference() -> None:
    assert set(PRIMITIVES) - {"to_device"} == set(REQUIRED) == set(REFERENCES)
    for name, dtypes in REQUIRED.items():
        assert dtypes <= host_device().kernels.native[name].dtypes


def test_threefry_gives_its_authors_numbers() -> None:
    # The known answers of the paper's implementation, Random123.
    ones = 0xFFFFFFFF
    assert threefry((0, 0), (0, 0)) == (0x6B200159, 0x99BA4EFE)
    assert threefry((ones, ones), (ones, ones)) == (0x1CB996FC, 0xBB002BE7)
    key, counter = (0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3)
    assert threefry(key, counter) == (0xC4923A9C, 0x483DF7A0)


def test_what_is_expected_starts_from_what_the_dtype_holds() -> None:
    (call,) = [c for c in calls_of("neg") if c.label == "wide"]
    (values,) = expected(call, nx.float16)
    assert values.dtype == np.float64
    assert call.inputs[0] is not None
    np.testing.assert_array_equal(-values, call.inputs[0].astype(np.float16))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_hold_the_values_and_are_what_they_say(layout: str) -> None:
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    if layout == "repeated":
        values[1] = values[0]
    tensor = place(values, host_device(), layout)  # type: ignore[arg-type]
    np.testing.assert_array_equal(tensor.numpy(), values)
    assert tensor.offset == 5
    assert tensor.is_contiguous() == (layout == "offset")
    assert (tensor.strides[0] == 0) == (layout == "repeated")


def test_differences_are_found() -> None:
    mul, matmul, eq = OPS["mul"], OPS["matmul"], OPS["eq"]
    one = np.ones(3, np.float32)
    assert difference(mul, nx.float32, one, one.astype(np.float64)) is None
    assert "element (0,)" in str(difference(mul, nx.float32, one * 1.0001, one))
    assert "should be (2,)" in str(difference(mul, nx.float32, one, one[:2]))
    nan = np.array([1, np.nan, 1], np.float32)
    assert difference(mul, nx.float32, nan, nan) is None
    assert difference(mul, nx.float32, one, nan) is not None
    infinite = np.array([np.inf, -np.inf, 1])
    assert difference(mul, nx.float32, infinite.astype(np.float32), infinite) is None
    assert difference(mul, nx.float32, -infinite.astype(np.float32), infinite) is not None
    # A sum of large terms that cancel may be off by a part of the large ones; a product may not.
    near = np.array([1e3, 1e-4], np.float32)
    assert difference(matmul, nx.float32, near, np.array([1e3, 0.0])) is None
    assert difference(mul, nx.float32, near, np.array([1e3, 0.0])) is not None
    truth = np.array([True, False])
    assert difference(eq, nx.float32, truth, ~truth) is not None


def test_of_several_ways_the_worst_counts() -> None:
    coverage = Coverage()
    for way in ("native", "fallback", "decomposed"):
        coverage.note("gelu", "float32", way)
    coverage.note("gelu", "int8", "native")
    assert coverage.ways == {"gelu": {"float32": "fallback", "int8": "native"}}
    assert any(line.startswith("gelu") for line in coverage.lines())


def test_speeds_are_measured() -> None:
    (speed,) = measure(host_device(), ["mul"])
    assert (speed.op, speed.call) == ("mul", LARGE)
    assert speed.device_ms > 0
    assert 0 < speed.ratio_low <= speed.ratio <= speed.ratio_high
    assert speed.as_dict()["ratio"] == speed.ratio


def test_overrides_need_reasons(tmp_path: Path) -> None:
    path = tmp_path / "overrides.toml"
    path.write_text('[expected_failures]\n"a.py::b[c]" = "the hardware rounds up"\n')
    assert read_overrides(path) == {"a.py::b[c]": "the hardware rounds up"}
    path.write_text('[expected_failures]\n"a.py::b[c]" = " "\n')
    with pytest.raises(SettingError, match="needs a reason"):
        read_overrides(path)
    path.write_text("[expected]\n")
    with pytest.raises(SettingError, match="expected one table"):
        read_overrides(path)
    with pytest.raises(SettingError, match="cannot be read"):
        read_overrides(tmp_path / "absent.toml")
