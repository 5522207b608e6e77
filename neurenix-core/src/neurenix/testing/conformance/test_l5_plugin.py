"""L5: the backend among others: several devices, the host's help, random numbers, threads."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
import pytest

import neurenix
from neurenix import nn
from neurenix.backends import Device
from neurenix.backends.kernel_table import KernelTable
from neurenix.backends.registry import host_device, record_of
from neurenix.errors import DeviceError
from neurenix.ops import cross_entropy
from neurenix.plugins import environment
from neurenix.plugins.spec import API_VERSION
from neurenix.tensor import Tensor

Array: TypeAlias = np.ndarray[Any, Any]


@pytest.fixture
def other(device: Device) -> Iterator[Device]:
    """Another device: the host, or what is as good as one where the host itself is tested."""
    host = host_device()
    if device is not host:
        yield host
        return
    twin = Device("conformance_twin")
    twin.backend, twin.kernels, twin.empty = host.backend, host.kernels, host.empty
    yield twin
    twin.forget()


@contextmanager
def _without(device: Device, name: str) -> Iterator[None]:
    """Take a kernel away from a device."""
    table = device.kernels
    device.kernels = KernelTable({k: v for k, v in table.native.items() if k != name})
    try:
        yield
    finally:
        device.kernels = table


def test_the_record_is_complete(device: Device) -> None:
    """The backend says what it is, for which protocol, and keeps within it."""
    record = record_of(device)
    assert record.spec.api[0] == API_VERSION[0]
    assert record.spec.api <= API_VERSION
    assert record.spec.device_type == device.type
    assert record.distribution
    assert record.version


def test_tensors_of_two_devices_do_not_mix(device: Device, other: Device) -> None:
    """An op of tensors on two devices is an error that names both."""
    x, y = neurenix.ones((2,), device=device), neurenix.ones((2,), device=other)
    with pytest.raises(DeviceError) as raised:
        _ = x + y
    assert str(device) in str(raised.value)
    assert str(other) in str(raised.value)


def test_devices_of_one_backend_are_apart(device: Device) -> None:
    """Every device that the backend lists works, and does not mix with the others."""
    count = len(record_of(device).devices)
    if count == 1:
        pytest.skip("the backend has one device")
    x = neurenix.Tensor([1.0, 2.0], device=device)
    for index in range(count):
        there = Device(device, index)
        y = x.to(there)
        assert y.device is there
        assert y.tolist() == [1.0, 2.0]
        assert (y * y).sum().item() == 5.0
        assert (y * y).to(device).tolist() == [1.0, 4.0]
        if there is not device:
            with pytest.raises(DeviceError):
                _ = x + y


def test_tensors_move_with_their_gradients(device: Device, other: Device) -> None:
    """Moving a tensor is on the tape, there and back."""
    x = neurenix.Tensor([1.0, -2.0], device=other, requires_grad=True)
    y = (x.to(device) * 3.0).to(other)
    (y * y).sum().backward()
    assert x.grad is not None
    assert x.grad.device is other
    assert x.grad.tolist() == [18.0, -36.0]


def test_modules_move(device: Device, other: Device) -> None:
    """A module moved away and back has the same parameters."""
    model = nn.Linear(3, 2)
    model.to(other)
    before = model.weight.detach().numpy().copy()
    model.to(device)
    assert model.weight.device is device
    model.to(other)
    np.testing.assert_array_equal(model.weight.detach().numpy(), before)


def _fallback(
    device: Device, policy: str, monkeypatch: pytest.MonkeyPatch, call: Callable[[], Tensor]
) -> tuple[list[str], Tensor]:
    monkeypatch.setenv(environment.HOST_FALLBACK, policy)
    monkeypatch.setattr("neurenix.ops.dispatch._warned", set())
    with _without(device, "tanh"), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = call()
        again = call()
    np.testing.assert_array_equal(result.numpy(), again.numpy())
    return [str(w.message) for w in caught if "tanh" in str(w.message)], result


def test_the_host_helps_out_where_it_may(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a kernel: an error, or the host's result with one warning, or without."""
    if device is host_device():
        pytest.skip("the host has nobody to help it out")
    x = neurenix.Tensor([0.5, -1.0], device=device)

    def call() -> Tensor:
        return neurenix.tanh(x)

    messages, result = _fallback(device, "warn", monkeypatch, call)
    assert len(messages) == 1
    assert result.device is device
    np.testing.assert_allclose(result.numpy(), np.tanh([0.5, -1.0]), rtol=1e-5)
    messages, _ = _fallback(device, "silent", monkeypatch, call)
    assert not messages
    with pytest.raises(DeviceError, match="tanh"):
        _fallback(device, "error", monkeypatch, call)


def test_random_numbers_are_the_same_on_every_device(device: Device) -> None:
    """Uniform numbers and integers agree to the bit, normal ones within 4 ULP."""
    host = host_device()
    pairs: list[list[Array]] = []
    for where in (device, host):
        generator = neurenix.Generator(11)
        made = [
            neurenix.rand((33, 5), device=where, generator=generator),
            neurenix.rand((7,), device=where, generator=generator),
            neurenix.randn((1001,), device=where, generator=generator),
        ]
        pairs.append([np.array(x.numpy()) for x in made])
    for ours, theirs in zip(pairs[0][:2], pairs[1][:2], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_max_ulp(pairs[0][2], pairs[1][2], maxulp=4)


def _trained(device: Device, seed: int) -> list[float]:
    generator = neurenix.Generator(seed)
    x = neurenix.randn((8, 4), device=device, generator=generator)
    weight = neurenix.randn((3, 4), device=device, generator=generator)
    target = neurenix.Tensor([0, 1, 2, 0, 1, 2, 0, 1], device=device)
    losses = []
    for _ in range(8):
        weight = weight.detach()
        weight.requires_grad = True
        loss = cross_entropy(x @ weight.T, target)
        (slope,) = neurenix.grad(loss, [weight])
        assert slope is not None
        weight = weight - slope * 0.5
        losses.append(loss.item())
    return losses


def test_threads(device: Device) -> None:
    """Several threads work on the device at once, each as if it were alone."""
    alone = [_trained(device, seed) for seed in range(4)]
    together: dict[int, list[float]] = {}
    failures: list[BaseException] = []

    def work(seed: int) -> None:
        try:
            together[seed] = _trained(device, seed)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    for seed, losses in enumerate(alone):
        np.testing.assert_allclose(together[seed], losses, rtol=1e-5)


def test_tensors_of_one_thread_are_read_by_another(device: Device) -> None:
    """Work that one thread has queued is done before another reads the result."""
    x = neurenix.ones((1000,), device=device)
    for _ in range(50):
        x = x + 1.0
    read: list[float] = []
    thread = threading.Thread(target=lambda: read.append(x.sum().item()))
    thread.start()
    thread.join()
    assert read == [51_000.0]


def test_batch_invariance(device: Device) -> None:
    """If the backend claims it: a sample has the same bits alone and in every batch."""
    backend = device.backend
    assert backend is not None
    if not backend.batch_invariant:
        pytest.skip("the backend does not claim it")
    neurenix.manual_seed(2)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 33),
        nn.LayerNorm(33),
        nn.Linear(33, 5),
    )
    model.to(device)
    model.eval()
    x = neurenix.randn((9, 3, 12, 12), device=device)
    with neurenix.no_grad():
        alone = [model(x[i : i + 1]).numpy()[0].tobytes() for i in range(9)]
        for size in (2, 4, 9):
            batch = model(x[:size]).numpy()
            assert [row.tobytes() for row in batch] == alone[:size]
