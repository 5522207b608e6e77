"""What runs a graph: core's plan, or what a backend makes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from neurenix.graph.plan import Plan, optimize

if TYPE_CHECKING:
    from neurenix.graph.graph import Graph
    from neurenix.tensor import Tensor

Fallback: TypeAlias = Literal["warn", "silent", "error"]
"""What happens where a plan cannot stand for the code."""


class Executable(Protocol):
    """A graph, ready to run: a `Plan`, or what a backend's ``compile(graph)`` gives."""

    def run(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        """Run the graph on its inputs in a row, and return the results in a row."""
        ...


def make_executable(graph: Graph) -> Executable:
    """Return what runs a graph: the backend's own, if it compiles graphs and takes this one."""
    compile_graph: Callable[[Graph], Executable | None] | None = getattr(
        graph.device.backend, "compile", None
    )
    executable = None if compile_graph is None else compile_graph(optimize(graph))
    return Plan(graph) if executable is None else executable
