"""How the results of a recorded plan are made of the memory of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from neurenix.errors import NeurenixError, PlanError
from neurenix.ops import dispatch, tape

if TYPE_CHECKING:
    from neurenix.graph.graph import Graph, Value
    from neurenix.tensor import Tensor


class Results:
    """What becomes of each result: a new tensor, an input, a captured tensor, or a part of these.

    Args:
        graph: The graph.
        given: The values of its inputs and random keys.
        fresh: The first value of each storage that its results have for themselves.

    Raises:
        PlanError: A result depends on captured tensors alone.
    """

    def __init__(self, graph: Graph, given: Sequence[Value], fresh: Sequence[Value]) -> None:
        before = [value.storage for value in given]
        new = [value.storage for value in fresh]
        held = {value.storage: real(value) for value in reversed(graph.captured)}
        exact = {(v.storage, v.layout): real(v) for v in reversed(graph.captured)}
        self._sources: list[tuple[Value, int | Tensor]] = []
        for value in graph.outputs:
            storage = value.storage
            if storage in new:
                self._sources.append((value, len(before) + new.index(storage)))
            elif storage in before:
                self._sources.append((value, before.index(storage)))
            elif storage in held:
                self._sources.append((value, exact.get((storage, value.layout), held[storage])))
            else:
                raise PlanError(f"the result {value.name} does not depend on the inputs")

    def of(self, given: Sequence[Tensor], fresh: Sequence[Tensor]) -> list[Tensor]:
        """Return the results in a row."""
        owners = [*given, *fresh]
        results = []
        for value, source in self._sources:
            whole = owners[source] if isinstance(source, int) else source
            offset = 0 if isinstance(source, int) else source.offset
            is_it = value.layout == (whole.shape, whole.strides, offset)
            results.append(whole if is_it else _view(value, whole))
        return results


def _view(value: Value, owner: Tensor) -> Tensor:
    """Return a value that lies in the memory of a tensor."""
    view = dispatch.make(
        owner.buffer, value.dtype, value.shape, value.device, value.strides, value.offset
    )
    view._version = tape.version_of(owner)
    return view


def real(value: Value) -> Tensor:
    """Return the tensor behind a captured value."""
    if value.tensor is None:
        raise NeurenixError(f"{value.name} is no captured tensor")
    return value.tensor
