"""Samples that need not even be read: their features are on disk from an earlier run."""

from __future__ import annotations

from typing import Any

from neurenix.nn import Module
from neurenix.nn.mode import evaluating
from neurenix_transfer.cache.batches import rows_of
from neurenix_transfer.cache.disk import DiskStore, disk_limit_bytes, features_folder
from neurenix_transfer.cache.policy import CacheOptions, decide
from neurenix_transfer.cache.precision import Plans
from neurenix_transfer.cache.split import Split
from neurenix_transfer.cache.store import space_of
from neurenix_transfer.cache.tracing import UntraceableError
from neurenix_transfer.freezing import resting_where_frozen
from neurenix_transfer.probing import probe
from neurenix_transfer.sources import FromLoader, Inputs, placed


class StoredSamples:
    """Tells, while data are checked, which samples an earlier run has read and kept features of.

    A sample is named by its content, so a photo that was changed since is not among them.

    Args:
        model: The model, as it will be trained.
        options: What is asked of the cache.
        seed: The seed of the run.
    """

    def __init__(self, model: Module, options: CacheOptions, seed: int) -> None:
        self._model = model
        self._options = options
        self._seed = seed
        self._train: Split | None = None

    def __call__(self, part: str, source: FromLoader, first: Inputs) -> set[int]:
        """Return the numbers of those samples.

        Args:
            part: ``"train"`` or ``"val"``; the former comes first.
            source: The data.
            first: The inputs of the first sample, as a batch of one.
        """
        if self._options.mode not in ("auto", "disk") or not features_folder().is_dir():
            return set()
        if self._options.precision == "int8":  # known by ranges, for which samples are read
            return set()
        if not _are_whole_numbers(getattr(source.loader.dataset, "labels", None)):
            return set()
        policy = decide(part, source, self._options, self._seed)
        if not (policy.kept and policy.lasting) or policy.key is None or policy.views:
            return set()
        split = self._split(part, next(iter(rows_of(first)), first))
        if split is None or split.first is None:
            return set()
        device = next(self._model.parameters()).device
        space = space_of(split.weights.digest(), device, self._options.precision)
        store = DiskStore(features_folder(), space, disk_limit_bytes(), None, lambda line: None)
        store.refresh()
        if not store.has_any:
            return set()
        key, matches = policy.key, split.matches
        return {
            sample
            for sample in range(len(source.loader.dataset))
            if store.find(key(sample, 0), lambda stored: matches(stored.features)) is not None
        }

    def _split(self, part: str, first: Inputs) -> Split | None:
        model = self._model
        inputs = placed(model, first)
        plans = Plans(self._options.precision)
        try:
            if part == "train":
                probe(model, inputs)  # what joins base and head may look at the first forward
                flags = [(module, module._training) for module in model.modules()]
                with resting_where_frozen(model):
                    try:
                        model.train()
                        self._train = Split(model, inputs, [], plans)
                    finally:
                        for module, flag in flags:
                            module.training = flag
                return self._train
            if self._train is None:
                return None
            with resting_where_frozen(model), evaluating(model):
                return Split(model, inputs, self._train.statistics, plans)
        except UntraceableError:
            return None


def _are_whole_numbers(labels: Any) -> bool:
    """Whether labels are what a batch makes of them, without looking at the samples."""
    return isinstance(labels, list) and all(type(label) is int for label in labels)
