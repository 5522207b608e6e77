"""Ops that a device has no kernel for, replaced by their decomposition."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from neurenix.errors import TraceError
from neurenix.graph.kernels import find_kernel
from neurenix.graph.recorder import Recorder
from neurenix.graph.rewrite import Rewriter
from neurenix.ops import dispatch
from neurenix.ops.movement import assign

if TYPE_CHECKING:
    from neurenix.backends.device import Device
    from neurenix.graph.graph import Graph, Value
    from neurenix.ops.op import Op
    from neurenix.tensor import Tensor


Knows: TypeAlias = "Callable[[Op, tuple[Tensor | None, ...], Mapping[str, Any]], bool]"


def lower(graph: Graph, knows: Knows | None = None) -> Graph:
    """Return the graph with only such composite ops as an executor knows.

    ``assign`` stays: an executor carries it out as a copy into a view. A primitive that it does
    not know stays as well.

    Args:
        graph: The graph.
        knows: Whether the executor knows an op, with inputs and attributes. By default those that
            the device has kernels for.
    """
    return lower_mapped(graph, knows)[0]


def lower_mapped(graph: Graph, knows: Knows | None = None) -> tuple[Graph, dict[Value, Value]]:
    """Return what `lower` does, and what stands in it for each value of the graph before."""
    names = {v.name: v.tensor for v in graph.captured if v.tensor is not None}
    if knows is None:
        knows = partial(_has_kernel, graph.device)
    rewriter = Rewriter(graph, _Lowering(names, knows, device=graph.device))
    lowered = rewriter.run()
    value = rewriter.recorder.value
    return lowered, {old: value(tensor) for old, tensor in rewriter.tensors.items()}


def _has_kernel(
    device: Device, op: Op, inputs: tuple[Tensor | None, ...], attrs: Mapping[str, Any]
) -> bool:
    return find_kernel(device, op, inputs, attrs) is not None


class _Lowering(Recorder):
    """Records the decomposition of an op that the executor does not know."""

    def __init__(self, names: Mapping[str, Tensor], knows: Knows, *, device: Device) -> None:
        super().__init__(names, device=device)
        self._knows = knows

    def record(
        self,
        op: Op,
        inputs: tuple[Tensor | None, ...],
        attrs: dict[str, Any],
        device: Device | None = None,
    ) -> tuple[Tensor, ...]:
        """Add an op, or what it is composed of."""
        home = device or dispatch.common_device(op, inputs)
        if op.view or op is assign or op.decomposition is None or self._knows(op, inputs, attrs):
            return super().record(op, inputs, attrs, home)
        try:
            outputs = list(dispatch.as_tuple(op.decomposition(*inputs, **attrs)))
        except TraceError:  # it reads values: it runs as a whole, op by op
            return super().record(op, inputs, attrs, home)
        for index, place in op.donates.items():
            donor = inputs[place]
            if donor is not None and outputs[index] is not donor:
                self.write(donor, outputs[index])
                outputs[index] = donor
        return tuple(outputs)
