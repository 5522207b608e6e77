"""A backend with narrow plans on top of one without: for tests of what tells it what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import neurenix
from neurenix import Tensor
from neurenix.graph import Executable, Graph, Plan, Precision


class NarrowBackend:
    """Another backend, with plans in bfloat16 and int8 whose results are rounded to these.

    Args:
        host: The other backend.
        precisions: The precisions of its plans.

    Attributes:
        asked: What each plan was asked to compute in, in order.
        knows: Whether it takes graphs for narrow plans at all.
    """

    def __init__(
        self, host: Any, precisions: Sequence[str] = ("float32", "bfloat16", "int8")
    ) -> None:
        self._host = host
        self.precisions = precisions
        self.asked: list[Precision | None] = []
        self.knows = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._host, name)

    def compile(self, graph: Graph, precision: Precision | None = None) -> Executable | None:
        """Return a plan; of float32 what the other backend gives."""
        self.asked.append(precision)
        if precision is not None:
            return NarrowPlan(graph, precision) if self.knows else None
        of_host = getattr(self._host, "compile", None)
        return None if of_host is None else of_host(graph)


class NarrowPlan:
    """A plan whose results are rounded: to bfloat16, or to 127 steps of their range."""

    def __init__(self, graph: Graph, precision: Precision) -> None:
        self.graph = graph
        self.precision = precision
        self._plan = Plan(graph)

    def run(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Run the graph on its inputs in a row."""
        results = self._plan.run(inputs)
        if self.precision.name == "bfloat16":
            return [out.astype(neurenix.bfloat16).astype(neurenix.float32) for out in results]
        steps = [self.precision.ranges[value] / 127.0 for value in self.graph.outputs]
        return [
            neurenix.floor(out / step + 0.5) * step
            for out, step in zip(results, steps, strict=True)
        ]
