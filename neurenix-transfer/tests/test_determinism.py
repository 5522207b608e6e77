"""The same seed gives the same run, bit by bit."""

from __future__ import annotations

import numpy as np
import pytest

import neurenix
from neurenix import nn
from neurenix.data import DataLoader, Dataset
from neurenix.data.transforms import RandomHorizontalFlip
from neurenix.optim import SGD
from neurenix.random import default_generator
from neurenix.transfer import fine_tune

BITWISE = ("train_loss", "val_loss", "train_accuracy", "val_accuracy", "lr")


def test_the_same_seed_gives_bitwise_the_same_history_and_weights(run):
    model, history = run(seed=5)
    neurenix.rand((7,))  # what else draws does not matter
    twin, again = run(seed=5)
    for key in BITWISE:
        assert history[key] == again[key], key
    for (name, a), (_, b) in zip(model.named_parameters(), twin.named_parameters(), strict=True):
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy(), name)


def test_another_seed_gives_another_history(run):
    assert run(seed=5)[1]["train_loss"] != run(seed=6)[1]["train_loss"]


def test_the_default_generator_goes_on_as_if_nothing_had_drawn(run):
    neurenix.manual_seed(11)
    before = default_generator().get_state()
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 2))
    after_building = default_generator().get_state()
    x = np.ones((8, 4), np.float32)
    fine_tune(model, SGD(model.parameters(), lr=0.1), x, [0, 1] * 4, epochs=2, verbose=0)
    assert default_generator().get_state() == after_building != before


def test_a_step_draws_from_a_stream_of_its_own():
    """Dropout of a step is the same whatever came before it, as resuming needs."""
    outputs: list[list[np.ndarray]] = [[], []]
    x = np.ones((4, 50), np.float32)
    for record, drawn_before in zip(outputs, (0, 3), strict=True):
        neurenix.manual_seed(0)
        model = nn.Sequential(nn.Dropout(0.5), nn.Linear(50, 2))
        hook = lambda m, args, out, record=record: record.append(out.numpy())  # noqa: E731
        model[0].register_forward_hook(hook)
        neurenix.rand((drawn_before + 1,))
        fine_tune(
            model,
            SGD(model.parameters(), lr=0.0),
            x,
            [0, 1, 0, 1],
            epochs=2,
            verbose=0,
            callbacks=[lambda: neurenix.rand((3,))] if drawn_before else None,
        )
    first, second = (record[1:] for record in outputs)  # without the probe
    assert (first[0] != first[1]).any()
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("workers", [0, 2])
def test_random_transforms_are_keyed_by_seed_epoch_and_sample(photos, workers):
    histories = []
    for batch in (3, 3):
        neurenix.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(108, 2))
        dataset = Dataset(list(map(neurenix.Tensor, photos)), [0, 1] * 4, RandomHorizontalFlip())
        loader = DataLoader(dataset, batch_size=batch, shuffle=True, num_workers=workers)
        optimizer = SGD(model.parameters(), lr=0.1)
        histories.append(fine_tune(model, optimizer, loader, epochs=3, seed=2, verbose=0))
    assert histories[0]["train_loss"] == histories[1]["train_loss"]
