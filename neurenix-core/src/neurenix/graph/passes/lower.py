"""Ops that a device has no kernel for, replaced by their decomposition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neurenix.errors import TraceError
from neurenix.graph.kernels import find_kernel
from neurenix.graph.recorder import Recorder
from neurenix.graph.rewrite import Rewriter
from neurenix.ops import dispatch
from neurenix.ops.movement import assign

if TYPE_CHECKING:
    from neurenix.backends.device import Device
    from neurenix.graph.graph import Graph
    from neurenix.ops.op import Op
    from neurenix.tensor import Tensor


def lower(graph: Graph) -> Graph:
    """Return the graph with only such composite ops as the device has kernels for.

    ``assign`` stays: an executor carries it out as a copy into a view. A primitive without a
    kernel stays as well, and runs on the host.
    """
    names = {v.name: v.tensor for v in graph.captured if v.tensor is not None}
    return Rewriter(graph, _Lowering(names, device=graph.device)).run()


class _Lowering(Recorder):
    """Records the decomposition of an op that the device has no kernel for."""

    def record(
        self,
        op: Op,
        inputs: tuple[Tensor | None, ...],
        attrs: dict[str, Any],
        device: Device | None = None,
    ) -> tuple[Tensor, ...]:
        """Add an op, or what it is composed of."""
        home = device or dispatch.common_device(op, inputs)
        if (
            op.view
            or op is assign
            or op.decomposition is None
            or find_kernel(home, op, inputs, attrs) is not None
        ):
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
