"""Batches of a dataset, in a seeded order, read ahead by threads."""

from __future__ import annotations

import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any

from neurenix.autograd import no_grad
from neurenix.data.collate import default_collate
from neurenix.data.draws import drawing_from, epoch_generator, order_generator, permutation
from neurenix.random import Generator, default_generator

_THREAD_PREFIX = "neurenix-loader"


class DataLoader:
    """Iterates over a dataset in batches.

    The order is a function of (seed, epoch), and the random transforms of a sample draw from a
    stream keyed by (seed, epoch, sample): neither depends on the number of workers, on timing, or
    on what else draws random numbers. Each ``iter(loader)`` is the next epoch; ``set_epoch`` says
    which one comes next.

    Args:
        dataset: Anything with a length and samples by number.
        batch_size: Samples a batch; the last batch may be smaller.
        shuffle: Whether each epoch has an order of its own.
        num_workers: Threads that read ahead; 0 reads in the calling thread. Threads share the
            dataset: nothing is copied or pickled.
        collate_fn: Joins a list of samples into a batch. If None, the dataset's own
            ``collate_fn`` where it has one (a dataset of texts does), else ``default_collate``.
        drop_last: Leave out a last batch that is smaller.
        seed: Seed of the order and of random transforms; the seed of ``neurenix.manual_seed``
            if None.
        prefetch_factor: Batches that each worker may hold ready.

    Raises:
        TypeError: The dataset has no length or no items.
        ValueError: The dataset is empty, or a number is out of range.

    Note:
        An error in the dataset is raised where its batch is due, with its own type. Its note says
        which sample it was, and its attribute ``sample_index`` holds the number.

    Examples:
        >>> from neurenix.data import DataLoader, Dataset
        >>> loader = DataLoader(Dataset([[1.0], [2.0], [3.0]], labels=[0, 1, 0]), batch_size=2)
        >>> [labels.tolist() for inputs, labels in loader]
        [[0, 1], [0]]
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        *,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        drop_last: bool = False,
        seed: int | None = None,
        prefetch_factor: int = 2,
    ) -> None:
        if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
            raise TypeError(
                "expected a dataset with a length and samples by number (__len__ and "
                f"__getitem__), got {type(dataset).__name__}"
            )
        if collate_fn is None:
            collate_fn = getattr(dataset, "collate_fn", None)
        if collate_fn is not None and not callable(collate_fn):
            raise TypeError(f"expected collate_fn to be callable, got {type(collate_fn).__name__}")
        self.dataset = dataset
        self.batch_size = _whole("batch_size", batch_size, 1)
        self.shuffle = bool(shuffle)
        self.num_workers = _whole("num_workers", num_workers, 0)
        self.collate_fn = default_collate if collate_fn is None else collate_fn
        self.drop_last = bool(drop_last)
        self.seed = seed
        self.prefetch_factor = _whole("prefetch_factor", prefetch_factor, 1)
        self._next_epoch = 0
        if len(dataset) == 0:
            raise ValueError("expected a dataset of at least one sample, got an empty one")
        if len(self) == 0:
            warnings.warn(
                f"drop_last leaves no batch: {len(dataset)} samples, batches of {batch_size}",
                stacklevel=2,
            )

    def __len__(self) -> int:
        """The number of batches of an epoch."""
        full, rest = divmod(len(self.dataset), self.batch_size)
        return full + (1 if rest and not self.drop_last else 0)

    def __iter__(self) -> Iterator[Any]:
        """The batches of the next epoch."""
        epoch = self._next_epoch
        self._next_epoch += 1
        return self.load(self.batch_indices(epoch), epoch)

    @property
    def epoch(self) -> int:
        """The epoch that the next ``iter(loader)`` gives."""
        return self._next_epoch

    def set_epoch(self, epoch: int) -> None:
        """Make ``epoch`` the epoch that the next ``iter(loader)`` gives."""
        self._next_epoch = _whole("epoch", epoch, 0)

    def batch_indices(self, epoch: int) -> list[list[int]]:
        """The numbers of the samples of each batch of an epoch."""
        count = len(self.dataset)
        order: Sequence[int] = range(count)
        if self.shuffle:
            order = permutation(count, order_generator(self._generator(), epoch))
        starts = range(0, len(self) * self.batch_size, self.batch_size)
        return [list(order[start : start + self.batch_size]) for start in starts]

    def load(self, batches: Sequence[Sequence[int]], epoch: int) -> Iterator[Any]:
        """Read the batches given by the numbers of their samples.

        ``iter(loader)`` is ``load(batch_indices(epoch), epoch)``; a training loop may rearrange
        the batches in between.

        Args:
            batches: The numbers of the samples of each batch.
            epoch: The epoch that keys the random transforms.
        """
        # Taken here, not at the first sample: a later manual_seed leaves this epoch as it is.
        streams = epoch_generator(self._generator(), epoch)
        if self.num_workers == 0:
            return (self._load_batch(batch, streams) for batch in batches)
        return self._read_ahead(batches, streams)

    def _generator(self) -> Generator:
        return default_generator() if self.seed is None else Generator(self.seed)

    def _read_ahead(self, batches: Sequence[Sequence[int]], streams: Generator) -> Iterator[Any]:
        stop = threading.Event()
        pool = ThreadPoolExecutor(self.num_workers, thread_name_prefix=_THREAD_PREFIX)
        waiting = iter(batches)
        ahead: deque[Future[Any]] = deque()

        def submit(count: int) -> None:
            for batch in islice(waiting, count):
                ahead.append(pool.submit(self._load_batch, batch, streams, stop))

        try:
            submit(self.num_workers * self.prefetch_factor)
            while ahead:
                batch = ahead.popleft().result()
                submit(1)
                yield batch
        finally:
            # Also when the caller breaks out of its loop: a batch under way ends at its next
            # sample. A forgotten iterator may be collected by one of its own threads, which
            # cannot wait for itself.
            stop.set()
            mine = threading.current_thread().name.startswith(_THREAD_PREFIX)
            pool.shutdown(wait=not mine, cancel_futures=True)

    def _load_batch(
        self,
        indices: Sequence[int],
        streams: Generator,
        stop: threading.Event | None = None,
    ) -> Any:
        samples = []
        for index in indices:
            if stop is not None and stop.is_set():
                return None
            samples.append(self._load_sample(index, streams))
        try:
            with no_grad():
                return self.collate_fn(samples)
        except Exception as error:
            error.add_note(f"raised while joining the samples {list(indices)} into a batch")
            raise

    def _load_sample(self, index: int, streams: Generator) -> Any:
        try:
            with drawing_from(streams.fork(index)):
                return self.dataset[index]
        except Exception as error:
            name = type(self.dataset).__name__
            error.add_note(f"raised while reading sample {index} of the dataset ({name})")
            error.sample_index = index  # type: ignore[attr-defined]
            raise

    def __repr__(self) -> str:
        return (
            f"DataLoader({type(self.dataset).__name__} of {len(self.dataset)} samples, "
            f"batch_size={self.batch_size}, shuffle={self.shuffle}, "
            f"num_workers={self.num_workers}, drop_last={self.drop_last}, seed={self.seed})"
        )


def _whole(name: str, value: int, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"expected {name} as a whole number, got {value!r}")
    if value < least:
        raise ValueError(f"expected {name} of at least {least}, got {value}")
    return value
