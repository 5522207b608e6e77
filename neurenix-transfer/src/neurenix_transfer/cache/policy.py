"""What is cached of which data, and by which keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b

from neurenix.graph import PrecisionName
from neurenix_transfer.cache.samples import ContentKey, Knowledge, content_of, know
from neurenix_transfer.cache.store import CACHE_MODES, CacheMode
from neurenix_transfer.checking import DataError
from neurenix_transfer.sources import FromLoader, Source

_READ_TWICE = 16
"""Samples that are compared between two readings before unknown data are cached."""


class CacheError(DataError):
    """Data that were to be cached, but give something else at each reading."""


@dataclass(frozen=True)
class CacheOptions:
    """What is asked of the feature cache.

    Attributes:
        mode: ``"auto"`` caches what is known to be the same at each reading; ``"memory"`` and
            ``"disk"`` other data too; ``"off"`` nothing.
        budget_bytes: What features may take; see `FeatureStore`.
        views: So many views of each sample are drawn by random augmentation, and come again in
            turn, epoch by epoch; None draws anew each epoch, and caches nothing then.
        mixes_inputs: Whether a step blends the inputs of samples, as mixup does.
        precision: In what the frozen part computes.

    Raises:
        ValueError: A value is out of range.
    """

    mode: CacheMode = "auto"
    budget_bytes: int | None = None
    views: int | None = None
    mixes_inputs: bool = False
    precision: PrecisionName = "float32"

    def __post_init__(self) -> None:
        if self.mode not in CACHE_MODES:
            raise ValueError(f"cache is one of {', '.join(CACHE_MODES)}, not {self.mode!r}")
        for name, value, least in (("cache_bytes", self.budget_bytes, 0), ("views", self.views, 1)):
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"{name} is a whole number or None, not {value!r}")
            if value < least:
                raise ValueError(f"{name} is at least {least}, not {value}")


@dataclass(frozen=True)
class Policy:
    """What is cached of one set of data.

    Attributes:
        kept: Whether features are kept.
        reason: Why not.
        singly: Whether samples can be read one by one, by their numbers.
        by_values: Whether only a sample's values, once read, name it.
        views: How many views of a sample come in turn; None for one that is always the same, or
            for ever new ones.
        key: Names a view of a sample, without reading it; None where that cannot be.
        lasting: Whether the names mean something beyond this run.
    """

    kept: bool
    reason: str | None
    singly: bool
    by_values: bool = False
    views: int | None = None
    key: Callable[[int, int], str] | None = None
    lasting: bool = False

    def read_epoch(self, epoch: int) -> int:
        """Return the epoch whose random transforms an epoch sees."""
        return epoch if self.views is None else epoch % self.views


def decide(part: str, source: Source, options: CacheOptions, seed: int) -> Policy:
    """Decide what is cached of one set of data.

    Args:
        part: ``"train"`` or ``"val"``.
        source: The data.
        options: What is asked for.
        seed: The seed of the run.

    Raises:
        CacheError: Data of which nothing is known were to be cached, and two readings differ.
    """
    knowledge = know(source)
    views = options.views if part == "train" and knowledge.random else None
    singly = knowledge.numbered

    def off(reason: str) -> Policy:
        return Policy(False, reason, singly, views=views)

    if options.mode == "off":
        return off("as asked for")
    if part == "train" and options.mixes_inputs:
        return off("mixup blends other inputs in each step")
    if not singly:
        return off(f"{knowledge.doubt}, so that nothing can be found again")
    if knowledge.random and views is None:
        hint = "; views=K caches K views a sample" if part == "train" else ""
        return off(f"{knowledge.doubt}, which gives something else each time{hint}")
    if knowledge.doubt is not None and not knowledge.random:
        if options.mode == "auto":
            return off(f'{knowledge.doubt}; if it does not, cache="memory" caches it')
        check_readings(source)
    return _kept(source, knowledge, options.mode, views, seed)


def check_readings(source: Source) -> None:
    """Read samples twice, as two epochs would.

    Raises:
        CacheError: A sample differs.
    """
    count = 0 if source.labels is None else len(source.labels)
    step = max(count // _READ_TWICE, 1)
    samples = list(range(0, count, step))[:_READ_TWICE]
    numbers = [[sample] for sample in samples]
    readings = zip(source.read(numbers, 0), source.read(numbers, 1), strict=True)
    for sample, (first, second) in zip(samples, readings, strict=True):
        if content_of(first.inputs) != content_of(second.inputs):
            raise CacheError(
                f"{source.name}[{sample}] differs between two readings, so its features cannot be "
                'cached: leave cache= at "auto", or make reading it deterministic'
            )


def _kept(
    source: Source, knowledge: Knowledge, mode: CacheMode, views: int | None, seed: int
) -> Policy:
    content = knowledge.content
    if mode == "disk" and content is None and views is None:
        return Policy(True, None, True, by_values=True, lasting=True)
    if mode == "memory" or content is None:
        name = source.name

        def numbered(sample: int, view: int) -> str:
            return f"{name}[{sample}].{view}"

        return Policy(True, None, True, views=views, key=numbered)
    return Policy(
        True, None, True, views=views, key=_named(source, content, views, seed), lasting=True
    )


def _named(
    source: Source, content: ContentKey, views: int | None, seed: int
) -> Callable[[int, int], str]:
    if views is None:
        return lambda sample, view: content(sample)
    loader = source.loader if isinstance(source, FromLoader) else None
    seed = seed if loader is None or loader.seed is None else loader.seed

    def named(sample: int, view: int) -> str:
        text = f"{content(sample)}|{seed}|{sample}|{view}"
        return blake2b(text.encode(), digest_size=16).hexdigest()

    return named
