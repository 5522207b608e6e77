"""What only a GPU can show: the vendor's libraries, graphs of the driver's, memory that is shared.

`tox -e cuda` runs these. `NEURENIX_TEST_GPU_DEVICE` names another device than ``cuda``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import pytest

import neurenix as nx
from neurenix import nn, optim
from neurenix.errors import DeviceError
from neurenix.graph import RecordedPlan, TensorMeta, make_executable, trace

Array = np.ndarray[Any, Any]


@pytest.fixture(scope="module")
def cuda() -> nx.Device:
    try:
        return nx.ones((1,), device=os.environ.get("NEURENIX_TEST_GPU_DEVICE", "cuda")).device
    except DeviceError as error:
        pytest.skip(f"there is no GPU: {error}")


@pytest.fixture
def native(cuda: nx.Device) -> Any:
    package = type(cuda.backend).__module__.rpartition(".")[0]
    return import_module(f"{package}._native")


def draw(*shape: int) -> Array:
    return np.random.default_rng(8).standard_normal(shape).astype(np.float32)


def test_the_vendors_libraries_are_open(cuda: nx.Device) -> None:
    details = cuda.backend.devices()[0].details
    assert {"cuBLASLt", "rocBLAS"} & set(details)
    assert [text for text in details.values() if text.startswith("absent")] == []


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float32", 1e-5), ("float16", 5e-3), ("bfloat16", 3e-2)]
)
def test_products_and_convolutions_are_near(cuda: nx.Device, dtype: str, tolerance: float) -> None:
    kind = getattr(nx, dtype)
    x, y = nx.Tensor(draw(300, 512), dtype=kind), nx.Tensor(draw(512, 200), dtype=kind)
    near(x.to(cuda) @ y.to(cuda), x.astype(nx.float64) @ y.astype(nx.float64), tolerance)
    photos, weight = nx.Tensor(draw(4, 64, 28, 28)), nx.Tensor(draw(128, 64, 3, 3))
    photos, weight = photos.astype(kind), weight.astype(kind)
    expected = nn.functional.conv2d(photos.astype(nx.float64), weight.astype(nx.float64), padding=1)
    near(nn.functional.conv2d(photos.to(cuda), weight.to(cuda), padding=1), expected, tolerance)


def near(found: nx.Tensor, expected: nx.Tensor, tolerance: float) -> None:
    ours, theirs = (t.numpy().astype(np.float64) for t in (found, expected))
    assert np.abs(ours - theirs).max() < tolerance * np.abs(theirs).max()


def trained(cuda: nx.Device, compiled: bool) -> list[Array]:
    nx.manual_seed(2)
    model = nx.models.resnet18(num_classes=10).to(cuda).train()
    optimizer = optim.AdamW(model.parameters(), lr=1e-3)

    def step(x: nx.Tensor, y: nx.Tensor) -> nx.Tensor:
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    run = nx.compile(step, fallback="error") if compiled else step
    x, y = nx.Tensor(draw(8, 3, 64, 64), device=cuda), nx.Tensor(np.arange(8), device=cuda)
    for _ in range(4):
        run(x, y)
    return [p.detach().numpy() for p in model.parameters()]


@pytest.mark.parametrize("compiled", [False, True])
def test_training_gives_the_same_bits_each_time(cuda: nx.Device, compiled: bool) -> None:
    first, second = trained(cuda, compiled), trained(cuda, compiled)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_a_plan_is_a_graph_of_the_drivers(cuda: nx.Device) -> None:
    model = nx.models.resnet18(num_classes=10).to(cuda).eval()
    x = nx.Tensor(draw(4, 3, 64, 64), device=cuda)
    plan = make_executable(trace(model, TensorMeta(x.shape, x.dtype)))
    assert isinstance(plan, RecordedPlan), plan
    with nx.no_grad():
        for factor in (1.0, 2.0, 3.0):
            near(plan.run([x * factor])[0], model(x * factor), 1e-4)


def torch_tensor() -> Any:
    return pytest.importorskip("torch").ones(4, 6, device="cuda")


def cupy_array() -> Any:
    return pytest.importorskip("cupy").ones((4, 6), "float32")


@pytest.mark.parametrize("make", [torch_tensor, cupy_array], ids=["PyTorch", "CuPy"])
def test_memory_is_shared(cuda: nx.Device, native: Any, make: Callable[[], Any]) -> None:
    theirs = make()
    ours = nx.from_dlpack(theirs)
    assert ours.device is cuda
    theirs += 1  # queued by the other library
    theirs[0] = 7
    back = type(theirs).__module__.partition(".")[0]
    again = pytest.importorskip(back).from_dlpack(nx.from_dlpack(theirs))
    again += 1
    synchronize(back)
    assert ours.numpy()[0].tolist() == [8.0] * 6
    assert ours.numpy()[1].tolist() == [3.0] * 6


def synchronize(library: str) -> None:
    if library == "torch":
        pytest.importorskip("torch").cuda.synchronize()
    else:
        pytest.importorskip("cupy").cuda.Device().synchronize()


def test_a_plan_holds_no_memory_when_it_is_gone(cuda: nx.Device, native: Any) -> None:
    import gc

    model = nx.models.resnet18(num_classes=10).to(cuda).eval()
    x = nx.Tensor(draw(8, 3, 64, 64), device=cuda)
    before = native.memory_statistics(cuda.index)[0]
    plan = make_executable(trace(model, TensorMeta(x.shape, x.dtype)))
    plan.run([x])
    assert native.memory_statistics(cuda.index)[0] > before
    del plan
    gc.collect()
    assert native.memory_statistics(cuda.index)[0] == before
