"""The frozen part of a network: a compiled plan that gives the boundary of single samples.

Samples run one by one, or in tiles of a fixed size where the backend gives a sample the same bits
whatever is beside it; a tile that is not full is filled up. So what a sample gives depends on the
sample alone: not on the size of batches, on their order, or on the epoch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

import neurenix
from neurenix import Tensor
from neurenix.autograd import no_grad
from neurenix.graph import Executable, Graph, make_executable
from neurenix.graph.structure import flatten
from neurenix_transfer.cache.cut import Cut
from neurenix_transfer.cache.precision import Plans
from neurenix_transfer.cache.replay import Replay, needed_nodes
from neurenix_transfer.cache.signature import captured_tensors, signature
from neurenix_transfer.cache.tracing import UntraceableError
from neurenix_transfer.sources import Array, Inputs

if TYPE_CHECKING:
    from neurenix.backends.device import Device

TILE = 8
"""Samples a tile; more gain little, and the last tile of a batch is filled up for nothing."""

# What another order of the same sums may differ by, relative to the largest value.
_ROUNDING = 2e-2

InputKey: TypeAlias = tuple[tuple[tuple[int, ...], str], ...]
"""Shape and dtype of each tensor of a sample's inputs, the batch axis of 1 included."""


@dataclass(frozen=True)
class Features:
    """What the frozen part gives for a sample.

    Attributes:
        parts: Its part of each boundary tensor.
        inputs: The shapes and dtypes of the inputs that it came from.
        graph: The digest of the graph that it came from.
    """

    parts: tuple[Array, ...]
    inputs: InputKey
    graph: str

    @property
    def nbytes(self) -> int:
        """The bytes of its values."""
        return sum(part.nbytes for part in self.parts)


@dataclass
class _Shared:
    """A plan, for all frozen parts that compute the same from the same tensors.

    Attributes:
        graph: What it carries out.
        plan: The plan.
        numbers: What names its numbers; empty for float32.
        distance: What `FrozenSide.verify` returns, once it has checked the plan.
    """

    graph: Graph
    plan: Executable
    numbers: str
    distance: float | None = None


class FrozenSide:
    """Runs the frozen part for samples of one shape.

    Args:
        cut: The cut, for this shape.
        named: The ids of the model's parameters and buffers.
        plans: Makes the plan that it runs as.
        kin: Frozen parts of the model in other modes. One that computes the same from the same
            tensors lends its plan, with the weights packed in it, and what `verify` found.

    Attributes:
        cut: The same.
        tensors: The weights and statistics that it reads.
        digest: The digest of what its graph computes, and in what numbers.
        rest_text: What the graph behind the cut computes, as text, for a fixed batch size.

    Raises:
        UntraceableError: It cannot be carried over to single samples.
        PrecisionError: The backend has no plan of it in the precision asked for.
    """

    def __init__(
        self, cut: Cut, named: Collection[int], plans: Plans, kin: Iterable[FrozenSide] = ()
    ) -> None:
        self.cut = cut
        self.tile = tile_of(cut.trace.graph.device)
        graph = cut.tile_graph(self.tile)
        self.tensors = captured_tensors(graph.nodes, named)
        self._text = text = signature(graph.nodes, graph.inputs, graph.outputs, named)
        self._plans = plans
        twin = next((each for each in kin if self._is_twin(each)), None)
        self._shared: _Shared = _Shared(graph, *plans.make(graph)) if twin is None else twin._shared
        numbers = self._shared.numbers
        self.digest = hashlib.blake2b(f"{text}{numbers}".encode(), digest_size=16).hexdigest()
        whole = cut.trace.graph
        rest = needed_nodes(whole, cut.boundary, whole.outputs, effects=True)
        self.rest_text = signature(rest, cut.boundary, whole.outputs, named)

    def run(self, samples: Sequence[Inputs]) -> list[Features]:
        """Return the features of some samples, each a batch of one.

        They have the dtypes of the boundary, and lie in the host's memory.
        """
        return self._run(self._shared.plan, samples)

    def _is_twin(self, other: FrozenSide) -> bool:
        return (
            self._text == other._text
            and self._plans == other._plans
            and len(self.tensors) == len(other.tensors)
            and all(a is b for a, b in zip(self.tensors, other.tensors, strict=True))
        )

    def _run(self, plan: Executable, samples: Sequence[Inputs]) -> list[Features]:
        found: list[Features] = []
        with no_grad():
            for start in range(0, len(samples), self.tile):
                chunk = [leaves_of(sample) for sample in samples[start : start + self.tile]]
                rows = [*chunk, *[chunk[-1]] * (self.tile - len(chunk))]
                outputs = plan.run(_joined(rows))
                arrays = [self._rows(out, part) for out, part in self._with_parts(outputs)]
                for number, leaves in enumerate(chunk):
                    parts = tuple(rows[number] for rows in arrays)
                    found.append(Features(parts, described(leaves), self.digest))
        return found

    def verify(self, first: Inputs, second: Inputs) -> float:
        """Check on two samples of this shape that a sample does not depend on the one beside it.

        That is seen in float32, whatever the numbers of the plan.

        Returns:
            How far the features are from those of float32, as the root mean square of the
            difference over that of the features; 0 where the plan is one of float32.

        Raises:
            UntraceableError: It does.
        """
        shared = self._shared
        if shared.distance is not None:
            return shared.distance
        is_exact = not shared.numbers
        exact = shared.plan if is_exact else make_executable(shared.graph)
        pair = (first, second)
        # One of the two computes them side by side, the other each beside itself or alone.
        planned = self._run(exact, pair)
        for features, parts in zip(planned, self._replayed(first, second), strict=True):
            if not all(map(is_close, features.parts, parts)):
                raise UntraceableError("a sample's features depend on the samples beside it")
        shared.distance = 0.0
        if not is_exact:
            shared.distance = _distance(planned, self.run(pair))
        return shared.distance

    def _replayed(self, first: Inputs, second: Inputs) -> list[list[Array]]:
        """Return the samples' features op by op: together if plans run one sample, else not."""
        replay = Replay(self.cut.trace, self.cut.trace.graph.inputs, self.cut.boundary)

        def features(of: Inputs, beside: Inputs) -> list[Array]:
            with no_grad():
                outputs = replay(_joined([leaves_of(of), leaves_of(beside)]))
            return [np.split(o.numpy(), 2, part.axis)[0] for o, part in self._with_parts(outputs)]

        if self.tile == 1:
            return [features(first, second), features(second, first)]
        return [features(first, first), features(second, second)]

    def _with_parts(self, outputs: Sequence[Tensor]) -> Any:
        return zip(outputs, self.cut.parts, strict=True)

    def _rows(self, out: Tensor, part: Any) -> list[Array]:
        rows = np.split(out.numpy(), self.tile, axis=part.axis)
        return [_owned(row) for row in rows]


def tile_of(device: Device) -> int:
    """Return how many samples run together on a device."""
    backend: Any = device.backend
    return TILE if backend.batch_invariant else 1


def join_features(features: Sequence[Features], cut: Cut) -> list[Tensor]:
    """Return the boundary tensors of a batch, on the device of the graph."""
    device = cut.trace.graph.device
    return [
        Tensor(np.concatenate([each.parts[index] for each in features], part.axis), device=device)
        for index, part in enumerate(cut.parts)
    ]


def described(leaves: Sequence[Any]) -> InputKey:
    """Describe the tensors of inputs."""
    return tuple((tuple(leaf.shape), str(leaf.dtype)) for leaf in leaves)


def leaves_of(inputs: Inputs) -> list[Tensor]:
    """Return the tensors of inputs, in the order in which a graph takes them."""
    leaves: list[Tensor] = flatten(inputs, (Tensor,), "the inputs")[0]
    return leaves


def join_inputs(samples: Sequence[Inputs]) -> Inputs:
    """Return the inputs of several samples, each a batch of one, as those of one batch."""
    leaves, nesting = flatten(samples[0], (Tensor,), "the inputs")
    joined = _joined([leaves, *map(leaves_of, samples[1:])])
    return nesting.rebuild(iter(joined))


def _joined(rows: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    if len(rows) == 1:
        return list(rows[0])
    return [neurenix.concat(list(column), axis=0) for column in zip(*rows, strict=True)]


def _owned(row: Array) -> Array:
    """Return values that hold no more memory than their own, and that nobody writes."""
    whole = row.base is None or getattr(row.base, "nbytes", 0) == row.nbytes
    return row if whole and row.flags.c_contiguous else row.copy()


def is_close(a: Array, b: Array) -> bool:
    """Whether two results differ by no more than the rounding of sums in another order."""
    if a.shape != b.shape:
        return False
    if a.dtype.kind in "biu":
        return bool((a == b).all())
    wide, other = a.astype(np.float64), b.astype(np.float64)
    finite = np.isfinite(wide) & np.isfinite(other)
    if not (finite | (wide == other) | (np.isnan(wide) & np.isnan(other))).all():
        return False
    scale = max(float(np.abs(wide[finite]).max(initial=0.0)), 1e-30)
    return bool((np.abs(wide - other)[finite] <= _ROUNDING * scale).all())


def _distance(exact: Sequence[Features], found: Sequence[Features]) -> float:
    """Return the root mean square of a difference, relative to that of what it is from."""
    pairs = [
        (a.astype(np.float64), b.astype(np.float64))
        for one, other in zip(exact, found, strict=True)
        for a, b in zip(one.parts, other.parts, strict=True)
    ]
    size = sum(float((a * a).sum()) for a, _ in pairs)
    difference = sum(float(((a - b) ** 2).sum()) for a, b in pairs)
    return float(np.sqrt(difference / max(size, 1e-30)))
