"""The feature cache on real photos and the real ResNet-18."""

from __future__ import annotations

import re
from statistics import median

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


def test_epochs_after_the_first_are_fifty_times_faster_and_the_saving_is_as_printed(
    setting, train, capsys
):
    on = train(*setting(photos=(60, 37)), "memory", epochs=10, batch_size=32, verbose=1)
    out = capsys.readouterr().out
    minutes, seconds = re.search(r"which saved (?:(\d+) min )?(\d+(?:\.\d)?) s", out).groups()
    printed = 60 * int(minutes or 0) + float(seconds)
    times = on.history["epoch_time"]
    assert times[0] >= 50 * median(times[1:])
    # In the same run, as other work on the machine changes what a second is worth. The first
    # epoch also has what is done once: graphs for the sizes of batches, and first allocations.
    assert printed == pytest.approx(9 * times[0] - sum(times[1:]), rel=0.25)
    off = train(*setting(photos=(60, 37)), "off", epochs=2, batch_size=32)
    assert min(off.history["epoch_time"]) >= 50 * median(times[1:])


def test_with_layer4_unfrozen_the_cut_lies_after_layer3_and_epochs_cost_less_than_half(
    setting, train, capsys
):
    both = {
        cache: train(*setting(["layer4"], (61, 39)), cache, epochs=3, batch_size=32, verbose=1)
        for cache in ("memory", "off")
    }
    both["memory"].assert_same(both["off"])
    assert "up to base_model.layer3; the cut gives a tensor of (256, 14, 14), 196.0 KiB" in (
        capsys.readouterr().out
    )
    cached = min(both["memory"].history["epoch_time"][1:])
    uncached = min(both["off"].history["epoch_time"])
    assert cached <= 0.45 * uncached, f"{cached:.2f} s of {uncached:.2f} s"
