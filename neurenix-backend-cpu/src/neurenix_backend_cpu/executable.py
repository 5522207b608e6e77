"""Graphs as plans of the engine: fused, in blocks of 16 channels, without Python inside.

A run checks its inputs, asks which captured tensors have changed, and is one call into the engine,
which gives up the interpreter's lock once.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from neurenix.errors import NeurenixError, PlanError
from neurenix.graph import Constants, Graph, GraphError, Value, check_inputs
from neurenix.graph.constants import check_captured
from neurenix.ops import dispatch, tape
from neurenix_backend_cpu.program import (
    Externals,
    NotNative,
    build_program,
    find_externals,
    native_graph,
    span_bytes,
)

if TYPE_CHECKING:
    from neurenix import Tensor
    from neurenix.backends import Kernel
    from neurenix.graph.precision import Precision


def compile_graph(
    graph: Graph, kernels: Mapping[str, Kernel], precision: Precision | None = None
) -> Executable:
    """Return what runs a graph.

    Args:
        graph: An optimized graph.
        kernels: The engine's own kernels.
        precision: In what it computes, if not in float32.

    Raises:
        PlanError: The engine has no code for one of its ops.
    """
    try:
        return Executable(graph, kernels, precision)
    except NotNative as error:
        raise PlanError(str(error)) from None


class Executable:
    """A graph, compiled by the engine; see `neurenix.graph.Executable`.

    Several threads may run it at once.

    Args:
        graph: An optimized graph.
        kernels: The engine's own kernels.
        precision: In what it computes, if not in float32.

    Attributes:
        graph: What is carried out, of ops that the engine knows.

    Raises:
        NotNative: The engine has no code for an op.
    """

    def __init__(
        self,
        graph: Graph,
        kernels: Mapping[str, Kernel],
        precision: Precision | None = None,
    ) -> None:
        graph, precision = native_graph(graph, kernels, precision)
        self.graph = graph
        self._externals = externals = find_externals(graph)
        try:
            self._plan = build_program(graph, externals, kernels, precision).compile()
        except NotImplementedError as error:
            raise NotNative(str(error)) from None
        self._constants = Constants(graph)
        self._bindings = _Bindings(graph, externals, self._constants, self._plan.packed)
        changing = externals.changing
        self._written = [
            (number, value)
            for number, value in enumerate(graph.inputs)
            if value.storage in changing
        ]
        self._results = _Results(graph, externals)
        self._fresh = [(value.shape, value.dtype) for value in externals.fresh]

    def run(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Run the graph on its inputs in a row, and return the results in a row.

        Raises:
            ShapeError: An input has another shape, or there are more or fewer.
            DTypeError: An input has another dtype.
            DeviceError: An input is on another device.
            TraceError: A trace is running.
            GraphError: A captured tensor is not what it was when the graph was traced.
        """
        graph = self.graph
        check_inputs(graph, inputs)
        device = graph.device
        dense = [dispatch.dense(tensor) for tensor in inputs]
        given = [*dense, *[key.generator.next_key(device) for key in graph.keys]]
        fresh = [
            dispatch.make(device.empty(shape, dtype), dtype, shape, device)
            for shape, dtype in self._fresh
        ]
        bound, changed = self._bindings.refresh()
        arrays = [
            tensor.buffer if tensor._strides is None else _from_offset(tensor) for tensor in given
        ]
        arrays += [tensor.buffer for tensor in fresh]
        arrays += bound
        try:
            self._plan.run(arrays, changed)
        except BaseException:
            self._bindings.forget()
            raise
        self._bindings.note_writes()
        for number, _ in self._written:
            dispatch.written(inputs[number])
            if inputs[number] is not dense[number]:
                dispatch.copy_into(inputs[number], dense[number])
        return self._results.of(given, fresh)

    def describe(self) -> str:
        """Return what the plan does, a line a step, with layouts and bytes."""
        return str(self._plan.describe())

    def profile(self, inputs: Sequence[Tensor]) -> list[tuple[str, str, float]]:
        """Run the graph, and return what each step is, its node, and the seconds it took."""
        given = [dispatch.dense(tensor) for tensor in inputs]
        given += [key.generator.next_key(self.graph.device) for key in self.graph.keys]
        empty = self.graph.device.empty
        arrays = [
            tensor.buffer if tensor._strides is None else _from_offset(tensor) for tensor in given
        ]
        arrays += [empty(shape, dtype) for shape, dtype in self._fresh]
        steps: list[tuple[str, str, float]] = self._plan.profile(
            arrays + self._bindings.refresh()[0]
        )
        self._bindings.forget()
        self._bindings.note_writes()
        return steps

    @property
    def nbytes(self) -> int:
        """Bytes of memory that a run takes besides its results."""
        return int(self._plan.nbytes)

    def __repr__(self) -> str:
        return (
            f"<native plan of {self.graph.name}: {self._plan.steps} steps, "
            f"{self.nbytes / 2**20:.1f} MiB>"
        )


def _from_offset(tensor: Tensor) -> Any:
    """Return an array that starts at a dense tensor's first element."""
    return tensor.buffer.reshape(-1)[tensor.offset :]


class _Bindings:
    """The arrays of captured tensors and of what is computed from them alone."""

    def __init__(
        self, graph: Graph, externals: Externals, constants: Constants, packed: Sequence[int]
    ) -> None:
        self._constants = constants
        self._captured = externals.captured
        self._folded = externals.folded
        self._lock = threading.Lock()
        self._generation = -1
        over: dict[Any, list[Value]] = {}
        for value in graph.captured:
            over.setdefault(value.storage, []).append(value)
        self._needed = [span_bytes(over[value.storage]) for value in self._captured]
        self._tensors = [_real(value) for value in self._captured]
        self._first = len(externals.given) + len(externals.fresh)
        self._first_folded = self._first + len(self._captured)
        # Weights that the engine keeps in another form have to be watched; others are read in
        # each run where they are.
        packed_captured = {n - self._first for n in packed if n < self._first_folded}
        self._watched = [(n, self._tensors[n]) for n in sorted(packed_captured)]
        self._seen: list[tuple[object, int]] = [(None, -1)] * len(self._watched)
        self._written = [
            tensor
            for value, tensor in zip(self._captured, self._tensors, strict=True)
            if value.storage in externals.changing
        ]
        self._buffers: list[Any] = [None] * len(self._captured)
        self._arrays: list[Any] = []
        self._is_bound = False

    def refresh(self) -> tuple[list[Any], list[int]]:
        """Return the arrays, in order, and the numbers of those that have changed."""
        with self._lock:
            changed = [
                self._first + number
                for place, (number, tensor) in enumerate(self._watched)
                if self._has_changed(place, tensor)
            ]
            generation = self._constants.refresh()
            buffers = [tensor.buffer for tensor in self._tensors]
            same = self._is_bound and all(map(_is, buffers, self._buffers))
            if same and generation == self._generation:
                return self._arrays, changed
            if not same:
                self._check(buffers)
            folded = [self._constants.values[value].buffer for value in self._folded]
            if generation != self._generation:
                changed += range(self._first_folded, self._first_folded + len(folded))
            self._buffers, self._arrays = buffers, buffers + folded
            self._generation, self._is_bound = generation, True
            return self._arrays, changed

    def _has_changed(self, place: int, tensor: Tensor) -> bool:
        version = tape.version_of(tensor)
        now = tensor.buffer, version.value
        was = self._seen[place]
        if now[0] is was[0] and now[1] == was[1] and not version.lent:
            return False
        self._seen[place] = now
        return True

    def _check(self, buffers: list[Any]) -> None:
        for value, buffer, needed in zip(self._captured, buffers, self._needed, strict=True):
            check_captured(value)
            if buffer.nbytes < needed:
                raise GraphError(
                    f"{value.name} takes {needed} bytes in the graph, but its memory has "
                    f"{buffer.nbytes}; trace again"
                )

    def forget(self) -> None:
        """Take everything as changed: a run has failed, and may not have seen what was."""
        with self._lock:
            self._seen = [(None, -1)] * len(self._watched)
            self._generation = -1

    def note_writes(self) -> None:
        """Count a write to each captured tensor that a run writes."""
        for tensor in self._written:
            dispatch.written(tensor)


def _is(a: object, b: object) -> bool:
    return a is b


class _Results:
    """How results are made of the memory of a run."""

    def __init__(self, graph: Graph, externals: Externals) -> None:
        given = [value.storage for value in externals.given]
        fresh = [value.storage for value in externals.fresh]
        outside = {v.storage: _real(v) for v in reversed(graph.captured)}
        exact = {(v.storage, v.layout): _real(v) for v in reversed(graph.captured)}
        self._sources: list[tuple[Value, int | None, int | None, Any]] = []
        for value in graph.outputs:
            held = exact.get((value.storage, value.layout))
            if value.storage in fresh:
                self._sources.append((value, None, fresh.index(value.storage), None))
            elif value.storage in given:
                self._sources.append((value, given.index(value.storage), None, held))
            else:
                self._sources.append((value, None, None, held or outside[value.storage]))

    def of(self, given: list[Tensor], fresh: list[Tensor]) -> list[Tensor]:
        """Return the results in a row."""
        results = []
        for value, place, number, held in self._sources:
            if number is not None:
                owner = fresh[number]
            else:
                owner = held if place is None else given[place]
            results.append(_view(value, owner, is_captured=place is None and number is None))
        return results


def _view(value: Value, owner: Tensor, *, is_captured: bool) -> Tensor:
    """Return a value that lies in the memory of a tensor."""
    start = owner.offset if is_captured or owner._strides is None else 0
    if value.layout == (owner.shape, owner.strides, start if is_captured else 0):
        return owner
    shift = 0 if is_captured or owner._strides is None else owner.offset
    view = dispatch.make(
        owner.buffer, value.dtype, value.shape, value.device, value.strides, value.offset + shift
    )
    view._version = tape.version_of(owner)
    return view


def _real(value: Value) -> Tensor:
    if value.tensor is None:
        raise NeurenixError(f"{value.name} is no captured tensor")
    return value.tensor
