"""Pictures of activations."""

from __future__ import annotations

import sys

import matplotlib.pyplot
import numpy as np
import pytest
from matplotlib.figure import Figure

from neurenix import Tensor, nn
from neurenix.errors import MissingDependencyError
from neurenix.transfer import UnknownLayerError
from neurenix.transfer.utils import visualize_layer_activations


def test_a_feature_map_becomes_a_grid_of_its_channels(convnet, photos):
    figure = visualize_layer_activations(convnet, Tensor(photos), "conv1", sample=3)
    assert isinstance(figure, Figure)
    drawn = [axes for axes in figure.axes if axes.images]
    assert len(drawn) == 4
    expected = convnet.conv1(Tensor(photos)).detach().numpy()[3, 2]
    np.testing.assert_allclose(drawn[2].images[0].get_array(), expected, rtol=1e-5, atol=1e-6)
    assert figure.get_suptitle() == "conv1: 4 channels of 6 x 6"


def test_more_channels_than_shown_are_said(convnet, photos):
    figure = visualize_layer_activations(convnet, Tensor(photos), "conv1", max_channels=3)
    assert sum(bool(axes.images) for axes in figure.axes) == 3
    assert "3 of 4 channels" in figure.get_suptitle()


def test_it_opens_no_window_and_never_blocks(convnet, photos, monkeypatch):
    def blocked(*args, **kwargs):
        raise AssertionError("a window was opened")

    monkeypatch.setattr(matplotlib.pyplot, "show", blocked)
    monkeypatch.setattr(matplotlib.pyplot, "figure", blocked)
    visualize_layer_activations(convnet, Tensor(photos), "layer1")
    assert matplotlib.pyplot.get_fignums() == []


def test_vectors_and_tokens_are_drawn_too(mlp, blobs):
    figure = visualize_layer_activations(mlp, Tensor(blobs.train), "0")
    assert len(figure.axes[0].patches) == 8
    model = nn.Sequential(nn.Linear(4, 6))
    figure = visualize_layer_activations(model, Tensor(blobs.train.reshape(6, 5, 4)), "0")
    assert figure.axes[0].images[0].get_array().shape == (5, 6)


def test_save_writes_the_picture(convnet, photos, tmp_path):
    file = tmp_path / "deep" / "conv1.png"
    visualize_layer_activations(convnet, Tensor(photos), "conv1", save=file)
    assert file.read_bytes().startswith(b"\x89PNG")


def test_wrong_arguments_are_errors(convnet, photos, monkeypatch):
    with pytest.raises(UnknownLayerError):
        visualize_layer_activations(convnet, Tensor(photos), "conv9")
    with pytest.raises(IndexError, match="sample 8 of a batch of 8"):
        visualize_layer_activations(convnet, Tensor(photos), "conv1", sample=8)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependencyError, match="pip install matplotlib"):
        visualize_layer_activations(convnet, Tensor(photos), "conv1")
