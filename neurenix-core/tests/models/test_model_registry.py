from __future__ import annotations

import pytest

from neurenix import models, nn


def test_the_resnets_are_registered() -> None:
    assert [n for n in models.names() if n.startswith("resnet")] == [
        "resnet18",
        "resnet34",
        "resnet50",
        "resnet101",
        "resnet152",
    ]


def test_create_passes_its_options_on() -> None:
    with nn.init.skip():
        model = models.create("resnet18", num_classes=7)
    assert model.fc.weight.shape == (7, 512)


def test_an_unknown_name_is_answered_with_close_ones() -> None:
    with pytest.raises(ValueError, match=r"'resnet81'; did you mean .*resnet18.*known are"):
        models.create("resnet81")


def test_a_name_is_given_once() -> None:
    def resnet18() -> nn.Module:
        raise AssertionError

    with pytest.raises(ValueError, match="'resnet18' is registered already"):
        models.register(resnet18)


def test_names_tell_what_an_architecture_takes() -> None:
    photos, texts = models.names("photos"), models.names("texts")
    assert "bert" in texts
    assert "resnet18" in photos
    assert not set(photos) & set(texts)
    assert sorted(photos + texts) == sorted(models.names())
