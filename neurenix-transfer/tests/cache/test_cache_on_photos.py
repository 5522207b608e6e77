"""The feature cache on real photos and the real ResNet-18."""

from __future__ import annotations

import pytest

import neurenix
from neurenix import nn
from neurenix.data import ImageFolder
from neurenix.transfer import TransferModel

pytestmark = pytest.mark.slow


@pytest.fixture
def setting(assets):
    """Build the model and the two folders; every so manieth photo, for as many as are wanted."""

    def setting(layers=None, photos=None):
        neurenix.manual_seed(0)
        base = neurenix.models.resnet18(pretrained=assets / "weights" / "resnet18.safetensors")
        root = assets / "hymenoptera_data"
        folders = [ImageFolder(root / part, base.weights.transforms()) for part in ("train", "val")]
        if photos is not None:
            folders = [
                folder.select(range(0, len(folder), len(folder) // count + 1))
                for folder, count in zip(folders, photos, strict=True)
            ]
        head = nn.Sequential(nn.LayerNorm(512, elementwise_affine=False), nn.Linear(512, 2))
        return TransferModel(base, head, fine_tune_layers=layers), *folders

    return setting


@pytest.mark.parametrize("batch_size", [1, 7, 32])
def test_ten_epochs_are_bitwise_the_same_with_a_frozen_base(setting, train, batch_size):
    runs = [
        train(*setting(photos=(20, 9)), cache, epochs=10, batch_size=batch_size)
        for cache in ("memory", "off")
    ]
    runs[0].assert_same(runs[1])


def test_after_the_first_epoch_the_frozen_part_does_not_run(setting, train, computed):
    model, photos, more = setting(photos=(20, 9))
    train(model, photos, more, "memory", epochs=4, batch_size=7)
    assert computed.samples == len(photos) + len(more)


def test_with_layer4_unfrozen_the_cut_lies_after_layer3(setting, train, capsys, computed):
    both = {}
    for cache in ("memory", "off"):
        computed.samples = 0
        both[cache] = train(*setting(["layer4"], (21, 9)), cache, epochs=3, verbose=1)
        assert computed.samples == (30 if cache == "memory" else 3 * 30)
    both["memory"].assert_same(both["off"])
    assert "up to base_model.layer3; the cut gives a tensor of (256, 14, 14), 196.0 KiB" in (
        capsys.readouterr().out
    )
