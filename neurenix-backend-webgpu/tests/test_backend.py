"""Memory, limits, faults, forks, exits: what a device is like to live with."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import neurenix
from neurenix.backends import resolve
from neurenix.backends.registry import record_of

RunPython = Callable[..., subprocess.CompletedProcess[str]]


def _native() -> Any:
    backend: Any = resolve("webgpu").backend
    return backend.device(0)


def test_devices_say_what_they_are() -> None:
    record = record_of(resolve("webgpu"))
    details = record.devices[0].details
    assert details["driver"]
    assert int(details["max_storage_buffer_binding_size"]) >= 1 << 27


def test_software_is_hidden_unless_it_is_wanted(run_python: RunPython) -> None:
    code = (
        "from neurenix.backends import resolve\n"
        "print([info.software for info in resolve('webgpu').backend.devices()])"
    )
    hidden = run_python(code, NEURENIX_WEBGPU_SOFTWARE="0").stdout
    shown = run_python(code, NEURENIX_WEBGPU_SOFTWARE="1").stdout
    if "True" not in hidden:
        pytest.skip("there is no adapter in software")
    assert "True" not in shown


def test_freed_memory_is_used_again() -> None:
    device = _native()
    x = neurenix.ones((1000, 1000), device="webgpu")
    in_use, _, _ = device.memory_statistics()
    for _ in range(200):
        x = x * 1.0
    assert x[0, 0].item() == 1.0
    after, cached, _ = device.memory_statistics()
    assert after - in_use < 4096  # what scalars take
    assert cached < 50 << 20


def test_a_tensor_that_no_buffer_holds_is_refused_with_figures() -> None:
    with pytest.raises(MemoryError, match=r"4398046511104 bytes.*max_buffer_size"):
        neurenix.empty((1 << 40,), device="webgpu")


def test_a_tensor_larger_than_a_binding_is_computed_in_windows() -> None:
    device = resolve("webgpu")
    details = record_of(device).devices[0].details
    limit = int(details["max_storage_buffer_binding_size"])
    count = limit // 4 + 1000
    if count * 4 > int(details["max_buffer_size"]) or count > 1 << 27:
        pytest.skip("this adapter binds whatever fits its memory")
    ones = neurenix.ones((count,), dtype="uint8", device=device)
    counted = neurenix.arange(count, dtype="int32", device=device)
    total = counted + ones.astype("int32")
    values = total.numpy()
    assert values[0] == 1
    np.testing.assert_array_equal(values, np.arange(1, count + 1, dtype=np.int32))
    with pytest.raises(RuntimeError, match="max_storage_buffer_binding_size"):
        total.argmax()


def test_an_index_out_of_range_is_reported_by_whoever_waits() -> None:
    x = neurenix.Tensor([1.0, 2.0, 3.0], device="webgpu")
    y = neurenix.ops.gather(x, neurenix.Tensor([0, 7], device="webgpu"), 0)
    with pytest.raises(IndexError, match=r"gather got the index 7, but the axis has 3 elements"):
        y.numpy()
    assert x.tolist() == [1.0, 2.0, 3.0]
    z = neurenix.ops.scatter(x, neurenix.Tensor([-1], device="webgpu"), x[:1], 0)
    with pytest.raises(IndexError, match="scatter got the index -1"):
        _native().synchronize()
    assert z.shape == (3,)


def test_a_copy_within_one_buffer_may_overlap() -> None:
    x = neurenix.arange(10, dtype="int32", device="webgpu")
    x[1:] = x[:-1]
    assert x.tolist() == [0, 0, 1, 2, 3, 4, 5, 6, 7, 8]


def test_copies_into_bytes_leave_their_neighbours_alone() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        values = rng.integers(0, 256, (7, 13), np.uint8)
        start, step = int(rng.integers(0, 4)), int(rng.integers(1, 4))
        x = neurenix.Tensor(values, device="webgpu")
        patch = rng.integers(0, 256, values[:, start::step].shape, np.uint8)
        x[:, start::step] = neurenix.Tensor(patch, device="webgpu")
        values[:, start::step] = patch
        np.testing.assert_array_equal(x.numpy(), values)


def test_float64_is_moved_but_not_computed_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEURENIX_HOST_FALLBACK", "error")
    x = neurenix.Tensor(np.array([1.5, 2.5]), device="webgpu")
    assert x[1:].tolist() == [2.5]
    with pytest.raises(neurenix.errors.DeviceError, match="float64"):
        _ = x + x
