"""The values of a graph's prelude, kept as long as the tensors behind them stay as they are."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from neurenix.graph.graph import GraphError
from neurenix.ops import dispatch, tape
from neurenix.ops.mode import mode

if TYPE_CHECKING:
    from neurenix.graph.graph import Graph, Value
    from neurenix.tensor import Tensor


class Constants:
    """What a graph computes from captured tensors alone.

    For plans and for backends that compile graphs: `refresh` before a run, then read `values`.
    A tensor that was written since, through Neurenix, makes the values be computed again. One
    whose memory was lent writable, as an array or by DLPack, may change unseen: then they are
    computed at every refresh.

    Args:
        graph: The graph.

    Attributes:
        wanted: What the nodes that every run carries out read of the prelude.
        generation: Raised whenever the values were computed.
        values: The tensors, dense, by the graph's values. Replaced as a whole, never changed.
    """

    def __init__(self, graph: Graph) -> None:
        self._nodes = graph.prelude
        read = {v for node in graph.nodes for v in node.operands} | {*graph.outputs}
        self.wanted = tuple(v for node in graph.prelude for v in node.outputs if v in read)
        read_first = (v for node in graph.prelude for v in node.operands)
        self._sources = [v for v in dict.fromkeys(read_first) if v.tensor is not None]
        self._seen: list[tuple[object, int]] | None = None
        self._lock = threading.Lock()
        self.generation = 0
        self.values: dict[Value, Tensor] = {}

    def refresh(self) -> int:
        """Compute the values if they are not what they would be now; return the generation."""
        if not self._nodes:
            return self.generation
        with self._lock:
            seen, lent = [], False
            for value in self._sources:
                tensor = value.tensor
                assert tensor is not None
                version = tape.version_of(tensor)
                lent = lent or version.lent
                seen.append((tensor.buffer, version.value))
            if lent or self._seen is None or not _same(seen, self._seen):
                self.values = self._compute()
                self._seen = seen
                self.generation += 1
            return self.generation

    def _compute(self) -> dict[Value, Tensor]:
        known = {value: check_captured(value) for value in self._sources}
        grad, tracer = mode.grad, mode.tracer
        mode.set(grad=False, tracer=None)
        try:
            for node in self._nodes:
                inputs = tuple(None if v is None else known[v] for v in node.inputs)
                device = node.outputs[0].device
                outputs = dispatch.execute(node.op, inputs, node.attrs, device)
                for value, tensor in zip(node.outputs, outputs, strict=True):
                    known[value] = tensor if node.op.view else _whole(tensor)
        finally:
            mode.set(grad=grad, tracer=tracer)
        return {value: known[value] for value in self.wanted}


def _same(a: list[tuple[object, int]], b: list[tuple[object, int]]) -> bool:
    return len(a) == len(b) and all(
        x[0] is y[0] and x[1] == y[1] for x, y in zip(a, b, strict=True)
    )


def _whole(tensor: Tensor) -> Tensor:
    """Return the tensor if it is the whole of its buffer, else a copy that is."""
    if tensor._strides is None and not tensor.offset:
        return tensor
    out = dispatch.allocate(tensor.shape, tensor.dtype, tensor.device)
    dispatch.copy_into(out, tensor)
    return out


def check_captured(value: Value) -> Tensor:
    """Return the real tensor behind a value.

    Raises:
        GraphError: It is no longer what it was when the graph was traced.
    """
    tensor = value.tensor
    assert tensor is not None
    if (tensor.shape, tensor.dtype, tensor.device, tensor.strides, tensor.offset) != (
        value.shape,
        value.dtype,
        value.device,
        value.strides,
        value.offset,
    ):
        raise GraphError(
            f"{value.name} was {value} on {value.device} when the graph was traced, and is "
            f"{tensor.dtype}{list(tensor.shape)} on {tensor.device} now; trace again"
        )
    return tensor
