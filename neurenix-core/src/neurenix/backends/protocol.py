"""What a backend provides: the whole contract between core and a device.

A backend owns memory and kernels. Shapes, strides and views are core's, on every backend.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

from neurenix.dtypes import ALL, DType

if TYPE_CHECKING:
    import numpy as np

    from neurenix.tensor import Tensor

Shape: TypeAlias = tuple[int, ...]
Buffer: TypeAlias = Any
KernelFunction: TypeAlias = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Kernel:
    """A function ``function(out, *inputs, **attrs) -> None`` that carries out one op.

    ``out`` and ``inputs`` are tensors (``out`` a tuple where the op has several outputs, an
    input ``None`` where the op leaves it out). Outputs are allocated and dense; inputs are
    dense, at any offset, unless the kernel is ``strided``. A kernel never allocates a result.

    Attributes:
        function: The code.
        dtypes: It serves inputs whose dtypes are all among these, as is an attribute ``dtype``.
            The kernel of ``copy`` moves bytes, and so serves every dtype whatever stands here.
        strided: It reads inputs of any non-negative strides, and writes such outputs where the
            op writes an input in place.
        in_place: ``out`` may be the very buffer of an input of the same shape, dtype and layout:
            each element is read before it is written.
    """

    function: KernelFunction
    dtypes: frozenset[DType] = frozenset(ALL)
    strided: bool = False
    in_place: bool = False


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """One device that a backend has found.

    Attributes:
        index: Its index among the backend's devices.
        description: What a person would call it, such as the name of the processor.
        memory_bytes: Its memory, where the backend can tell.
        software: It emulates hardware; automatic choice passes it over.
        details: Anything else worth showing, name to value.
        name: What the device is called, such as ``"cuda:1"``; core fills it in.
    """

    index: int
    description: str
    memory_bytes: int | None = None
    software: bool = False
    details: Mapping[str, str] = field(default_factory=dict)
    name: str = ""


@runtime_checkable
class Backend(Protocol):
    """The code behind a device type.

    One in-order queue a device: kernels run in the order in which they are called, and the
    release of a buffer is ordered with them.

    Some members are optional. ``compile(graph) -> Executable | None`` takes graphs over from
    core's own executor (see `neurenix.compile`); None, or a `PlanError` that says why, leaves a
    graph to it. ``precisions``, a sequence of names, says that
    its plans may be narrower than float32: ``compile(graph, precision)`` is then called with a
    `neurenix.graph.Precision` where one of them is asked for, and with the graph alone for
    float32. ``share_host(array, index) -> Buffer`` returns a buffer over the very memory of a
    dense, aligned, writable array: `neurenix.from_numpy` and weights read from files are on such a
    device then, without a copy.

    Three more, together, lend memory that is not the host's to other libraries and borrow theirs,
    by DLPack: ``dlpack_device(index) -> (type, index)``, ``to_dlpack(tensor, **options)``, which
    returns a capsule, and ``from_dlpack(source, index) -> (buffer, dtype, shape, strides)``, where
    strides None stand for dense.

    Attributes:
        batch_invariant: A sample's result has the same bits whatever batch it is part of.
    """

    batch_invariant: bool

    def devices(self) -> Sequence[DeviceInfo]:
        """Return the devices that there are, by index."""
        ...

    def allocator(self, index: int) -> Callable[[Shape, DType], Buffer]:
        """Return the function that allocates on a device; core calls it for every output.

        A buffer is dense, row-major and uninitialised, and is freed when it is collected.
        """
        ...

    def from_host(self, array: np.ndarray[Any, Any], index: int) -> Buffer:
        """Return a buffer with an array's values; the array may be reused on return."""
        ...

    def to_host(self, tensor: Tensor) -> np.ndarray[Any, Any]:
        """Return a tensor's values as an array, after all work queued before."""
        ...

    def synchronize(self, index: int) -> None:
        """Wait for all work queued on a device."""
        ...

    def kernels(self) -> Mapping[str, Kernel]:
        """Return the kernels, by the names of the ops."""
        ...
