"""CKA maps between the layers of two models."""

from __future__ import annotations

import numpy as np
import pytest

import neurenix
from neurenix import Tensor, nn
from neurenix.data import DataLoader, Dataset
from neurenix.transfer import DataError, TransferModel, UnknownLayerError, cka_map
from neurenix.transfer.utils import compare_model_features, get_layer_outputs
from neurenix_transfer.hsic import gram, unbiased_hsic


@pytest.fixture
def other():
    neurenix.manual_seed(9)
    return nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(80, 4))


@pytest.fixture
def images():
    return np.random.default_rng(1).normal(size=(24, 3, 6, 6)).astype(np.float32)


def test_one_batch_gives_what_compare_model_features_does(convnet, other, images):
    found = cka_map(convnet, other, images, ["conv1", "layer1"], ["0", "3"], verbose=0)
    assert found.values.shape == (2, 2)
    pairs = [(first, second) for first in found.layers1 for second in found.layers2]
    expected = compare_model_features(convnet, other, Tensor(images), pairs)
    assert {pair: found[pair] for pair in pairs} == pytest.approx(expected, rel=1e-6)
    assert found.samples == 24


def test_hsic_is_averaged_over_batches_before_it_is_divided(convnet, other, images):
    found = cka_map(convnet, other, images, ["layer1"], ["1"], batch_size=10, verbose=0)
    sums = np.zeros(3)
    for batch in (images[:10], images[10:20], images[20:]):
        grams = [
            gram(
                get_layer_outputs(model, Tensor(batch), name)[name].numpy().reshape(len(batch), -1)
            )
            for model, name in ((convnet, "layer1"), (other, "1"))
        ]
        pairs = [(0, 1), (0, 0), (1, 1)]
        sums += len(batch) * np.array([unbiased_hsic(grams[i], grams[j]) for i, j in pairs])
    expected = sums[0] / np.sqrt(sums[1] * sums[2])
    assert 0.0 < expected < 1.0
    assert found["layer1", "1"] == pytest.approx(expected, rel=1e-4)


def test_batches_of_any_size_estimate_the_same(convnet, other):
    images = np.random.default_rng(2).normal(size=(600, 3, 6, 6)).astype(np.float32)
    whole = cka_map(convnet, other, images, ["layer1"], ["0"], batch_size=600, verbose=0)
    small = cka_map(convnet, other, images, ["layer1"], ["0"], batch_size=12, verbose=0)
    assert 0.1 < whole["layer1", "0"] < 0.95
    assert small["layer1", "0"] == pytest.approx(whole["layer1", "0"], abs=0.05)


def test_a_model_with_itself_is_1_on_the_diagonal_symmetric_and_runs_once(convnet, images):
    calls = []
    convnet.train()
    with convnet.conv1.register_forward_hook(lambda module, args, out: calls.append(1)):
        names = ["conv1", "layer1", "layer10"]
        found = cka_map(convnet, convnet, images, names, names, batch_size=12, verbose=0)
    assert len(calls) == 2
    assert convnet.training
    np.testing.assert_allclose(np.diag(found.values), 1.0)
    np.testing.assert_allclose(found.values, found.values.T)


def test_the_blocks_are_the_default_and_names_those_of_the_base(convnet, other, images):
    found = cka_map(TransferModel(convnet, nn.Linear(6, 2)), other, images, verbose=0)
    assert found.layers1 == ("bn1", "layer1", "avgpool")
    assert found.layers2 == ("1",)


def test_labels_are_passed_over_and_small_last_batches_too(convnet, other, images):
    expected = cka_map(convnet, other, images[:20], batch_size=10, verbose=0)
    labelled = DataLoader(Dataset(images[:23], list(range(23))), batch_size=10)
    found = cka_map(convnet, other, labelled, verbose=0)
    assert found.samples == expected.samples == 20
    np.testing.assert_array_equal(found.values, expected.values)


def test_a_layer_that_gives_the_same_for_all_is_like_nothing(convnet, images):
    constant = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU())
    nn.init.zeros_(constant[0].weight)
    found = cka_map(convnet, constant, images, ["conv1"], ["0"], verbose=0)
    assert found["conv1", "0"] == 0.0


def test_what_does_not_fit_is_an_error(convnet, other, images):
    with pytest.raises(DataError, match="at least 4 samples"):
        cka_map(convnet, other, images[:3], verbose=0)
    with pytest.raises(DataError, match="at least 4 samples"):
        cka_map(convnet, other, images, batch_size=2, verbose=0)
    with pytest.raises(UnknownLayerError, match="layer9"):
        cka_map(convnet, other, images, ["layer9"], verbose=0)
    with pytest.raises(UnknownLayerError, match="no block"):
        cka_map(convnet, nn.Sequential(nn.Flatten()), images, verbose=0)


def test_it_plots(convnet, other, images, tmp_path):
    figures = pytest.importorskip("matplotlib.figure")
    found = cka_map(convnet, other, images, ["conv1", "layer1"], ["0", "1", "3"], verbose=0)
    file = tmp_path / "new" / "map.png"
    figure = found.plot(save=file)
    assert isinstance(figure, figures.Figure)
    assert file.read_bytes().startswith(b"\x89PNG")
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "1", "3"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["conv1", "layer1"]
    assert axes.texts[0].get_text() == f"{found['conv1', '0']:.2f}"
    np.testing.assert_array_equal(axes.images[0].get_array(), found.values)
