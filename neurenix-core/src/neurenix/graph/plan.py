"""Core's executor of graphs: a list of kernel calls over memory that is planned in advance."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from neurenix.errors import DeviceError, DTypeError, ShapeError, TraceError
from neurenix.graph.arena import Arena
from neurenix.graph.constants import Constants
from neurenix.graph.passes import (
    fold_batch_norm,
    fold_constants,
    fuse,
    lower,
    make_dense,
    plan_memory,
    remove_dead_code,
)
from neurenix.graph.structure import flatten
from neurenix.ops import dispatch
from neurenix.ops.mode import mode
from neurenix.tensor import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neurenix.graph.graph import Graph, Value
    from neurenix.graph.passes import MemoryPlan


def optimize(graph: Graph) -> Graph:
    """Return the graph with batch norms folded and constants in the prelude.

    This is what a backend that compiles graphs is given: ops as they were traced, less work.
    """
    graph = remove_dead_code(fold_batch_norm(graph))
    return fold_constants(graph)


class Plan:
    """A graph, ready to run.

    A run is a loop of kernel calls: shapes, views and memory are prepared once. Parameters are
    read where they are, so that a run sees an optimizer's step or loaded weights; what was
    computed from them in advance is computed again when they have changed. A graph that writes to
    captured tensors, such as a training step, writes to them in each run.

    Several threads may run a plan at once; each run has its own memory, which later runs reuse.

    Args:
        graph: A traced graph.
        obstacle: Why the device's backend, which compiles graphs, did not compile this one.

    Attributes:
        graph: The graph that is carried out: optimized, fused, lowered to the device's kernels.
        memory: Where its values lie.
        obstacle: As given.
    """

    def __init__(self, graph: Graph, obstacle: str | None = None) -> None:
        self.obstacle = obstacle
        graph = remove_dead_code(fuse(remove_dead_code(fold_batch_norm(graph))))
        graph = fold_constants(remove_dead_code(make_dense(lower(graph))))
        self.graph = graph
        self.memory: MemoryPlan = plan_memory(graph)
        self._constants = Constants(graph)
        self._lock = threading.Lock()
        self._idle: list[Arena] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the graph on arguments nested as in the trace, and return the results."""
        inputs, nesting = flatten((args, kwargs), (Tensor,), "the arguments of a plan")
        if nesting != self.graph.input_structure:
            raise ShapeError(
                f"the plan of {self.graph.name} was traced for arguments of another structure; "
                f"it takes {len(self.graph.inputs)} tensors, nested as in the trace"
            )
        return self.graph.output_structure.rebuild(iter(self.run(inputs)))

    def run(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Run the graph on its inputs in a row, and return the results in a row.

        Raises:
            ShapeError: An input has another shape, or there are more or fewer.
            DTypeError: An input has another dtype.
            DeviceError: An input is on another device.
            TraceError: A trace is running: a plan is no op that could be recorded.
        """
        graph = self.graph
        check_inputs(graph, inputs)
        dense = [dispatch.dense(tensor) for tensor in inputs]
        keys = [key.generator.next_key(graph.device) for key in graph.keys]
        with self._lock:
            arena = self._idle.pop() if self._idle else None
        if arena is None:
            arena = Arena(graph, self.memory, self._constants)
        try:
            results = arena.run([*dense, *keys])
        finally:
            with self._lock:
                self._idle.append(arena)
        self._write_back(inputs, dense)
        return results

    def _write_back(self, inputs: Sequence[Tensor], dense: Sequence[Tensor]) -> None:
        """Write to inputs what the graph wrote to dense copies of them."""
        for given, used, value in zip(inputs, dense, self.graph.inputs, strict=True):
            if given is not used and any(
                value.storage in node.written for node in self.graph.nodes
            ):
                dispatch.written(given)
                dispatch.copy_into(given, used)

    def describe(self) -> str:
        """Return what the plan does, a line a kernel call; above them the obstacle, if any."""
        reason = [] if self.obstacle is None else [f"core's plan, since {self.obstacle}"]
        nodes = (node for node in self.graph.nodes if not node.op.view)
        return "\n".join(reason + [repr(node) for node in nodes])

    def __repr__(self) -> str:
        reason = "" if self.obstacle is None else f"; core's, since {self.obstacle}"
        return (
            f"<plan of {self.graph.name}: {len(self.graph.nodes)} nodes, "
            f"{self.memory.nbytes / 2**20:.1f} MiB{reason}>"
        )


def check_inputs(graph: Graph, inputs: Sequence[Tensor]) -> None:
    """Check that tensors can be the inputs of a run of a graph.

    Raises:
        ShapeError: An input has another shape, or there are more or fewer.
        DTypeError: An input has another dtype.
        DeviceError: An input is on another device.
        TraceError: A trace is running: a plan is no op that could be recorded.
    """
    if mode.tracer is not None:
        raise TraceError("a plan cannot run inside a trace; call what it was traced from")
    if len(inputs) != len(graph.inputs):
        raise ShapeError(
            f"the plan of {graph.name} takes {len(graph.inputs)} tensors, not {len(inputs)}"
        )
    for value, tensor in zip(graph.inputs, inputs, strict=True):
        _check(value, tensor, graph)


def _check(value: Value, tensor: Tensor, graph: Graph) -> None:
    if tensor.shape != value.shape:
        raise ShapeError(
            f"the plan of {graph.name} takes {value.name} of shape {value.shape}, but got "
            f"{tensor.shape}; neurenix.compile traces anew for other shapes"
        )
    if tensor.dtype != value.dtype:
        raise DTypeError(
            f"the plan of {graph.name} takes {value.name} of {value.dtype}, not {tensor.dtype}"
        )
    if tensor.device is not graph.device:
        raise DeviceError(
            f"the plan of {graph.name} runs on {graph.device}, but {value.name} is on "
            f"{tensor.device}; move it with .to({str(graph.device)!r})"
        )
