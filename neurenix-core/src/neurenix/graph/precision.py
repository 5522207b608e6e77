"""Precisions of plans: in what numbers a backend may carry a graph out, and calibration for int8.

A plan of another precision than float32 takes and gives what the float32 plan does; inside, its
activations and weights are narrower. What a backend has to know beyond the graph for this is here,
and measured without the backend's help: by core's own executor, on inputs like those to come.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from neurenix.dtypes import float32
from neurenix.errors import PrecisionError
from neurenix.graph.graph import Graph, GraphError, Node, Value
from neurenix.graph.plan import Plan
from neurenix.graph.rewrite import Inputs, Rewriter, keep
from neurenix.graph.structure import tuple_of
from neurenix.ops import elementwise as ew
from neurenix.ops import reduce

if TYPE_CHECKING:
    from neurenix.tensor import Tensor

PrecisionName: TypeAlias = Literal["float32", "bfloat16", "int8"]
"""In what numbers a plan computes; its inputs and results are as in the graph."""

PRECISIONS: tuple[PrecisionName, ...] = get_args(PrecisionName)


@dataclass(frozen=True, slots=True)
class Precision:
    """What a backend is told when a graph is to run in another precision than float32.

    Attributes:
        name: ``"bfloat16"`` or ``"int8"``.
        ranges: For int8, how far activations go: of float32 inputs of the graph and outputs of its
            nodes, the largest absolute value that the calibration inputs led to, as
            `Calibration` measured it. Values that were not finite are missing, and so are those
            of other dtypes, without elements or without axes: what has no range stays as it is.
    """

    name: PrecisionName
    ranges: Mapping[Value, float] = field(default_factory=dict)

    def mapped(self, values: Mapping[Value, Value]) -> Precision:
        """Return the same for a graph that was made from this one.

        Args:
            values: What stands in it for each value, as `neurenix.graph.passes.lower_mapped` says.
        """
        pairs = ((values.get(value), largest) for value, largest in self.ranges.items())
        return replace(self, ranges={value: far for value, far in pairs if value is not None})


@dataclass(frozen=True, slots=True)
class Calibration:
    """How far the activations of a graph go, for it and for graphs of the same ops.

    The same code, traced for another size of the batch or of the pictures, gives a graph of the
    same ops in the same order: one calibration serves all of them.

    Attributes:
        ops: The inputs and the ops of the graph, by name, with the dtypes of what they give.
        largest: The largest absolute value of each input and output of a node, in order; infinity
            where one was not finite, or where there was nothing to measure.
    """

    ops: tuple[str, ...]
    largest: tuple[float, ...]

    def fits(self, graph: Graph) -> bool:
        """Whether a graph has the ops of the one that was measured."""
        return _ops_of(graph) == self.ops

    def ranges(self, graph: Graph) -> dict[Value, float]:
        """Return the ranges of a graph's values.

        Raises:
            PrecisionError: The graph has other ops than the one that was measured.
        """
        if not self.fits(graph):
            raise PrecisionError(
                f"the graph of {graph.name} for these inputs has other ops than the graph for the "
                "calibration inputs; calibrate it with inputs like these"
            )
        pairs = zip(_activations(graph), self.largest, strict=True)
        return {value: largest for value, largest in pairs if math.isfinite(largest)}

    def joined(self, other: Calibration) -> Calibration:
        """Return the calibration by the inputs of both.

        Raises:
            PrecisionError: They are of different graphs.
        """
        if other.ops != self.ops:
            raise PrecisionError(
                "the graphs for the calibration inputs have different ops; let them all have the "
                "same structure"
            )
        return replace(self, largest=tuple(map(max, self.largest, other.largest)))

    @property
    def digest(self) -> str:
        """What names the ranges, such as in the key of a cache."""
        text = repr((self.ops, [value.hex() for value in self.largest]))
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


class RangeMeter:
    """Measures how far the activations of a graph go, run by run.

    Args:
        graph: A graph whose runs change nothing and draw no random numbers, as a backend is to be
            given it: optimized.

    Raises:
        GraphError: The graph writes to tensors from outside, or draws random numbers.
    """

    def __init__(self, graph: Graph) -> None:
        if not graph.is_pure:
            raise GraphError(f"{graph.name} cannot be measured: its runs change something")
        self._graph = graph
        measuring, self._places = _measuring(graph, _activations(graph))
        self._plan = Plan(measuring)
        self._largest = [0.0] * len(self._places)
        self._runs = 0

    def run(self, inputs: Sequence[Tensor]) -> None:
        """Run the graph on inputs in a row, and take what it computes into account."""
        found = (float(peak.item()) for peak in self._plan.run(inputs))
        self._largest = [
            max(known, math.inf if math.isnan(peak) else peak)
            for known, peak in zip(self._largest, found, strict=True)
        ]
        self._runs += 1

    def calibration(self) -> Calibration:
        """Return what all runs so far came to.

        Raises:
            PrecisionError: There was none, or an input was not finite.
        """
        name = self._graph.name
        if not self._runs:
            raise PrecisionError(f"{name} cannot be calibrated without inputs")
        measured = dict(zip(self._places, self._largest, strict=True))
        for value in self._graph.inputs:
            if math.isinf(measured.get(value, 0.0)):
                raise PrecisionError(
                    f"{name} cannot be calibrated: its input {value.name} holds values that are "
                    "not finite"
                )
        values = _activations(self._graph)
        return Calibration(
            _ops_of(self._graph), tuple(measured.get(value, math.inf) for value in values)
        )


def calibrate(graph: Graph, batches: Iterable[Sequence[Tensor]]) -> Calibration:
    """Measure how far the activations of a graph go.

    Args:
        graph: The graph, as for `RangeMeter`.
        batches: Inputs of the graph, in a row, for one run after the other.

    Raises:
        GraphError: The graph writes to tensors from outside, or draws random numbers.
        PrecisionError: There are no batches, or an input is not finite.
    """
    meter = RangeMeter(graph)
    for batch in batches:
        meter.run(batch)
    return meter.calibration()


def _activations(graph: Graph) -> list[Value]:
    """Return what a run computes with: its inputs, and what its nodes give."""
    return [*graph.inputs, *(value for node in graph.nodes for value in node.outputs)]


def _ops_of(graph: Graph) -> tuple[str, ...]:
    inputs = (f"input {value.dtype}" for value in graph.inputs)
    nodes = (
        f"{node.op.name} {' '.join(str(value.dtype) for value in node.outputs)}"
        for node in graph.nodes
    )
    return (*inputs, *nodes)


def _is_measured(value: Value) -> bool:
    return value.dtype == float32 and value.size > 0 and value.ndim > 0


def _measuring(graph: Graph, activations: list[Value]) -> tuple[Graph, list[Value]]:
    """Return a graph whose results are the peaks of values, and those values.

    A peak is taken right behind its value: nothing is kept longer than the graph itself keeps it.
    """
    rewriter = Rewriter(graph)
    recorder = rewriter.recorder
    inputs = tuple(map(rewriter.add_input, graph.inputs))
    peaks: dict[Value, Tensor] = {}

    def measure(value: Value, tensor: Tensor) -> None:
        if _is_measured(value):
            peaks[value] = reduce.max(ew.abs(tensor))

    def keep_measured(node: Node, given: Inputs, rewriter: Rewriter) -> tuple[Tensor, ...]:
        outputs = keep(node, given, recorder)
        for value, tensor in zip(node.outputs, outputs, strict=True):
            measure(value, tensor)
        return outputs

    rewriter.add(graph.prelude)
    with recorder.recording(grad=False, hide_writes=False):
        for value in graph.inputs:
            measure(value, rewriter.tensors[value])
    rewriter.add(graph.nodes, keep_measured)
    measuring = replace(
        graph,
        inputs=inputs,
        prelude=(),
        nodes=tuple(recorder.nodes),
        outputs=tuple(map(recorder.value, peaks.values())),
        output_structure=tuple_of(len(peaks)),
    )
    return measuring, [value for value in activations if value in peaks]
