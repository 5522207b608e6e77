"""Making a call on a device, and finding out by which kernels it was carried out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from neurenix.autograd import no_grad
from neurenix.backends import Device
from neurenix.dtypes import DType
from neurenix.errors import DeviceError, DTypeError
from neurenix.ops import dispatch
from neurenix.tensor import Tensor
from neurenix.testing.calls import Call
from neurenix.testing.layouts import Layout, place
from neurenix.testing.watched import Watch

Array: TypeAlias = np.ndarray[Any, Any]
Way: TypeAlias = Literal["native", "decomposed", "fallback"]


class NoKernel(Exception):
    """The device would need the host's help."""


@dataclass(frozen=True)
class Outcome:
    """What a call gave.

    Attributes:
        results: Its outputs, on the host.
        dtypes: Their dtypes on the device.
        way: How it was carried out.
        ran: The kernels that ran, in order.
    """

    results: list[Array]
    dtypes: list[DType]
    way: Way
    ran: list[str]


def run(call: Call, device: Device, layout: Layout = "dense") -> Outcome:
    """Make a call on a device under watch, with the host's help forbidden.

    Args:
        call: A call of fixed dtypes.
        device: The device.
        layout: How its inputs lie in memory.

    Raises:
        NoKernel: The device has neither a kernel nor a decomposition that works for the dtypes.
        KernelFault: A kernel did what it must not do.
    """
    tensors = tuple(None if x is None else place(x, device, layout) for x in call.inputs)
    native = has_kernel(call, tensors, device)
    with Watch(device) as watch, no_grad():
        outputs = without_host(call, tensors, device)
        results = [np.array(output.numpy()) for output in outputs]
    if native:
        assert call.op.name in watch.ran, (
            f"{device} has a kernel for {call.op.name!r}, but {watch.ran} ran"
        )
        assert set(watch.ran) <= {call.op.name, "copy"}, (
            f"{call.op.name!r} is native on {device}, but the kernels {watch.ran} ran"
        )
    elif not call.op.view:
        assert call.op.name not in watch.ran, f"{call.op.name!r} ran without a kernel?"
    way: Way = "native" if native or call.op.view else "decomposed"
    return Outcome(results, [output.dtype for output in outputs], way, watch.ran)


def has_kernel(call: Call, tensors: Sequence[Tensor | None], device: Device) -> bool:
    """Whether the device's table has a kernel for a call."""
    key = (call.op, *[None if x is None else x.dtype for x in tensors])
    if "dtype" in call.attrs:
        key = (*key, call.attrs["dtype"])
    return device.kernels[key] is not None


def without_host(
    call: Call, tensors: tuple[Tensor | None, ...], device: Device
) -> tuple[Tensor, ...]:
    """Make a call; what would need the host's help raises `NoKernel`."""
    try:
        return dispatch.execute(call.op, tensors, dict(call.attrs), device)
    except (DeviceError, DTypeError) as error:
        if "has no kernel" in str(error) or "does not take inputs" in str(error):
            raise NoKernel(str(error)) from error
        raise
