"""A device that has the primitives alone, of the compulsory dtypes: everything else must follow.

The host's help is forbidden, and every kernel checks what it is given: float32, int32 and bool
everywhere, int64 only where an index is named or found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest

import neurenix as nx
from neurenix import nn, ops, optim
from neurenix.backends import registry
from neurenix.backends.kernel_table import KernelTable
from neurenix.backends.numpy.backend import NumpyBackend
from neurenix.backends.protocol import Kernel
from neurenix.dtypes import bool_, float32, int32, int64
from neurenix.errors import DeviceError
from neurenix.ops.op import OPS
from neurenix.testing import Sample, samples, samples_movement, samples_nn, samples_of

COMPULSORY = frozenset((float32, int32, bool_))
# Where int64 may come: the inputs that are indices, and results that are, or count.
INDEX_INPUTS = {"gather": {1}, "scatter": {1}, "scatter_add": {1}, "cast": {0}, "copy": {0}}
INDEX_RESULTS = {"argmax", "argmin", "cast", "copy", "iota", "fill", "sum"}


def strict(name: str, kernel: Kernel) -> Kernel:
    def run(out: nx.Tensor, *inputs: nx.Tensor, **attrs: Any) -> None:
        allowed = COMPULSORY | ({int64} if name in INDEX_RESULTS else set())
        assert out.dtype in allowed, f"{name} gives {out.dtype}"
        for place, x in enumerate(inputs):
            indices = {int64} if place in INDEX_INPUTS.get(name, ()) else set()
            assert x.dtype in COMPULSORY | indices, f"{name} takes {x.dtype}"
            assert kernel.strided or name == "copy" or x.is_contiguous()
        kernel.function(out, *inputs, **attrs)

    return Kernel(run, COMPULSORY | {int64}, strided=name == "copy")


class PrimitivesAlone(NumpyBackend):
    def kernels(self) -> Mapping[str, Kernel]:
        return {
            name: strict(name, kernel)
            for name, kernel in super().kernels().items()
            if name in OPS and OPS[name].decomposition is None
        }


@pytest.fixture(scope="module")
def bare() -> Iterator[nx.Device]:
    device, backend = nx.Device("bare"), PrimitivesAlone()
    device.kernels = KernelTable(backend.kernels())
    device.empty = backend.allocator(0)
    device.backend = backend
    yield device
    del nx.Device._interned["bare", 0, None]


@pytest.fixture(autouse=True)
def no_help_from_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEURENIX_HOST_FALLBACK", "error")


def single(value: Any) -> nx.Tensor:
    array = np.asarray(value)
    return nx.Tensor(array.astype(np.float32) if array.dtype == np.float64 else array)


def values_and_gradients(sample: Sample) -> list[np.ndarray | None]:
    leaves = [nx.Tensor(x.astype(np.float32), requires_grad=True) for x in sample.inputs]
    out = sample.function(*leaves)
    seed = nx.ones_like(out.detach())
    found = nx.grad(out, leaves, grad_outputs=seed, allow_unused=True)
    return [out.detach().numpy(), *(None if g is None else g.numpy() for g in found)]


# `to_device` needs a second device.
NAMES = sorted(op.name for op in OPS.values() if op.rules and op.name != "to_device")


@pytest.mark.parametrize("name", NAMES)
def test_every_op_and_its_gradients(
    name: str, bare: nx.Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (samples, samples_movement, samples_nn):
        monkeypatch.setattr(module, "constant", single)
    expected = [values_and_gradients(sample) for sample in samples_of(name)]
    monkeypatch.setattr(registry, "default_device", lambda: bare)
    for sample, results in zip(samples_of(name), expected, strict=True):
        for ours, theirs in zip(values_and_gradients(sample), results, strict=True):
            assert (ours is None) == (theirs is None)
            if ours is not None:
                assert ours.dtype == theirs.dtype
                np.testing.assert_allclose(ours, theirs, 1e-4, 1e-5, err_msg=str(sample))


def train(device: nx.Device, optimizer: Callable[..., optim.Optimizer]) -> list[float]:
    nx.manual_seed(3)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 4, 3, stride=2, groups=2),
        nn.GELU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(4, 3),
    )
    model.to(device)
    x = nx.randn((6, 1, 8, 8)).to(device)
    labels = nx.Tensor([0, 1, 2, 0, 1, 2], device=device)
    update = optimizer(model.parameters())
    losses = []
    for _ in range(4):
        loss = ops.cross_entropy(model(x), labels, label_smoothing=0.1)
        update.zero_grad()
        loss.backward()
        optim.clip_grad_norm_(model.parameters(), 1.0)
        update.step()
        losses.append(loss.item())
    model.eval()
    with nx.no_grad():
        predicted = model(x).argmax(dim=1)
    # int64 is compared where the labels are read, not on a device that may have none of it.
    return [*losses, (predicted.cpu() == labels.cpu()).sum().item()]


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda parameters: optim.AdamW(parameters, lr=0.01, weight_decay=0.1),
        lambda parameters: optim.SGD(parameters, lr=0.1, momentum=0.9, nesterov=True),
    ],
)
def test_a_small_network_trains_as_on_the_host(
    optimizer: Callable[..., optim.Optimizer], bare: nx.Device
) -> None:
    ours, theirs = train(bare, optimizer), train(nx.Device("cpu"), optimizer)
    assert ours[0] > ours[3]
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)


def test_other_ops_that_models_and_metrics_use(
    bare: nx.Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = np.random.default_rng(0).standard_normal((4, 5)).astype(np.float32)

    def results() -> list[Any]:
        x = nx.Tensor(array)
        y = x.clone()
        y[1:3, ::2] = 0
        y[[0, 3], [1, 2]] = 7
        return [
            *x.sort(1, descending=True),
            *x.topk(2, 0),
            x.argsort(0),
            x.flip(1),
            x[[2, 0], [-1, 1]],
            (x > 0).any(1),
            (x > 0).all(0),
            (x > 0).sum(),
            (x[0] > 0).float().mean(),
            y,
            x.std(0),
            ops.one_hot(x.argmax(1), 5),
            ops.eye(3, 4),
            ops.logsumexp(x, 1),
            ops.embedding(x.argmax(1), x.T),
            ops.scaled_dot_product_attention(x, x, x, is_causal=True),
            nx.rand((7,), generator=nx.Generator(1)),
            nx.randn((7,), generator=nx.Generator(1)),
        ]

    expected = [r.numpy() for r in results()]
    monkeypatch.setattr(registry, "default_device", lambda: bare)
    for number, (ours, theirs) in enumerate(zip(results(), expected, strict=True)):
        assert ours.device is bare
        np.testing.assert_allclose(ours.numpy(), theirs, 1e-5, 1e-6, err_msg=str(number))


def test_a_dtype_that_a_kernel_would_have_to_produce_is_looked_up_too(bare: nx.Device) -> None:
    for call in (
        lambda: nx.ones(2, device=bare).astype(nx.float64),
        lambda: nx.zeros(2, nx.float16, device=bare),
        lambda: nx.arange(3, dtype=nx.uint8, device=bare),
    ):
        with pytest.raises(DeviceError, match="has no kernel on bare"):
            call()
