"""The loader: its order, its threads, its errors, and that nothing depends on timing."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import neurenix.random
from neurenix.data import DataLoader, Dataset, current_generator
from neurenix.data.draws import uniform
from neurenix.data.transforms import Compose, RandomCrop, RandomHorizontalFlip, RandomRotation
from neurenix.tensor import Tensor


class Numbers(Dataset):
    """Samples that are their own numbers, read with a delay that mixes up the threads."""

    def __init__(self, count: int, delay_s: float = 0.0) -> None:
        self.count = count
        self.delay_s = delay_s
        self.reads: list[int] = []

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> int:
        if self.delay_s:
            time.sleep(self.delay_s * (index % 3))
        self.reads.append(index)
        return index


class Draws(Numbers):
    """Samples that are random numbers."""

    def __getitem__(self, index: int) -> Any:
        super().__getitem__(index)
        return uniform(2)


def loader_threads() -> list[str]:
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name.startswith("neurenix-loader")]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    assert loader_threads() == []
    yield
    gc.collect()
    assert loader_threads() == []


def batches(loader: DataLoader) -> list[Any]:
    return [batch.tolist() for batch in loader]


@pytest.mark.parametrize("num_workers", [0, 1, 3])
def test_batches_in_order(num_workers: int) -> None:
    loader = DataLoader(Numbers(7, 0.002), batch_size=3, num_workers=num_workers)
    assert len(loader) == 3
    assert batches(loader) == [[0, 1, 2], [3, 4, 5], [6]]


def test_drop_last() -> None:
    loader = DataLoader(Numbers(7), batch_size=3, drop_last=True)
    assert len(loader) == 2
    assert batches(loader) == [[0, 1, 2], [3, 4, 5]]
    exact = DataLoader(Numbers(6), batch_size=3, drop_last=True)
    assert len(exact) == len(batches(exact)) == 2


def test_drop_last_that_drops_everything_warns() -> None:
    with pytest.warns(UserWarning, match="no batch: 2 samples, batches of 3"):
        loader = DataLoader(Numbers(2), batch_size=3, drop_last=True)
    assert batches(loader) == []


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    def orders(seed: int, **options: Any) -> list[list[int]]:
        loader = DataLoader(Numbers(20), 20, shuffle=True, seed=seed, **options)
        return [batches(loader)[0] for _ in range(3)]

    first = orders(0)
    assert all(sorted(order) == list(range(20)) for order in first)
    assert len({tuple(order) for order in [*first, list(range(20))]}) == 4
    assert orders(0) == first
    assert orders(0, num_workers=2) == first
    assert orders(1) != first
    loader = DataLoader(Numbers(20), 20, shuffle=True, seed=0)
    loader.set_epoch(2)
    assert batches(loader)[0] == first[2]
    assert loader.epoch == 3
    loader.set_epoch(0)
    assert batches(loader)[0] == first[0]


def test_the_order_does_not_depend_on_batch_size_or_on_other_draws() -> None:
    def order(batch_size: int) -> list[int]:
        loader = DataLoader(Numbers(20), batch_size, shuffle=True, seed=3)
        return [index for batch in batches(loader) for index in batch]

    before = order(4)
    neurenix.random.rand((10,))
    assert order(7) == before


def test_without_a_seed_manual_seed_decides() -> None:
    def run(seed: int, draw_first: bool) -> list[Any]:
        neurenix.random.manual_seed(seed)
        if draw_first:
            neurenix.random.rand((3,))
        loader = DataLoader(Draws(5), 5, shuffle=True)
        return batches(loader) + batches(loader)

    try:
        assert run(7, False) == run(7, True) != run(8, False)
    finally:
        neurenix.random.manual_seed(0)


def test_random_transforms_are_keyed_by_seed_epoch_and_sample() -> None:
    def samples(epoch: int = 0, **options: Any) -> dict[int, Any]:
        dataset = Draws(12, 0.001)
        loader = DataLoader(dataset, collate_fn=list, **{"seed": 0, **options})
        loader.set_epoch(epoch)
        order = [index for batch in loader.batch_indices(epoch) for index in batch]
        drawn = [tuple(sample) for batch in loader for sample in batch]
        return dict(zip(order, drawn, strict=True))

    plain = samples(batch_size=1)
    assert len(set(plain.values())) == 12
    for workers in (0, 1, 4):
        assert samples(batch_size=5, num_workers=workers) == plain
        assert samples(batch_size=3, num_workers=workers, shuffle=True) == plain
    assert samples(epoch=1) != plain
    assert samples(seed=1) != plain


def test_augmented_photos_do_not_depend_on_workers() -> None:
    images = np.random.default_rng(0).random((9, 3, 16, 16), dtype=np.float32)
    transform = Compose([RandomHorizontalFlip(), RandomRotation(10), RandomCrop(16, padding=4)])
    dataset = Dataset(Tensor(images), list(range(9)), transform)

    def run(num_workers: int) -> np.ndarray:
        loader = DataLoader(dataset, 4, shuffle=True, seed=5, num_workers=num_workers)
        parts = [inputs.numpy() for _ in range(2) for inputs, _ in loader]
        return np.concatenate(parts)

    alone = run(0)
    assert alone.shape == (18, 3, 16, 16)
    np.testing.assert_array_equal(run(3), alone)


def test_the_generator_of_a_sample_ends_with_it() -> None:
    outside = current_generator()
    seen = []

    class Probe(Numbers):
        def __getitem__(self, index: int) -> int:
            seen.append(current_generator())
            return index

    list(DataLoader(Probe(3)))
    assert current_generator() is outside
    assert outside not in seen
    assert len({id(generator) for generator in seen}) == 3


class Broken(Numbers):
    def __getitem__(self, index: int) -> int:
        if index == 5:
            raise LookupError("no such photo")
        return super().__getitem__(index)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_errors_keep_their_type_and_name_the_sample(num_workers: int) -> None:
    loader = DataLoader(Broken(12), batch_size=2, num_workers=num_workers)
    iterator = iter(loader)
    seen = [next(iterator).tolist() for _ in range(2)]
    with pytest.raises(LookupError, match="no such photo") as caught:
        next(iterator)
    assert seen == [[0, 1], [2, 3]]  # the error comes where its batch is due
    assert caught.value.sample_index == 5  # type: ignore[attr-defined]
    assert caught.value.__notes__ == ["raised while reading sample 5 of the dataset (Broken)"]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_errors_of_collate_name_the_samples(num_workers: int) -> None:
    ragged = Dataset([np.zeros(2), np.zeros(2), np.zeros(3), np.zeros(2)])
    loader = DataLoader(ragged, batch_size=2, num_workers=num_workers)
    with pytest.raises(ValueError, match="position 1") as caught:
        list(loader)
    assert "samples [2, 3]" in caught.value.__notes__[0]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_loader_goes_on_after_an_error(num_workers: int) -> None:
    loader = DataLoader(Broken(6), batch_size=2, num_workers=num_workers)
    for _ in range(2):
        with pytest.raises(LookupError):
            list(loader)


def test_read_ahead_is_bounded() -> None:
    dataset = Numbers(100)
    iterator = iter(DataLoader(dataset, batch_size=1, num_workers=2, prefetch_factor=3))
    next(iterator)
    time.sleep(0.1)
    assert len(dataset.reads) <= 1 + 2 * 3
    assert 1 <= len(loader_threads()) <= 2
    del iterator


def test_breaking_out_ends_the_threads_within_a_sample() -> None:
    class SlowBehindTheFirstBatch(Numbers):
        def __getitem__(self, index: int) -> int:
            time.sleep(0.05 if index >= 20 else 0)
            return super().__getitem__(index)

    dataset = SlowBehindTheFirstBatch(80)
    for _ in DataLoader(dataset, batch_size=20, num_workers=3, prefetch_factor=1):
        break
    assert loader_threads() == []
    assert len(dataset.reads) < 60  # of the 80 that were submitted: none of 20 ended its batch


def test_an_abandoned_iterator_ends_its_threads() -> None:
    iterator = iter(DataLoader(Numbers(50), num_workers=2))
    next(iterator)
    assert loader_threads()
    del iterator
    gc.collect()
    assert loader_threads() == []


def test_an_iterator_that_never_ran_starts_no_threads() -> None:
    iterator = iter(DataLoader(Numbers(50), num_workers=2))
    assert loader_threads() == []
    del iterator


def test_two_iterators_at_once() -> None:
    loader = DataLoader(Numbers(6, 0.001), batch_size=2, num_workers=2)
    pairs = [(a.tolist(), b.tolist()) for a, b in zip(loader, loader, strict=True)]
    assert pairs == [([0, 1],) * 2, ([2, 3],) * 2, ([4, 5],) * 2]


def test_rearranged_batches() -> None:
    loader = DataLoader(Numbers(5), batch_size=2, num_workers=2)
    indices = loader.batch_indices(0)
    assert indices == [[0, 1], [2, 3], [4]]
    merged = [indices[0], indices[1] + indices[2]]
    assert [batch.tolist() for batch in loader.load(merged, epoch=0)] == [[0, 1], [2, 3, 4]]


def test_labels_and_collate_fn() -> None:
    dataset = Dataset(np.zeros((4, 3), np.float32), [Tensor([label]) for label in (0, 1, 1, 0)])
    inputs, labels = next(iter(DataLoader(dataset, batch_size=4)))
    assert inputs.shape == (4, 3)
    assert labels.tolist() == [0, 1, 1, 0]
    loader = DataLoader(dataset, batch_size=4, collate_fn=len)
    assert list(loader) == [4]


def test_a_plain_list_is_a_dataset() -> None:
    assert batches(DataLoader([1, 2, 3], batch_size=2)) == [[1, 2], [3]]


def test_wrong_arguments() -> None:
    for options, error in [
        ({"batch_size": 0}, ValueError),
        ({"batch_size": 2.0}, TypeError),
        ({"batch_size": True}, TypeError),
        ({"num_workers": -1}, ValueError),
        ({"prefetch_factor": 0}, ValueError),
        ({"collate_fn": 3}, TypeError),
    ]:
        with pytest.raises(error, match=f"expected {next(iter(options))}"):
            DataLoader(Numbers(3), **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="got an empty one"):
        DataLoader(Dataset([]))
    with pytest.raises(TypeError, match="length and samples by number"):
        DataLoader(iter([1, 2]))
    with pytest.raises(ValueError, match="expected epoch"):
        DataLoader(Numbers(3)).set_epoch(-1)


def test_repr() -> None:
    assert repr(DataLoader(Numbers(3), 2, shuffle=True, seed=1)) == (
        "DataLoader(Numbers of 3 samples, batch_size=2, shuffle=True, num_workers=0, "
        "drop_last=False, seed=1)"
    )
