"""The calibration of the frozen part for int8, on training samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import neurenix
from neurenix import Tensor
from neurenix.autograd import no_grad
from neurenix.graph import Calibration, PrecisionName, RangeMeter, optimize
from neurenix_transfer.cache.batches import rows_of
from neurenix_transfer.cache.disk import Say
from neurenix_transfer.cache.frozen import InputKey, described, leaves_of
from neurenix_transfer.cache.precision import Plans
from neurenix_transfer.cache.split import Split
from neurenix_transfer.sources import Inputs, Source

CALIBRATION_SAMPLES = 128
"""Training samples that int8 is calibrated on: more move the largest values little."""


class FrozenPrecision:
    """The precision of the frozen part throughout a run.

    Args:
        name: The precision.
        samples: Returns the samples to calibrate int8 on, each a batch of one.
        say: Prints a line.

    Attributes:
        name: The precision.
    """

    def __init__(
        self, name: PrecisionName, samples: Callable[[], Iterable[Inputs]], say: Say
    ) -> None:
        self.name: PrecisionName = name
        self._samples = samples
        self._say = say
        self._known: dict[str, Plans] = {}

    def plans(self, split: Split) -> Plans:
        """Return what makes the plans of a split's frozen part.

        For int8 it is calibrated, unless that was done for the same weights and the same graph.

        Raises:
            PrecisionError: A sample to calibrate on is not finite.
        """
        identity = split.identity() if self.name == "int8" else None
        if identity is None:
            return Plans(self.name)
        if identity not in self._known:
            self._known[identity] = self._calibrated(split)
        return self._known[identity]

    def _calibrated(self, split: Split) -> Plans:
        meters: dict[InputKey, RangeMeter | None] = {}
        waiting: dict[InputKey, list[list[Tensor]]] = {}
        count = 0
        with no_grad():
            for sample in self._samples():
                rows = leaves_of(sample)
                shapes = described(rows)
                if shapes not in meters:
                    graph = split.frozen_graph(shapes)
                    meters[shapes] = None if graph is None else RangeMeter(optimize(graph))
                group = waiting.setdefault(shapes, [])
                group.append(rows)
                count += 1
                if len(group) == split.tile:
                    _run(meters[shapes], waiting.pop(shapes), split.tile)
            for shapes, group in waiting.items():
                _run(meters[shapes], group, split.tile)
        found: dict[tuple[str, ...], Calibration] = {}
        for meter in meters.values():
            if meter is not None:
                each = meter.calibration()
                found[each.ops] = found[each.ops].joined(each) if each.ops in found else each
        return Plans(self.name, tuple(found.values()), count, self._say)


def calibration_samples(source: Source, *, singly: bool) -> Iterable[Inputs]:
    """Yield the inputs of samples to calibrate on, each a batch of one.

    They are spread evenly over the data, which may be sorted by class; as the first epoch reads
    them. Of data whose samples have no numbers they are the first.

    Args:
        source: The training data.
        singly: Whether samples can be read one by one, by their numbers.
    """
    if singly and source.labels is not None:
        total = len(source.labels)
        count = min(total, CALIBRATION_SAMPLES)
        numbers = [[place * total // count] for place in range(count)]
        for batch in source.read(numbers, 0):
            yield batch.inputs
        return
    left = CALIBRATION_SAMPLES
    for batch in source.batches(0):
        rows = rows_of(batch.inputs)[:left]
        yield from rows
        left -= len(rows)
        if not left:
            return


def _run(meter: RangeMeter | None, group: Sequence[Sequence[Tensor]], tile: int) -> None:
    """Measure a tile of samples, filled up with the last one."""
    if meter is not None:
        rows = [*group, *[group[-1]] * (tile - len(group))]
        meter.run([neurenix.concat(list(column), axis=0) for column in zip(*rows, strict=True)])
