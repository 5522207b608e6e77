"""Moving and casting tensors, and writing to them in place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from neurenix.backends.device import Device, DeviceType
from neurenix.backends.registry import cpu_device, resolve
from neurenix.dtypes import Scalar, as_dtype, bool_, float32, float64, int64
from neurenix.errors import AutogradError, ShapeError
from neurenix.ops import dispatch, movement, tape
from neurenix.ops import elementwise as ew
from neurenix.ops.mode import mode
from neurenix.ops.op import TensorMeta, primitive
from neurenix.ops.scalars import constant

if TYPE_CHECKING:
    from neurenix.tensor import Tensor


def _is_device(target: Any) -> bool:
    if isinstance(target, (Device, DeviceType)):
        return True
    if not isinstance(target, str):
        return False
    try:
        as_dtype(target)
    except TypeError:
        return True
    return False


Flag: TypeAlias = bool  # inside the class, `bool` is the method


class Conversion:
    """Methods that give a tensor another dtype or device, or write to it."""

    __slots__ = ()

    def astype(self: Any, dtype: Any) -> Tensor:
        """Return the tensor in another dtype; itself if it has that dtype."""
        chosen = dtype if self.dtype is dtype else as_dtype(dtype)
        return self if self.dtype is chosen else ew.cast(self, dtype=chosen)

    def float(self: Any) -> Tensor:
        """Return the tensor as float32."""
        return self if self.dtype is float32 else ew.cast(self, dtype=float32)

    def double(self: Any) -> Tensor:
        """Return the tensor as float64."""
        return Conversion.astype(self, float64)

    def long(self: Any) -> Tensor:
        """Return the tensor as int64."""
        return Conversion.astype(self, int64)

    def bool(self: Any) -> Tensor:
        """Return where elements are not zero."""
        return self if self.dtype is bool_ else ew.ne(self, 0)

    def to(self: Any, target: Any, *, inplace: Flag = False) -> Tensor:
        """Return the tensor on another device, or in another dtype.

        Args:
            target: A device or a dtype, or the name of one.
            inplace: Move this very tensor: its identity and ``requires_grad`` stay, its
                ``grad`` moves along. Only leaves can be moved so.

        Raises:
            AutogradError: ``inplace`` on a tensor that is no leaf.
            DeviceError: There is no such device.
        """
        tensor: Tensor = self
        if inplace and tensor._node is not None:
            raise AutogradError(
                "to(inplace=True) needs a leaf; the result of an op is moved with to(device)"
            )
        if not _is_device(target):
            moved = (tensor.detach() if inplace else tensor).astype(target)
        else:
            device = resolve(target)
            if device is tensor.device:
                return tensor
            moved = _transfer(tensor.detach() if inplace else tensor, device)
        if not inplace:
            return moved
        followed, grad = tensor.requires_grad, tensor.grad
        tensor._describe(moved)
        tensor.requires_grad = followed
        if grad is not None:
            tensor.grad = grad.to(target)
        return tensor

    def cpu(self: Any) -> Tensor:
        """Return the tensor on the host."""
        tensor: Tensor = self
        return tensor.to(cpu_device())

    def copy_(self: Any, source: Any) -> Tensor:
        """Write another tensor's values, broadcast and cast, and return this tensor.

        Raises:
            AutogradError: Autograd follows this tensor or the source.
            ShapeError: The source does not broadcast to this tensor's shape.
        """
        if not isinstance(source, dispatch.tensor_class()):
            source = dispatch.tensor_class()(source, dtype=self.dtype, device=self.device)
        if mode.grad and (self._requires_grad or source._requires_grad):
            raise AutogradError(
                "copy_ would write to, or lose the gradient of, a tensor that autograd follows; "
                "write under no_grad()"
            )
        source = source.to(self.device).astype(self.dtype)
        if source.buffer is self.buffer:  # the write could overtake the reading
            source = source.clone()
        return _write(self, movement.expand(source, self.shape))

    def fill_(self: Any, value: Scalar) -> Tensor:
        """Write a value everywhere, and return this tensor.

        Raises:
            AutogradError: Autograd follows this tensor.
        """
        return Conversion.copy_(self, constant(value, self.dtype, self.device))

    def zero_(self: Any) -> Tensor:
        """Write 0 everywhere, and return this tensor."""
        return Conversion.fill_(self, 0)


def _write(target: Tensor, source: Tensor) -> Tensor:
    if target.shape != source.shape:
        raise ShapeError(f"values of shape {source.shape} cannot be written to {target.shape}")
    movement.assign(target, source, starts=(0,) * target.ndim, steps=(1,) * target.ndim)
    return target


def _transfer(tensor: Tensor, device: Device) -> Tensor:
    """Move a tensor, on the tape where it is followed."""
    if not (mode.grad and tensor._requires_grad):
        return dispatch.transfer(tensor, device)
    out = dispatch.transfer(tensor.detach(), device)
    tape.record(to_device, (tensor,), {"device": device, "source": tensor.device}, (out,))
    return out


def _to_device_meta(x: Any, *, device: Device, source: Device) -> TensorMeta:
    return TensorMeta(x.shape, x.dtype)


to_device = primitive("to_device", meta=_to_device_meta)
to_device.vjp("x")(lambda grad, source: grad.to(source))
