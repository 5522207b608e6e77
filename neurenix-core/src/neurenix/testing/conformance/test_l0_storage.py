"""L0: memory. What goes in comes out, of every dtype, however it is viewed, copied and released."""

from __future__ import annotations

import gc
import weakref
from typing import Any, TypeAlias

import numpy as np
import pytest

import neurenix
from neurenix.backends import Backend, Device, DeviceInfo
from neurenix.dtypes import ALL, DType
from neurenix.ops import dispatch
from neurenix.testing import cases
from neurenix.testing.cases import Case
from neurenix.testing.conformance.reporter import chosen_ops
from neurenix.testing.layouts import LAYOUTS, Layout, place
from neurenix.testing.references import host_outputs
from neurenix.testing.running import run

Array: TypeAlias = np.ndarray[Any, Any]

_SHAPES = [(), (0,), (1,), (7,), (2, 3), (3, 0, 2), (64, 1025)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test of every call of a view."""
    if "case" in metafunc.fixturenames:
        views = cases.names("view", chosen_ops(metafunc.config))
        made = [case for case in cases.value_cases(views) if case.dtype == neurenix.float32]
        metafunc.parametrize("case", made, ids=str)


def _backend(device: Device) -> Backend:
    assert device.backend is not None
    return device.backend


def _random(shape: tuple[int, ...], dtype: DType) -> Array:
    """Return elements of random bits, NaNs with their payloads among them; bools are 0 and 1."""
    rng = np.random.default_rng(5)
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    return rng.integers(0, 256, (*shape, dtype.itemsize), np.uint8).view(dtype).reshape(shape)


def test_the_backend_describes_its_devices(device: Device) -> None:
    """Devices are numbered from 0, and each says what it is."""
    devices = _backend(device).devices()
    assert devices
    for index, info in enumerate(devices):
        assert isinstance(info, DeviceInfo)
        assert info.index == index
        assert info.description.strip()
    assert isinstance(_backend(device).batch_invariant, bool)


@pytest.mark.parametrize("dtype", ALL, ids=str)
@pytest.mark.parametrize("shape", _SHAPES, ids=str)
def test_values_come_back_to_the_bit(shape: tuple[int, ...], dtype: DType, device: Device) -> None:
    """Values go to the device and back without a changed bit."""
    values = _random(shape, dtype)
    back = place(values, device).numpy()
    assert back.shape == shape
    assert back.dtype == dtype
    assert back.tobytes() == values.tobytes()


@pytest.mark.parametrize("dtype", ALL, ids=str)
def test_memory_is_there_to_be_written(dtype: DType, device: Device) -> None:
    """What is allocated holds as much as was asked for, and is nobody else's."""
    tensors = [dispatch.allocate((3, 5), dtype, device) for _ in range(4)]
    values = [_random((3, 5), dtype) ^ (i == 1) if dtype.kind == "b" else _random((3, 5), dtype)
              for i in range(4)]  # fmt: skip
    for tensor, value in zip(tensors, values, strict=True):
        dispatch.copy_into(tensor, place(value, device))
    for tensor, value in zip(tensors, values, strict=True):
        assert tensor.numpy().tobytes() == value.tobytes()


def test_the_source_may_be_reused_at_once(device: Device) -> None:
    """from_host has read the array when it returns."""
    source = np.arange(100_000, dtype=np.float32)
    tensors = []
    for _ in range(8):
        tensors.append(place(source, device))
        source += 1
    for turn, tensor in enumerate(tensors):
        assert tensor.numpy()[0] == turn


def test_sources_of_any_strides(device: Device) -> None:
    """from_host reads arrays that are transposed, stepped through, reversed, or read-only."""
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    locked = base.copy()
    locked.flags.writeable = False
    for source in (base.T, base[::2, ::3], base[::-1], np.broadcast_to(base[0], (3, 6)), locked):
        np.testing.assert_array_equal(place(source, device).numpy(), source)


@pytest.mark.parametrize("dtype", ALL, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_views_are_read(layout: Layout, dtype: DType, device: Device) -> None:
    """to_host and copy read tensors at an offset, with gaps, transposed, with strides of 0."""
    values = _random((3, 4, 2), dtype)
    if layout == "repeated":
        values = np.array(np.broadcast_to(values[:1], values.shape))
    tensor = place(values, device, layout)
    assert tensor.numpy().tobytes() == values.tobytes()
    assert tensor.clone().numpy().tobytes() == values.tobytes()


@pytest.mark.parametrize("dtype", ALL, ids=str)
def test_views_are_written(dtype: DType, device: Device) -> None:
    """A copy into a view changes what the view shows, and nothing beside it."""
    values, patch = _random((5, 6), dtype), _random((6, 5), dtype)[:2, 1:4].T
    tensor = place(values, device)
    view = tensor[1:4, ::3]
    dispatch.copy_into(view, place(np.ascontiguousarray(patch), device))
    wanted = values.copy()
    wanted[1:4, ::3] = patch
    assert tensor.numpy().tobytes() == wanted.tobytes()


def test_views(case: Case, device: Device) -> None:
    """A view of a tensor on the device shows what it shows on the host."""
    call = case.call.cast(case.dtype)
    (ours,) = run(call, device).results
    (theirs,) = host_outputs(call)
    np.testing.assert_array_equal(ours, theirs)


def test_copies_are_apart(device: Device) -> None:
    """A clone does not follow what it was cloned from."""
    x = neurenix.ones((3,), device=device)
    y = x.clone()
    x[1] = 5.0
    assert y.tolist() == [1, 1, 1]
    assert x.tolist() == [1, 5, 1]


def test_release_is_ordered_with_the_queue(device: Device) -> None:
    """Memory that is released while work on it is queued is not given away too early."""
    size = 1 << 16
    busy = neurenix.full((256, 256), 1 / 256, device=device)
    for _ in range(8):  # what follows has to wait for this
        busy = busy @ busy
    results = []
    for turn in range(32):
        x = neurenix.full((size,), float(turn), device=device)
        results.append((x + x)[:1])
        del x
        neurenix.full((size,), -1.0, device=device)  # would take the place that has become free
    assert [r.item() for r in results] == [2.0 * turn for turn in range(32)]
    assert busy[0, 0].item() == 1 / 256


def test_buffers_are_released(device: Device) -> None:
    """The backend keeps no buffer alive that nobody else has."""
    tensor = neurenix.ones((1000,), device=device)
    try:
        buffer = weakref.ref(tensor.buffer)
    except TypeError:
        pytest.skip("its buffers cannot be referred to weakly")
    del tensor
    _backend(device).synchronize(device.index)
    gc.collect()
    assert buffer() is None


def test_synchronize_waits(device: Device) -> None:
    """Results are there after synchronize, and it may be called at any time."""
    backend = _backend(device)
    backend.synchronize(device.index)
    x = neurenix.ones((100,), device=device)
    for _ in range(20):
        x = x + 1.0
    backend.synchronize(device.index)
    backend.synchronize(device.index)
    assert x.tolist() == [21.0] * 100
