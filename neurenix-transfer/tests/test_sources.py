"""The plan of batches."""

from __future__ import annotations

import numpy as np
import pytest

import neurenix
from neurenix import nn
from neurenix.data import DataLoader, Dataset
from neurenix.optim import SGD
from neurenix.transfer import fine_tune
from neurenix_transfer.sources import FromIterable, FromLoader, InMemory

X = np.arange(18, dtype=np.float32).reshape(9, 2)
Y = np.arange(9) % 2


def sources(batch_size):
    pairs = [(X[i : i + batch_size], Y[i : i + batch_size]) for i in range(0, 9, batch_size)]
    return [
        InMemory("train_data", X, Y, batch_size, False, 0),
        FromLoader("train_data", DataLoader(Dataset(X, Y), batch_size)),
        FromIterable("train_data", pairs),
    ]


@pytest.mark.parametrize("kind", range(3))
def test_a_last_batch_of_one_sample_joins_the_batch_before_it(kind):
    source = sources(4)[kind]
    assert [batch.size for batch in source.batches(0)] == [4, 4, 1]
    joined = list(source.batches(0, join_single=True))
    assert [batch.size for batch in joined] == [4, 5]
    inputs = np.concatenate([batch.inputs.numpy() for batch in joined])
    np.testing.assert_array_equal(inputs, X)
    assert source.steps(join_single=True) in (2, None)


@pytest.mark.parametrize("kind", range(3))
@pytest.mark.parametrize(("size", "expected"), [(1, [1] * 9), (3, [3, 3, 3]), (9, [9])])
def test_only_a_last_single_sample_joins(kind, size, expected):
    batches = sources(size)[kind].batches(0, join_single=True)
    assert [batch.size for batch in batches] == expected


def test_batches_carry_the_numbers_of_their_samples():
    source = InMemory("train_data", X, Y, 4, True, seed=3)
    for batch in source.batches(2):
        np.testing.assert_array_equal(batch.inputs.numpy(), X[batch.samples])


def test_the_order_is_a_function_of_seed_and_epoch():
    def order(seed, epoch):
        source = InMemory("train_data", X, Y, 4, True, seed)
        return [sample for batch in source.batches(epoch) for sample in batch.samples]

    assert order(0, 1) == order(0, 1)
    assert order(0, 1) != order(0, 2)
    assert order(0, 1) != order(1, 1)
    assert sorted(order(0, 1)) == list(range(9))


def test_where_batch_norm_trains_no_batch_of_one_reaches_it():
    neurenix.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
    sizes = []
    handle = model.register_forward_hook(lambda m, args, out: sizes.append(out.shape[0]))
    optimizer = SGD(model.parameters(), lr=0.01)
    fine_tune(model, optimizer, X, Y, epochs=1, batch_size=4, verbose=0)
    handle.remove()
    assert sizes == [1, 4, 5]  # the first is the probe, in eval mode
    model[1].requires_grad_(False)
    sizes.clear()
    with model.register_forward_hook(lambda m, args, out: sizes.append(out.shape[0])):
        fine_tune(model, optimizer, X, Y, epochs=1, batch_size=4, verbose=0)
    assert sizes == [1, 4, 4, 1]  # a frozen BatchNorm takes a single sample
