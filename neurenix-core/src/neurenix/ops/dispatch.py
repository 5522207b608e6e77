"""From an op and its inputs to results: the tape, the trace, and the kernels.

Resolution of a kernel: the device's own; else the op's decomposition, on the device; else the
NumPy kernel on the host, with a warning once an op (``NEURENIX_HOST_FALLBACK`` = ``warn``,
``silent`` or ``error``).
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from neurenix.backends.registry import host_device
from neurenix.errors import AutogradError, DeviceError, DTypeError, TraceError
from neurenix.ops import tape
from neurenix.ops.mode import mode
from neurenix.plugins.environment import host_fallback

if TYPE_CHECKING:
    from neurenix.backends.device import Device
    from neurenix.dtypes import DType
    from neurenix.ops.op import Op, Shape
    from neurenix.tensor import Tensor

    Inputs = tuple[Tensor | None, ...]

# The class of results. `neurenix.tensor`, which stands above the ops, binds it at its import.
_Tensor: type[Tensor]
_new = object.__new__


def bind(tensor_class: type[Tensor]) -> None:
    """Set the class of results."""
    global _Tensor  # noqa: PLW0603  (once, at import)
    _Tensor = tensor_class


def tensor_class() -> type[Tensor]:
    """Return the class of results."""
    return _Tensor


def make(
    buffer: Any,
    dtype: DType,
    shape: Shape,
    device: Device,
    strides: Shape | None = None,
    offset: int = 0,
) -> Tensor:
    """Return a tensor over a buffer; without strides it is the whole, dense buffer."""
    tensor = _new(_Tensor)
    tensor.buffer = buffer
    tensor.dtype = dtype
    tensor.shape = shape
    tensor._strides = strides
    tensor.offset = offset
    tensor.device = device
    tensor._requires_grad = False
    tensor._node = None
    tensor._version = None
    return tensor


def allocate(shape: Shape, dtype: DType, device: Device) -> Tensor:
    """Return an uninitialised dense tensor."""
    if mode.tracer is not None:
        return mode.tracer.allocate(shape, dtype, device)
    return make(device.empty(shape, dtype), dtype, shape, device)


def apply(op: Op, inputs: Inputs, attrs: dict[str, Any]) -> tuple[Tensor, ...]:
    """Apply an op: run or trace it, and tape it where a gradient is wanted."""
    if not mode.recording:
        return execute(op, inputs, attrs)
    taped = (
        mode.grad and op.differentiable and any(x is not None and x._requires_grad for x in inputs)
    )
    if taped and not op.rules:
        if op.decomposition is None:
            raise AutogradError(
                f"{op.name!r} has no gradient rule; detach() its inputs if it needs none"
            )
        return as_tuple(op.decomposition(*inputs, **attrs))
    if op.donates:
        _check_donation(op, inputs)
    tracer = mode.tracer
    if tracer is None:
        outputs = execute(op, inputs, attrs)
    else:
        outputs = tracer.record(op, inputs, attrs)
    if taped:
        tape.record(op, inputs, attrs, outputs)
    return outputs


def create(op: Op, device: Device, **attrs: Any) -> Tensor:
    """Apply an op that has no inputs, on a device."""
    if mode.tracer is not None:
        return mode.tracer.record(op, (), attrs, device)[0]
    return execute(op, (), attrs, device)[0]


def as_tuple(result: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return a result as a tuple of outputs."""
    return result if isinstance(result, tuple) else (result,)


def _check_donation(op: Op, inputs: Inputs) -> None:
    if not mode.grad:
        return
    for index in op.donates.values():
        target = inputs[index]
        if target is not None and target._requires_grad:
            raise AutogradError(
                f"{op.name!r} would write in place to a tensor of shape {target.shape} that "
                "requires a gradient. Write under no_grad(), or to its detach()"
            )


def common_device(op: Op, inputs: Inputs) -> Device:
    """Return the device that all inputs are on.

    Raises:
        DeviceError: They are on several devices.
    """
    device: Device | None = None
    for x in inputs:
        if x is not None and x.device is not device:
            if device is not None:
                raise DeviceError(
                    f"{op.name!r} got tensors on {device} and on {x.device}; move them to one "
                    "device with .to(device)"
                )
            device = x.device
    if device is None:
        raise DeviceError(f"{op.name!r} got no tensor, so no device")
    return device


def execute(
    op: Op, inputs: Inputs, attrs: dict[str, Any], device: Device | None = None
) -> tuple[Tensor, ...]:
    """Run an op on its device; ``device`` is for ops without inputs."""
    if device is None:
        device = common_device(op, inputs)
    if op.view:
        return (_view(op, inputs, attrs),)
    key = (op, *[None if x is None else x.dtype for x in inputs])
    if "dtype" in attrs:  # fill, iota, cast: the kernel has to know this dtype too
        key = (*key, attrs["dtype"])
    kernel = device.kernels[key]
    if kernel is None:
        return _without_kernel(op, inputs, attrs, device, key)
    if op.donates and not kernel.strided and _strided_donors(op, inputs):
        return _on_dense_donors(op, inputs, attrs, device)
    metas = op.meta(*inputs, **attrs)
    single = len(op.outputs) == 1
    outputs: tuple[Tensor, ...]
    if single and not op.donates:
        outputs = (make(device.empty(metas[0], metas[1]), metas[1], metas[0], device),)
    else:
        outputs = _outputs(op, inputs, (metas,) if single else metas, device)
    if not kernel.strided:
        inputs = tuple(None if x is None else dense(x) for x in inputs)
    kernel.function(outputs[0] if single else outputs, *inputs, **attrs)
    return outputs


def _outputs(op: Op, inputs: Inputs, metas: Any, device: Device) -> tuple[Tensor, ...]:
    outputs = []
    for index, (shape, dtype) in enumerate(metas):
        donor = inputs[op.donates[index]] if index in op.donates else None
        if donor is None:
            outputs.append(allocate(shape, dtype, device))
        else:
            written(donor)
            outputs.append(donor)
    return tuple(outputs)


def _strided_donors(op: Op, inputs: Inputs) -> bool:
    donors = (inputs[index] for index in op.donates.values())
    return any(donor is not None and not donor.is_contiguous() for donor in donors)


def _on_dense_donors(
    op: Op, inputs: Inputs, attrs: dict[str, Any], device: Device
) -> tuple[Tensor, ...]:
    """Run an op that writes in place on dense copies of what it writes, and write those back."""
    copies = list(inputs)
    for index in op.donates.values():
        donor = inputs[index]
        copies[index] = None if donor is None else dense(donor)
    outputs = list(execute(op, tuple(copies), attrs, device))
    for output, index in op.donates.items():
        donor = inputs[index]
        if donor is not None and donor is not copies[index]:
            written(donor)
            copy_into(donor, outputs[output])
            outputs[output] = donor
    return tuple(outputs)


def written(tensor: Tensor) -> None:
    """Note that a tensor's buffer is written."""
    if tensor._version is not None:
        tensor._version.value += 1


def _view(op: Op, inputs: Inputs, attrs: dict[str, Any]) -> Tensor:
    source = inputs[0]
    assert source is not None
    shape, strides, offset = op.meta(source, **attrs)
    view = make(source.buffer, source.dtype, shape, source.device, strides, offset)
    view._version = tape.version_of(source)
    return view


def dense(tensor: Tensor) -> Tensor:
    """Return the tensor if it is dense (at any offset), else a dense copy."""
    if tensor.is_contiguous():
        return tensor
    out = allocate(tensor.shape, tensor.dtype, tensor.device)
    copy_into(out, tensor)
    return out


def copy_into(out: Tensor, source: Tensor) -> None:
    """Write ``source`` into ``out``, strided to strided, of one shape and dtype."""
    if mode.tracer is not None:
        mode.tracer.write(out, source)
        return
    out.device.kernels.native["copy"].function(out, source)


def _without_kernel(
    op: Op, inputs: Inputs, attrs: dict[str, Any], device: Device, key: tuple[Any, ...]
) -> tuple[Tensor, ...]:
    if op.decomposition is None:
        return _on_host(op, inputs, attrs, device, key)
    grad, tracer = mode.grad, mode.tracer
    mode.set(grad=False, tracer=None)
    try:
        outputs = list(as_tuple(op.decomposition(*inputs, **attrs)))
    finally:
        mode.set(grad=grad, tracer=tracer)
    for index, result in enumerate(outputs):
        donor = inputs[op.donates[index]] if index in op.donates else None
        if donor is not None:
            written(donor)
            if donor is not result:
                copy_into(donor, result)
            outputs[index] = donor
        elif any(result is x for x in inputs):
            outputs[index] = result._alias()
    return tuple(outputs)


_warned: set[tuple[str, str]] = set()


def _on_host(
    op: Op, inputs: Inputs, attrs: dict[str, Any], device: Device, key: tuple[Any, ...]
) -> tuple[Tensor, ...]:
    host = host_device()
    dtypes = ", ".join(str(x.dtype) for x in inputs if x is not None)
    if op.name not in host.kernels.native:
        raise DeviceError(
            f"{op.name!r} has no kernel on {device}, none on the host and no decomposition; "
            "declare one with its decompose()"
        )
    if host is device or host.kernels[key] is None:
        raise DTypeError(f"{op.name!r} does not take inputs of dtype {dtypes}; cast them first")
    policy = host_fallback()
    message = f"{op.name!r} of ({dtypes}) has no kernel on {device}"
    if policy == "error":
        raise DeviceError(f"{message}, and NEURENIX_HOST_FALLBACK=error forbids the host's")
    if policy != "silent" and (op.name, device.type) not in _warned:
        _warned.add((op.name, device.type))
        warnings.warn(f"{message}: it runs on the host, with copies", RuntimeWarning, stacklevel=4)
    moved = tuple(None if x is None else transfer(x, host) for x in inputs)
    outputs = list(execute(op, moved, attrs, host))
    for index, result in enumerate(outputs):
        donor = inputs[op.donates[index]] if index in op.donates else None
        outputs[index] = transfer(result, device)
        if donor is not None:
            written(donor)
            copy_into(donor, outputs[index])
            outputs[index] = donor
    return tuple(outputs)


def transfer(tensor: Tensor, device: Device) -> Tensor:
    """Return an untaped copy of a tensor on another device.

    Raises:
        TraceError: A trace is running, which stays on one device.
    """
    if mode.tracer is not None:
        raise TraceError(
            f"a tensor cannot move from {tensor.device} to {device} in a trace: a graph runs on "
            "one device. Move inputs and parameters before, or trace the parts apart"
        )
    source, target = tensor.device.backend, device.backend
    if source is None or target is None:
        raise DeviceError(f"the device {device} is not open")
    buffer = target.from_host(source.to_host(tensor), device.index)
    return make(buffer, tensor.dtype, tensor.shape, device)
