"""Graphs as plans: their kernels are recorded once, and a run repeats what they recorded.

A run has no kernel calls and prepares no bind groups, as long as it sees the memory of an earlier
one. Captured tensors are read and written where they are; results are new memory in each run.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from neurenix.errors import PlanError
from neurenix.graph import Graph, KernelCall, PlanMemory, RecordedPlan
from neurenix_backend_webgpu import _native
from neurenix_backend_webgpu.chains import describe, fuse_chains


class ChainedPlan(RecordedPlan):
    """A recorded plan whose elementwise ops run in chains.

    Args:
        graph: An optimized graph.
        device: Where it runs.

    Raises:
        PlanError: One of its ops has no kernel, or none that can be repeated.
    """

    def __init__(self, graph: Graph, device: _native.Device) -> None:
        chained = partial(fuse_chains, storage_buffers=device.storage_buffers)
        super().__init__(graph, partial(Dispatches, device), chained)

    def describe(self) -> str:
        """Return what the plan does, a line a kernel."""
        return "\n".join(describe(node) for node in self.graph.nodes if not node.op.view)


class Dispatches:
    """What kernels dispatch, to be repeated; see `neurenix.graph.Recording`.

    Args:
        device: Where they run.
        calls: What is recorded.
        memory: What it works on.

    Raises:
        PlanError: A kernel cannot be recorded; the message says why.
    """

    rebinds = True

    def __init__(
        self, device: _native.Device, calls: Sequence[KernelCall], memory: PlanMemory
    ) -> None:
        device.begin_recording()
        try:
            for call in calls:
                call()
            self._recording = device.end_recording(memory.placeholders, list(memory.slots))
        except ValueError as error:
            raise PlanError(str(error)) from None
        finally:
            _native.abandon_recording()

    @property
    def count(self) -> int:
        """How many there are."""
        return self._recording.dispatches

    @property
    def reserved_bytes(self) -> int:
        """Scratch memory of the kernels, which nobody else has meanwhile."""
        return self._recording.reserved_bytes

    def run(self, buffers: Sequence[_native.Buffer]) -> None:
        """Repeat the work on other memory."""
        self._recording.run(buffers)

    def __repr__(self) -> str:
        return f"{self.count} dispatches"
