"""The tensor: a description of a buffer, and its place on the tape."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from neurenix.backends.device import Device, DeviceLike
from neurenix.backends.registry import DLPACK_HOST, resolve
from neurenix.dtypes import DType, as_dtype, float32, is_floating
from neurenix.errors import AutogradError, DTypeError, ShapeError, TraceError
from neurenix.ops import dispatch, tape
from neurenix.ops.mode import Symbolic, mode
from neurenix.ops.op import Shape
from neurenix.ops.scalars import TensorLike
from neurenix.ops.shapes import dense_strides
from neurenix.tensor import indexing
from neurenix.tensor.conversion import Conversion
from neurenix.tensor.creators import Creators
from neurenix.tensor.host import Array, as_array
from neurenix.tensor.methods import Methods
from neurenix.tensor.operators import Operators

if TYPE_CHECKING:
    from neurenix.ops.tape import Hook, Node, Version


class Tensor(Operators, Methods, Conversion, Creators):
    """An n-dimensional array of one dtype on one device, which autograd can follow.

    ``==`` compares elements; tensors hash by identity.

    Args:
        data: Nested lists of numbers, a number, a NumPy array (copied), or a tensor.
        dtype: The dtype; else the data's own, where Python floats give float32 and ints int64.
        device: Where to put it; else the default device.
        requires_grad: Whether autograd follows it.

    Attributes:
        buffer: The backend's memory; several tensors may view one.
        dtype: The elements' dtype, a NumPy dtype object.
        shape: The sizes of the axes.
        offset: Where the first element lies in the buffer, in elements.
        device: Where the buffer is.

    Raises:
        DTypeError: The data is no array of numbers.
        ShapeError: Nested lists of unequal lengths.
    """

    __slots__ = (
        "__weakref__",
        "_grad",
        "_hooks",
        "_node",
        "_output",
        "_requires_grad",
        "_strides",
        "_version",
        "buffer",
        "device",
        "dtype",
        "offset",
        "shape",
    )

    # NumPy hands its binary operators over instead of looping over the elements.
    __array_ufunc__ = None

    buffer: Any
    dtype: DType
    shape: Shape
    offset: int
    device: Device
    _grad: Tensor | None
    _strides: Shape | None
    _requires_grad: bool
    _node: Node | None
    _output: int
    _version: Version | None
    _hooks: list[Hook]

    def __init__(
        self,
        data: Any,
        dtype: Any = None,
        device: DeviceLike | None = None,
        requires_grad: bool = False,
    ) -> None:
        if isinstance(data, Tensor):
            target = data.device if device is None else resolve(device)
            source = data.detach().to(target).astype(data.dtype if dtype is None else dtype)
            self._describe(source if source.buffer is not data.buffer else source.clone())
        else:
            array = as_array(data, None if dtype is None else as_dtype(dtype))
            target = resolve(device)
            assert target.backend is not None
            buffer = target.backend.from_host(array, target.index)
            self._describe(dispatch.make(buffer, array.dtype, array.shape, target))
        self.requires_grad = requires_grad

    def _describe(self, source: Tensor) -> None:
        """Become an untaped tensor over the buffer of another."""
        self.buffer, self.offset = source.buffer, source.offset
        self.dtype, self.device = source.dtype, source.device
        self.shape, self._strides = source.shape, source._strides
        self._version = source._version
        self._requires_grad, self._node = False, None

    # Description --------------------------------------------------------------------------------

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        count = 1
        for size in self.shape:
            count *= size
        return count

    @property
    def nbytes(self) -> int:
        """The bytes that the elements take."""
        return self.size * self.dtype.itemsize

    @property
    def strides(self) -> Shape:
        """The steps between neighbours along each axis, in elements."""
        return dense_strides(self.shape) if self._strides is None else self._strides

    def is_contiguous(self) -> bool:
        """Whether the elements lie one after the other, in row-major order."""
        strides = self._strides
        if strides is None or 0 in self.shape:
            return True
        dense = dense_strides(self.shape)
        return strides == dense or all(
            size == 1 or a == b for size, a, b in zip(self.shape, strides, dense, strict=True)
        )

    @property
    def T(self) -> Tensor:
        """A view with the axes in reverse order."""
        return self.permute(tuple(reversed(range(self.ndim))))

    # Autograd -----------------------------------------------------------------------------------

    @property
    def grad(self) -> Tensor | None:
        """What `backward` has added up, of the tensor's own shape; or None."""
        try:
            return self._grad
        except AttributeError:  # a slot that most tensors never use, and so is not set for them
            return None

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        self._grad = value

    @property
    def requires_grad(self) -> bool:
        """Whether autograd follows this tensor. It can be set on a leaf."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if self._node is not None:
            if value:
                return
            raise AutogradError(
                "requires_grad can only be turned off on a leaf; use detach() for a tensor that "
                "autograd does not follow"
            )
        if value and not is_floating(self.dtype):
            raise AutogradError(
                f"only floating-point tensors have gradients, not {self.dtype}: cast it first, or "
                "write its values as 1.0, 2.0"
            )
        self._requires_grad = bool(value)

    def requires_grad_(self, value: bool = True) -> Tensor:
        """Set ``requires_grad`` and return the tensor."""
        self.requires_grad = value
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether it is no result of a taped op."""
        return self._node is None

    def _connect(self, node: Node, output: int) -> None:
        self._node, self._output, self._requires_grad = node, output, True

    def _alias(self) -> Tensor:
        """Return another tensor over the same buffer and version, off the tape."""
        alias = dispatch.make(
            self.buffer, self.dtype, self.shape, self.device, self._strides, self.offset
        )
        alias._version = tape.version_of(self)
        return alias

    def backward(self, grad: Tensor | None = None, retain_graph: bool = False) -> None:
        """Add the gradients of this tensor to the ``grad`` of every leaf it depends on.

        Args:
            grad: The gradient of the final result with respect to this tensor; a tensor of one
                element needs none.
            retain_graph: Keep the tape, so that backward can run through it again.

        Raises:
            AutogradError: It is not on the tape, or has several elements and no ``grad``.
        """
        from neurenix.autograd.backward import backward

        backward(self, grad, retain_graph)

    def detach(self) -> Tensor:
        """Return a tensor over the same buffer that autograd does not follow."""
        return self._alias()

    def register_hook(self, hook: Hook) -> Callable[[], None]:
        """Call ``hook(grad)`` when this tensor's gradient is there; it may return another.

        Returns:
            A function that removes the hook.

        Raises:
            AutogradError: The tensor requires no gradient.
        """
        if not self._requires_grad:
            raise AutogradError("a hook needs a tensor that requires a gradient")
        if self._node is None:
            try:
                hooks = self._hooks
            except AttributeError:
                hooks = self._hooks = []
        else:
            if self._node.hooks is None:
                self._node.hooks = {}
            hooks = self._node.hooks.setdefault(self._output, [])
        hooks.append(hook)
        return lambda: hooks.remove(hook) if hook in hooks else None

    # Values on the host -------------------------------------------------------------------------

    def numpy(self) -> Array:
        """Return the values as a NumPy array: read-only, and without a copy on the CPU.

        Raises:
            TraceError: The tensor is part of a trace and has no values.
            AutogradError: It requires a gradient; detach() it first.
        """
        if self._requires_grad and mode.grad:
            raise AutogradError(
                "this tensor requires a gradient, which an array would lose: use .detach().numpy()"
            )
        return self._host()

    def _host(self) -> Array:
        if isinstance(self.buffer, Symbolic):
            raise TraceError(f"a traced tensor has no values{_caller()}")
        if mode.tracer is not None:
            mode.tracer.read(self)
        backend = self.device.backend
        assert backend is not None
        array = backend.to_host(self).view()
        array.flags.writeable = False
        return array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            if copy is False:
                raise ValueError(f"a copy is needed to go from {array.dtype} to {dtype}")
            return array.astype(dtype)
        return array.copy() if copy else array

    def item(self) -> Any:
        """Return the one element as a Python number.

        Raises:
            ShapeError: There is not exactly one element.
        """
        if self.size != 1:
            raise ShapeError(f"item() needs exactly one element; the shape is {self.shape}")
        value = self._host().reshape(()).item()
        return float(value) if is_floating(self.dtype) else value

    def tolist(self) -> Any:
        """Return the elements as nested lists of Python numbers."""
        array = self._host()
        return (array.astype(np.float64) if is_floating(self.dtype) else array).tolist()

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ShapeError(
                f"the truth of a tensor of shape {self.shape} is ambiguous: use any() or all()"
            )
        return bool(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if is_floating(self.dtype):
            raise DTypeError(f"an index needs an integer, not {self.dtype}")
        return int(self.item())

    def __len__(self) -> int:
        if not self.shape:
            raise ShapeError("a 0-d tensor has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __contains__(self, value: Any) -> bool:
        return bool((self == value).any())

    def __repr__(self) -> str:
        if isinstance(self.buffer, Symbolic):
            return f"Tensor(traced, shape={self.shape}, dtype={self.dtype})"
        array = self._host()
        shown = array.astype(float32) if self.dtype.kind == "V" else array
        text = np.array2string(shown, separator=", ", prefix="Tensor(", threshold=200)
        notes = [f"shape={self.shape}"] if self.size == 0 else []
        notes += [f"dtype={self.dtype}"] if self.dtype != float32 else []
        notes += [f"device={str(self.device)!r}"] if self.device is not resolve() else []
        if self._node is not None:
            notes.append(f"grad_fn={self._node!r}")
        elif self._requires_grad:
            notes.append("requires_grad=True")
        return f"Tensor({', '.join([text, *notes])})"

    def __dlpack__(self, **options: Any) -> Any:
        version = tape.version_of(self)
        version.lent = True  # the borrower may write it at any time
        backend: Any = self.device.backend
        if hasattr(backend, "to_dlpack"):
            return backend.to_dlpack(self, **options)
        return backend.to_host(self).__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        backend: Any = self.device.backend
        if hasattr(backend, "dlpack_device"):
            kind, index = backend.dlpack_device(self.device.index)
            return kind, index
        return DLPACK_HOST

    def __copy__(self) -> Tensor:
        return self.clone()

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if self._node is not None:
            raise AutogradError("only leaves can be deep-copied; detach() the tensor first")
        twin = self.detach().clone()
        twin.requires_grad = self._requires_grad
        memo[id(self)] = twin
        return twin

    def __reduce__(self) -> Any:
        raise TypeError("tensors are not pickled; save them with neurenix.io.save_safetensors")

    # Elements -----------------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> Tensor:
        return indexing.read(self, key)

    def __setitem__(self, key: Any, value: TensorLike) -> None:
        indexing.write(self, key, value)


def _caller() -> str:
    """Return where, outside this package, the current call comes from."""
    import traceback

    for frame in reversed(traceback.extract_stack()):
        if "/neurenix/" not in frame.filename.replace("\\", "/"):
            return f": {frame.filename}, line {frame.lineno}: {frame.line}"
    return ""


dispatch.bind(Tensor)
