"""A watch catches what a kernel must not do, and lets good kernels alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import neurenix as nx
from neurenix.backends import Device, Kernel
from neurenix.backends.kernel_table import KernelTable
from neurenix.backends.numpy.table import view
from neurenix.backends.registry import host_device
from neurenix.ops.op import OPS
from neurenix.testing import KernelFault, Watch

Plant = Callable[..., None]


@pytest.fixture
def plant(twin: Device) -> Plant:
    """Return a function that gives the second device another kernel for an op."""

    def replace(op: str, function: Callable[..., None], **options: Any) -> None:
        kernels = {**host_device().kernels.native, op: Kernel(function, **options)}
        twin.kernels = KernelTable(kernels)

    return replace


def negate(twin: Device) -> Any:
    with Watch(twin), nx.no_grad():
        return (-nx.Tensor([[1.0, 2.0], [3.0, 4.0]], device=twin)).tolist()


def test_good_kernels_pass_and_are_named(twin: Device) -> None:
    with Watch(twin) as watch, nx.no_grad():
        x = nx.Tensor([[1.0, 2.0], [3.0, 4.0]], device=twin)
        assert (x.T + 1.0).tolist() == [[2, 4], [3, 5]]
        assert (x > 2).tolist() == [[False, False], [True, True]]
        x[:, 0] = 7.0
        assert x.tolist() == [[7, 2], [7, 4]]
    assert {"add", "gt", "copy"} <= set(watch.ran)
    assert not hasattr(twin.kernels, "_watch")


def test_writes_past_the_end(plant: Plant, twin: Device) -> None:
    def function(out: nx.Tensor, x: nx.Tensor) -> None:
        view(out)[...] = -view(x)
        out.buffer.reshape(-1)[out.offset + out.size] = 0

    plant("neg", function)
    with pytest.raises(KernelFault, match=r"'neg' writes outside its output 0: at element 4"):
        negate(twin)


def test_writes_before_the_beginning(plant: Plant, twin: Device) -> None:
    def function(out: nx.Tensor, x: nx.Tensor) -> None:
        out.buffer.reshape(-1)[: out.offset + out.size] = 0

    plant("neg", function)
    with pytest.raises(KernelFault, match="at element -7"):
        negate(twin)


def test_unwritten_elements(plant: Plant, twin: Device) -> None:
    def function(out: nx.Tensor, x: nx.Tensor) -> None:
        view(out)[0] = -view(x)[0]

    plant("neg", function)
    with pytest.raises(KernelFault, match="leaves 2 of 4 elements"):
        negate(twin)


def test_unwritten_bools(plant: Plant, twin: Device) -> None:
    def function(out: nx.Tensor, x: nx.Tensor, y: nx.Tensor) -> None:
        target = view(out)
        target[view(x) > view(y)] = True

    plant("gt", function, strided=True)
    with Watch(twin), nx.no_grad(), pytest.raises(KernelFault, match="bool output unwritten"):
        nx.ops.gt(nx.Tensor([1.0, 3.0], device=twin), 2.0)


def test_writes_to_an_input(plant: Plant, twin: Device) -> None:
    def function(out: nx.Tensor, x: nx.Tensor) -> None:
        view(x)[...] *= -1
        view(out)[...] = view(x)

    plant("neg", function)
    with pytest.raises(KernelFault, match="writes to its input 0"):
        negate(twin)


def test_another_buffer(plant: Plant, twin: Device) -> None:
    def function(out: nx.Tensor, x: nx.Tensor) -> None:
        out.buffer = -view(x).astype(np.float64)

    plant("neg", function)
    with pytest.raises(KernelFault, match="another buffer"):
        negate(twin)


def test_donated_inputs_may_be_written(twin: Device) -> None:
    """An optimizer's step writes to its parameter, also where that is a view."""
    table = nx.Tensor(np.ones((3, 4), np.float32), device=twin)
    param, grad = table[1], nx.ones((4,), device=twin)
    with Watch(twin) as watch:
        OPS["sgd_step"](param, grad, nx.Tensor(0.5, device=twin), weight_decay=0.0)
    assert "sgd_step" in watch.ran
    assert table.tolist() == [[1] * 4, [0.5] * 4, [1] * 4]


def test_outputs_that_are_views_are_guarded_between_their_elements(
    plant: Plant, twin: Device
) -> None:
    def function(out: nx.Tensor, x: nx.Tensor) -> None:
        view(out)[...] = view(x)
        out.buffer.reshape(-1)[out.offset + 1] = 0  # a gap of the view

    plant("copy", function, strided=True)
    table = nx.zeros((3, 4), device=twin)
    with Watch(twin), pytest.raises(KernelFault, match="'copy' writes outside"):
        table[:, ::2] = nx.ones((3, 2), device=twin)
