"""The modes a thread is in: whether the tape is written, and whether a trace is recorded."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from typing import Any

    from neurenix.backends.device import Device
    from neurenix.dtypes import DType
    from neurenix.ops.op import Op, Shape
    from neurenix.random import Generator
    from neurenix.tensor import Tensor


class Symbolic:
    """What stands in a traced tensor's place of a buffer: it has no values."""

    __slots__ = ()


class Tracer(Protocol):
    """What records ops instead of running them; see `neurenix.graph`."""

    def record(
        self,
        op: Op,
        inputs: tuple[Tensor | None, ...],
        attrs: dict[str, Any],
        device: Device | None = None,
    ) -> tuple[Tensor, ...]:
        """Add an op to the graph and return its outputs, which have no values."""
        ...

    def allocate(self, shape: Shape, dtype: DType, device: Device) -> Tensor:
        """Return a new tensor without values, for what is allocated in the trace."""
        ...

    def write(self, out: Tensor, source: Tensor) -> None:
        """Record that ``source`` is written into ``out``, of one shape and dtype."""
        ...

    def read(self, tensor: Tensor) -> None:
        """Note that the code reads the values of a real tensor.

        Raises:
            TraceError: They may differ from run to run.
        """
        ...

    def random_key(self, generator: Generator, device: Device) -> Tensor:
        """Return the key of a random draw, which every run of the graph takes anew.

        Raises:
            TraceError: The trace allows no random draws.
        """
        ...


class Mode(threading.local):
    """A thread's modes. Class attributes are the state of a new thread.

    Attributes:
        grad: Ops on tensors that require a gradient are taped.
        tracer: Where ops are recorded instead of run.
        recording: ``grad`` or a tracer; False is the fast path.
    """

    grad: bool = True
    tracer: Tracer | None = None
    recording: bool = True

    def set(self, *, grad: bool, tracer: Tracer | None) -> None:
        """Set both modes, and what follows from them."""
        self.grad = grad
        self.tracer = tracer
        self.recording = grad or tracer is not None


mode = Mode()
