"""A model in two halves, found again whenever its freezing or its mode changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias
from weakref import ref

import neurenix
from neurenix import Tensor
from neurenix.graph import Graph, Value, make_executable, subgraph
from neurenix.nn import Module
from neurenix_transfer.cache.batches import Rest
from neurenix_transfer.cache.cut import Cut, boundary_of, find_cut
from neurenix_transfer.cache.frozen import (
    Features,
    FrozenSide,
    InputKey,
    described,
    join_features,
    leaves_of,
    tile_of,
)
from neurenix_transfer.cache.precision import Plans
from neurenix_transfer.cache.replay import Replay
from neurenix_transfer.cache.signature import (
    Fingerprint,
    captured_tensors,
    digest_tensors,
    signature,
)
from neurenix_transfer.cache.tracing import (
    Trace,
    UntraceableError,
    map_metas,
    state_key,
    trace_training,
    with_batch,
)
from neurenix_transfer.sources import Inputs

Run: TypeAlias = Callable[[Sequence[Tensor]], Any]
"""From the boundary tensors of a batch to the model's output."""

_MAX_REPLAYS = 256  # sizes of batches and lengths of texts; a graph takes some 100 KB


class Split:
    """A model in one mode, with one freezing.

    Args:
        model: The model, in that mode.
        example: A sample's inputs, as a batch of one.
        statistics: Tensors that training changes besides trainable parameters.
        plans: Makes the plans of the frozen part; or returns what does so for this split, whose
            graphs it may calibrate on.
        kin: Splits of the model in other modes, whose plans serve here where they fit.

    Attributes:
        key: Equal for states of the model that give equal splits.
        tile: How many samples run through the frozen part together.
        trains: Whether a part of the model is in training mode.
        statistics: The tensors that its run writes.
        plans: What makes the plans of the frozen part.
        distance: How far its features were found to be from those of float32; None where that is
            not known.

    Raises:
        UntraceableError: The model cannot be run from a graph.
        PrecisionError: The backend has no plan of the frozen part in the precision asked for.
    """

    def __init__(
        self,
        model: Module,
        example: Inputs,
        statistics: Sequence[Tensor],
        plans: Plans | Callable[[Split], Plans] = Plans(),  # noqa: B008  (it is immutable)
        kin: Sequence[Split] = (),
    ) -> None:
        self.model = model
        self.key = state_key(model)
        self.trains = any(module.training for module in model.modules())
        self._example = map_metas(lambda leaf: leaf, with_batch(example, 1))
        self._named = {id(t) for _, t in [*model.named_parameters(), *model.named_buffers()]}
        self._changing: list[Tensor] = [p for p in model.parameters() if p.requires_grad]
        self._changing += statistics
        self._traces: dict[Any, Trace] = {}
        self._cuts: dict[InputKey, Cut | None] = {}
        self._sides: dict[InputKey, FrozenSide | None] = {}
        # Weakly: each has kin of its own, and none is to outlive its freezing.
        self._kin = [ref(split) for split in kin]
        self._replays: dict[Any, Run] = {}
        self.statistics: list[Tensor] = []
        first = self._trace(described(leaves_of_metas(self._example)), 2)
        self.statistics = first.written_tensors()
        self._changing += self.statistics
        self.tile = tile_of(first.graph.device)
        self.distance: float | None = None
        self.plans = plans if isinstance(plans, Plans) else plans(self)
        self.first = self.side(described(leaves_of_metas(self._example)))
        self.weights = self._fingerprint()

    @property
    def cut(self) -> Cut | None:
        """The cut for the first sample; None where nothing that has weights is frozen."""
        return None if self.first is None else self.first.cut

    def side(self, inputs: InputKey) -> FrozenSide | None:
        """Return the frozen part for samples of some shape."""
        if inputs not in self._sides:
            cut = self._cut(inputs)
            kin = (side for split in self._relatives() for side in split._sides.values() if side)
            self._sides[inputs] = (
                None if cut is None else FrozenSide(cut, self._named, self.plans, kin)
            )
        return self._sides[inputs]

    def _relatives(self) -> Iterator[Split]:
        return (split for split in (each() for each in self._kin) if split is not None)

    def _fingerprint(self) -> Fingerprint:
        """Return the fingerprint of the frozen weights, one for all that have the same."""
        tensors = [] if self.first is None else self.first.tensors
        found = (split.weights for split in self._relatives() if split.weights.is_of(tensors))
        return next(found, None) or Fingerprint(tensors)

    def frozen_graph(self, inputs: InputKey) -> Graph | None:
        """Return the graph of the frozen part for a tile of samples of some shape."""
        cut = self._cut(inputs)
        return None if cut is None else cut.tile_graph(self.tile)

    def identity(self) -> str | None:
        """Return what is equal for frozen parts that give the same for the first sample's shape.

        None where nothing is frozen.
        """
        graph = self.frozen_graph(described(leaves_of_metas(self._example)))
        if graph is None:
            return None
        text = signature(graph.nodes, graph.inputs, graph.outputs, self._named)
        return f"{text}{digest_tensors(captured_tensors(graph.nodes, self._named))}"

    def _cut(self, inputs: InputKey) -> Cut | None:
        if inputs not in self._cuts:
            traces = self._trace(inputs, 2), self._trace(inputs, 3)
            self._cuts[inputs] = find_cut(*traces, self._changing)
        return self._cuts[inputs]

    def run_frozen(self, samples: Sequence[Inputs]) -> list[Features]:
        """Return the features of samples, each a batch of one."""
        found: list[Features | None] = [None] * len(samples)
        groups: dict[InputKey, list[int]] = {}
        for number, sample in enumerate(samples):
            groups.setdefault(described(leaves_of(sample)), []).append(number)
        for inputs, numbers in groups.items():
            side = self._certain(inputs)
            for number, features in zip(
                numbers, side.run([samples[number] for number in numbers]), strict=True
            ):
                found[number] = features
        return [features for features in found if features is not None]

    def run_rest(self, features: Sequence[Features]) -> Any:
        """Return the model's output for a batch, from the features of its samples.

        Samples of other lengths, such as texts, run apart wherever the rest of the network
        depends on the length: nothing is filled up to the length of others.
        """
        rest = self.rest(features)
        return rest.forward(rest.inputs)

    def rest(self, features: Sequence[Features]) -> Rest:
        """Return what is left to compute of a batch, from the features of its samples."""
        groups: dict[str, list[int]] = {}
        for number, each in enumerate(features):
            groups.setdefault(self._certain(each.inputs).rest_text, []).append(number)
        parts = [
            self._replay([features[number] for number in numbers]) for numbers in groups.values()
        ]
        if len(parts) == 1:
            first = self.first is not None and self.first.rest_text in groups
            return Rest(*parts[0], repeats=first)
        order = [number for numbers in groups.values() for number in numbers]
        places = [order.index(number) for number in range(len(order))]

        def run(values: Sequence[Sequence[Tensor]]) -> Any:
            outputs = [each(own) for (each, _), own in zip(parts, values, strict=True)]
            return neurenix.concat(outputs, axis=0)[places]

        return Rest(run, [values for _, values in parts], repeats=False)

    def matches(self, features: Features) -> bool:
        """Whether features, perhaps of an earlier run, are those of this frozen part."""
        try:
            side = self.side(features.inputs)
        except UntraceableError:
            return False
        return side is not None and side.digest == features.graph

    def _certain(self, inputs: InputKey) -> FrozenSide:
        side = self.side(inputs)
        if side is None:
            raise UntraceableError(f"nothing is frozen for inputs of {inputs}, unlike for others")
        return side

    def _replay(self, features: Sequence[Features]) -> tuple[Run, list[Tensor]]:
        side, size = self._certain(features[0].inputs), len(features)
        key = side.rest_text, size
        replay = self._replays.get(key)
        if replay is None:
            replay = self._make_replay(side, features[0].inputs, size)
            if len(self._replays) >= _MAX_REPLAYS:
                self._replays.pop(next(iter(self._replays)))
            self._replays[key] = replay
        return replay, join_features(features, side.cut)

    def _make_replay(self, side: FrozenSide, inputs: InputKey, size: int) -> Run:
        if size == 2:
            return self._rest(side.cut.trace, side.cut.boundary)
        trace = self._trace(inputs, size)
        boundary = boundary_of(trace, self._changing)
        parts = side.cut.parts
        if len(boundary) != len(parts) or not all(
            part.fits(value, size) for part, value in zip(parts, boundary, strict=True)
        ):
            raise UntraceableError(f"its frozen part is another one for a batch of {size}")
        return self._rest(trace, boundary)

    def _rest(self, trace: Trace, boundary: Sequence[Value]) -> Run:
        """Return what runs the rest: a plan in eval mode, where nothing is taped."""
        graph = trace.graph
        if self.trains or not graph.is_pure:
            return Replay(trace, boundary)
        plan = make_executable(subgraph(graph, boundary, graph.outputs))

        def run(values: Sequence[Tensor]) -> Any:
            return graph.output_structure.rebuild(iter(plan.run(values)))

        return run

    def _trace(self, inputs: InputKey, size: int) -> Trace:
        key = inputs, size
        if size > 3:
            return trace_training(self.model, self._metas(inputs, size))
        if key not in self._traces:
            self._traces[key] = trace_training(self.model, self._metas(inputs, size))
        return self._traces[key]

    def _metas(self, inputs: InputKey, size: int) -> Inputs:
        described = iter(inputs)

        def meta(leaf: Any) -> Any:
            shape, dtype = next(described)
            return neurenix.graph.TensorMeta((size, *shape[1:]), neurenix.dtypes.as_dtype(dtype))

        return map_metas(meta, self._example)


def leaves_of_metas(inputs: Inputs) -> list[Any]:
    """Return the metas of inputs, in the order in which a graph takes them."""
    leaves: list[Any] = []
    map_metas(leaves.append, inputs)
    return leaves
