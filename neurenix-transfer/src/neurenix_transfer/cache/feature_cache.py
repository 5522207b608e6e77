"""The feature cache of a training run: batches that start behind the frozen part.

    cache = FeatureCache(model, CacheOptions("auto"), say)
    cache.prepare({"train": (source, first)}, seed=0)
    cache.begin("train")                      # each epoch, in the mode to run in
    for batch in cache.batches("train", epoch):
        outputs = batch.outputs()             # the trainable rest, taped

Whether features are cached or not, the same plan of the frozen part runs, sample by sample; so it
makes no difference to any result.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from neurenix import Tensor
from neurenix.nn import Module
from neurenix.nn.mode import evaluating
from neurenix_transfer.cache.batches import (
    Rest,
    Staged,
    eager,
    eager_batches,
    joined_labels,
    rows_of,
    whole_model,
)
from neurenix_transfer.cache.calibrating import FrozenPrecision, calibration_samples
from neurenix_transfer.cache.describing import describe_split, describe_store
from neurenix_transfer.cache.disk import Say
from neurenix_transfer.cache.frozen import described, leaves_of
from neurenix_transfer.cache.module_split import ModuleSplit
from neurenix_transfer.cache.policy import CacheOptions, Policy, decide
from neurenix_transfer.cache.precision import check_frozen_precision
from neurenix_transfer.cache.samples import content_of
from neurenix_transfer.cache.saving import Saving
from neurenix_transfer.cache.shard import Stored
from neurenix_transfer.cache.split import Split
from neurenix_transfer.cache.store import FeatureStore, space_of
from neurenix_transfer.cache.tracing import UntraceableError, state_key
from neurenix_transfer.sources import Batch, Inputs, Source, placed

if TYPE_CHECKING:
    from neurenix_transfer.cache.frozen import Features

AnySplit: TypeAlias = Split | ModuleSplit

_LOOKED_THROUGH = 8  # samples that are looked through for one of the first one's shape


@dataclass
class _Part:
    """Training or validation data, and what is known of them.

    Attributes:
        name: ``"train"`` or ``"val"``.
        source: The data.
        example: A sample's inputs, as a batch of one.
        others: Another sample of the same shapes, once one was looked for and found.
        policy: Whether, and by which keys, features are kept.
        split: The model in two halves; None where it runs as a whole.
        state: The state of the model that the split is of.
        space: The name of the weights that features are of.
        keys: What names a view of a sample, once it is known.
    """

    name: str
    source: Source
    example: Inputs
    others: list[Inputs]
    policy: Policy
    split: AnySplit | None = None
    state: Any = None
    space: str = ""
    keys: dict[tuple[int, int], str] = field(default_factory=dict)

    def pair(self) -> tuple[Inputs, Inputs] | None:
        """Return two samples of the same shapes, if there are any."""
        if not self.others and self.policy.singly:
            shapes = described(leaves_of(self.example))
            count = min(_count(self.source) or 0, _LOOKED_THROUGH)
            for batch in self.source.read([[sample] for sample in range(1, count)], 0):
                if described(leaves_of(batch.inputs)) == shapes:
                    self.others.append(batch.inputs)
                    break
        return (self.example, self.others[0]) if self.others else None


class FeatureCache:
    """Runs a model in two halves, and keeps what the frozen half gives.

    Args:
        model: The model.
        options: What is asked for.
        say: Prints a line.

    Attributes:
        saving: What was saved so far.

    Raises:
        PrecisionError: The backend has no plans of the precision asked for.
    """

    def __init__(self, model: Module, options: CacheOptions, say: Say) -> None:
        check_frozen_precision(model, options.precision)
        self.model = model
        self.options = options
        self.saving = Saving()
        self._say = say
        self._parts: dict[str, _Part] = {}
        self._store: FeatureStore | None = None
        self._untraceable: str | None = None
        self._precision = FrozenPrecision(options.precision, self._calibration_samples, say)
        self._told: list[str] = []

    def prepare(self, data: Mapping[str, tuple[Source, Inputs]], seed: int) -> None:
        """Take in the data, the model being in training mode; decide what is cached, and say it.

        Args:
            data: By part, ``"train"`` first: where batches come from, and the inputs of the first
                sample or batch.
            seed: The seed of the run.

        Raises:
            CacheError: Data that were to be cached give something else at each reading.
            PrecisionError: The frozen part cannot run in the precision asked for.
        """
        for name, (source, first) in data.items():
            examples = rows_of(first) or [first]
            policy = decide(name, source, self.options, seed)
            self._parts[name] = _Part(name, source, examples[0], examples[1:2], policy)
        train = self._parts["train"]
        self.begin("train")
        if train.split is None:
            return
        if "val" in self._parts:  # now, so that no epoch's time has it
            with evaluating(self.model):
                self.begin("val")
        if any(part.policy.kept for part in self._parts.values()):
            self._store = FeatureStore(self.options.mode, self.options.budget_bytes, self._say)
            self._open(train)
        counts = {name: _count(part.source) for name, part in self._parts.items()}
        policies = {name: part.policy for name, part in self._parts.items()}
        for line in describe_store(self._store, train.split, policies, counts):
            self._say(line)

    def begin(self, name: str) -> None:
        """Find the cut for the mode and the freezing that the model has now."""
        part = self._parts[name]
        state = state_key(self.model), self._untraceable, self._calibrated_for(part)
        if part.state != state:
            part.split = self._find(part)
            part.state = state[0], self._untraceable, self._calibrated_for(part)
        self._open(part)
        if name == "train":
            lines = describe_split(
                self.model, part.split, self._untraceable, self.options.precision
            )
            if lines != self._told:
                self._told = lines
                for line in lines:
                    self._say(line)

    def batches(self, name: str, epoch: int, *, join_single: bool = False) -> Iterator[Staged]:
        """Yield the batches of an epoch, ready for the trainable rest."""
        part = self._parts[name]
        epoch_read = part.policy.read_epoch(epoch)
        numbers = part.source.numbers(epoch, join_single=join_single)
        if name == "train" and self.options.mixes_inputs:
            # Samples are blended before the frozen part sees them: see `stage`.
            yield from eager_batches(
                self.model,
                part.source.batches(epoch_read, join_single=join_single),
                part.example,
            )
        elif numbers is not None and (part.policy.singly and part.split is not None):
            yield from self._by_numbers(part, numbers, epoch_read)
        elif numbers is not None:
            for batch in part.source.read(numbers, epoch_read):
                yield self._by_rows(part, batch)
        else:
            for batch in part.source.batches(epoch, join_single=join_single):
                yield self._by_rows(part, batch)

    def stage(self, name: str, batch: Batch) -> Staged:
        """Run the frozen part on a batch that is not in the data, such as a blend of samples."""
        return self._by_rows(self._parts[name], batch)

    def state(self, name: str) -> Any:
        """Return what is equal as long as the cut is the same."""
        return self._parts[name].state

    def keys(self) -> dict[str, str]:
        """Return, by part of the data, what names the frozen part that features are kept of."""
        return {name: part.space for name, part in self._parts.items() if part.space}

    def conclude(self) -> None:
        """Write what is waiting for the disk, and say what was saved."""
        if self._store is not None:
            self._store.flush()
            line = self.saving.line()
            if line is not None:
                self._say(line)

    # The cut ------------------------------------------------------------------------------------

    def _find(self, part: _Part) -> AnySplit | None:
        example = placed(self.model, part.example)
        pair = part.pair()
        if pair is not None:
            pair = placed(self.model, pair[0]), placed(self.model, pair[1])
        if self._untraceable is None:
            train = self._parts["train"].split
            if part.name != "train" and not isinstance(train, Split):
                return None
            try:
                statistics = train.statistics if isinstance(train, Split) else []
                others = (each.split for each in self._parts.values())
                kin = [each for each in others if isinstance(each, Split)]
                split = Split(self.model, example, statistics, self._precision.plans, kin)
                if split.first is None:
                    return None
                if pair is not None:
                    split.distance = split.first.verify(*pair)
                return split
            except UntraceableError as error:
                self._untraceable = str(error)
        try:
            return None if pair is None else ModuleSplit(self.model, *pair)
        except UntraceableError:
            return None

    def _calibrated_for(self, part: _Part) -> str:
        """Return the digest of the weights that int8 was calibrated for; empty without int8."""
        if self.options.precision != "int8" or not isinstance(part.split, Split):
            return ""
        return part.split.weights.digest()

    def _calibration_samples(self) -> Iterator[Inputs]:
        train = self._parts["train"]
        for inputs in calibration_samples(train.source, singly=train.policy.singly):
            yield placed(self.model, inputs)

    def _open(self, part: _Part) -> None:
        """Take up the features of the weights as they are now."""
        if self._store is None or part.split is None or not part.policy.kept:
            return
        device = next(self.model.parameters()).device
        precision = self.options.precision
        part.space = space_of(part.split.weights.digest(), device, precision)
        frozen = describe_split(self.model, part.split, None)[0].removeprefix("Frozen part: ")
        if precision != "float32":
            frozen += f" in {precision}"
        about = {"model": type(self.model).__name__, "frozen": frozen}
        self._store.open(part.space, about)
        self._store.keep_only({each.space for each in self._parts.values()})

    def _give_up(self, part: _Part, error: UntraceableError) -> None:
        """Run the model by its own code from here on."""
        self._untraceable = str(error)
        part.split = None
        self._say(f"No graph of {type(self.model).__name__}, which runs by its own code: {error}")

    # Batches ------------------------------------------------------------------------------------

    def _by_rows(self, part: _Part, batch: Batch) -> Staged:
        """Stage a batch whose samples have no numbers to be read by: it is taken apart."""
        split = part.split
        rows = [] if split is None else rows_of(placed(self.model, batch.inputs))
        if split is None or len(rows) != batch.size:
            return eager(self.model, batch, part.example)
        try:
            features = split.run_frozen(rows)
        except UntraceableError as error:
            self._give_up(part, error)
            return eager(self.model, batch, part.example)
        rest = self._rest(part, split, features, lambda: batch)
        return Staged(batch.labels, batch.samples, rest, lambda: batch)

    def _by_numbers(self, part: _Part, numbers: list[list[int]], epoch: int) -> Iterator[Staged]:
        started = time.perf_counter()
        self._name_samples(part, numbers, epoch)
        known = [[self._lookup(part, sample, epoch) for sample in batch] for batch in numbers]
        self.saving.lookup_seconds += time.perf_counter() - started
        missing = [
            [sample]
            for batch, row in zip(numbers, known, strict=True)
            for sample, found in zip(batch, row, strict=True)
            if found is None
        ]
        reader = part.source.read(missing, epoch)
        for batch, row in zip(numbers, known, strict=True):
            if self._store is not None and part.split is not None and part.split.weights.written():
                self._open(part)  # a callback changed what is frozen, in the middle of an epoch
                row = [self._lookup(part, sample, epoch) for sample in batch]
                lacking = [[s] for s, found in zip(batch, row, strict=True) if found is None]
                yield self._staged(part, batch, row, part.source.read(lacking, epoch), epoch)
            else:
                yield self._staged(part, batch, row, reader, epoch)
        if self._store is not None:
            self._store.flush()

    def _staged(
        self,
        part: _Part,
        batch: list[int],
        row: Sequence[Stored | None],
        reader: Iterator[Batch],
        epoch: int,
    ) -> Staged:
        split, source = part.split, part.source

        def whole() -> Batch:
            return next(source.read([batch], epoch))

        if split is None:
            return eager(self.model, whole(), part.example)
        lacking = [sample for sample, found in zip(batch, row, strict=True) if found is None]
        read: list[Batch] = []
        fresh: dict[int, Features] = {}
        if lacking:
            started = time.perf_counter()
            read = [next(reader) for _ in lacking]
            try:
                fresh = self._computed(part, split, lacking, read, epoch, started)
            except UntraceableError as error:
                self._give_up(part, error)
                return eager(self.model, whole(), part.example)
        features = []
        for sample, found in zip(batch, row, strict=True):
            if found is not None:
                self.saving.hits += 1
                self.saving.hit_seconds += found.seconds
            features.append(fresh[sample] if found is None else found.features)
        if len(read) == len(batch) or source.labels is None:
            labels = joined_labels(read)
        else:
            labels = Tensor(source.labels[batch])
        return Staged(labels, batch, self._rest(part, split, features, whole), whole)

    def _computed(
        self,
        part: _Part,
        split: AnySplit,
        samples: list[int],
        read: list[Batch],
        epoch: int,
        started: float,
    ) -> dict[int, Features]:
        """Return the features of samples that were just read, and keep them."""
        fresh: dict[int, Features] = {}
        waiting: dict[int, Inputs] = {}
        for sample, batch in zip(samples, read, strict=True):
            if self._store is not None and part.policy.kept and part.policy.by_values:
                part.keys[sample, self._view(part, epoch)] = content_of(batch.inputs)
                found = self._lookup(part, sample, epoch)
                if found is not None:
                    fresh[sample] = found.features
                    continue
            waiting[sample] = placed(self.model, batch.inputs)
        computed = split.run_frozen(list(waiting.values()))
        seconds = time.perf_counter() - started
        self.saving.misses += len(waiting)
        self.saving.miss_seconds += seconds
        for sample, features in zip(waiting, computed, strict=True):
            fresh[sample] = features
            key = part.keys.get((sample, self._view(part, epoch)))
            if self._store is not None and part.policy.kept and key is not None:
                stored = Stored(features, seconds / len(samples))
                self._store.put(part.space, key, stored, lasting=self._is_lasting(part))
        return fresh

    def _name_samples(self, part: _Part, numbers: list[list[int]], epoch: int) -> None:
        """Work out the keys of an epoch's samples: on threads, since most of it is hashing."""
        key, view = part.policy.key, self._view(part, epoch)
        if self._store is None or key is None:
            return
        new = [(s, view) for batch in numbers for s in batch if (s, view) not in part.keys]
        if new:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                part.keys.update(zip(new, pool.map(lambda place: key(*place), new), strict=True))

    def _lookup(self, part: _Part, sample: int, epoch: int) -> Stored | None:
        """Return the features of a sample, if they are there."""
        split = part.split
        if self._store is None or split is None or not part.policy.kept:
            return None
        place = sample, self._view(part, epoch)
        key = part.keys.get(place)
        if key is None:
            if part.policy.key is None:
                return None
            key = part.keys[place] = part.policy.key(*place)
        return self._store.find(part.space, key, lambda stored: split.matches(stored.features))

    def _rest(
        self,
        part: _Part,
        split: AnySplit,
        features: Sequence[Features],
        whole: Callable[[], Batch],
    ) -> Callable[[], Rest]:
        def rest() -> Rest:
            try:
                return split.rest(features)
            except UntraceableError as error:
                self._give_up(part, error)
                return whole_model(self.model, whole(), part.example)

        return rest

    def _view(self, part: _Part, epoch: int) -> int:
        """Return which view of a sample an epoch sees; the epoch is taken modulo already."""
        return 0 if part.policy.views is None else epoch

    def _is_lasting(self, part: _Part) -> bool:
        return part.policy.lasting and isinstance(part.split, Split)


def _count(source: Source) -> int | None:
    return None if source.labels is None else len(source.labels)
