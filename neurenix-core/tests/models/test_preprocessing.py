from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from neurenix.data import transforms
from neurenix.models import Weights, preprocessing_transforms
from neurenix.models.preprocessing import (
    IMAGENET_PREPROCESSING,
    check_preprocessing,
    preprocessing_from_json,
    preprocessing_to_json,
)


@pytest.fixture
def image_module() -> Any:
    return pytest.importorskip("PIL.Image", reason="Pillow makes the photos")


def test_the_transform_is_what_the_weights_say(image_module: Any) -> None:
    compose = Weights("x", hub_id="y/x").transforms()
    assert isinstance(compose, transforms.Compose)
    photo = image_module.new("RGB", (640, 480), (255, 0, 128))
    tensor = compose(photo)
    assert tensor.shape == (3, 224, 224)
    expected = (np.array([1.0, 0.0, 128 / 255]) - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(tensor.numpy().max(axis=(1, 2)), expected, atol=1e-6)
    np.testing.assert_allclose(tensor.numpy().min(axis=(1, 2)), expected, atol=1e-6)


def test_the_shorter_side_is_resized_and_the_middle_cut_out(image_module: Any) -> None:
    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[:, 40:] = 255
    preprocessing = {**IMAGENET_PREPROCESSING, "resize": 20, "crop": 10}
    preprocessing |= {"mean": [0.0] * 3, "std": [1.0] * 3}
    tensor = preprocessing_transforms(preprocessing)(image_module.fromarray(pixels)).numpy()
    assert tensor.shape == (3, 10, 10)
    assert tensor[:, :, :4].max() < 0.05
    assert tensor[:, :, 6:].min() > 0.95


def test_it_survives_json() -> None:
    text = preprocessing_to_json(IMAGENET_PREPROCESSING)
    assert preprocessing_from_json(text) == IMAGENET_PREPROCESSING


def test_two_weights_do_not_share_their_preprocessing() -> None:
    one, two = Weights("a", hub_id="x/a"), Weights("b", hub_id="x/b")
    assert one.preprocessing == two.preprocessing
    assert one.preprocessing is not two.preprocessing


BROKEN = {
    "no dict": ([1], "must be a dict"),
    "missing": ({"crop": 224}, "missing: interpolation, mean, resize, std"),
    "unknown": ({**IMAGENET_PREPROCESSING, "rotate": 3}, "unknown: rotate"),
    "no pixels": ({**IMAGENET_PREPROCESSING, "crop": 0}, "'crop' must be pixels, got 0"),
    "text": ({**IMAGENET_PREPROCESSING, "resize": "256"}, "'resize' must be pixels, got '256'"),
    "name": ({**IMAGENET_PREPROCESSING, "interpolation": 2}, "'interpolation' must be a name"),
    "mean": ({**IMAGENET_PREPROCESSING, "mean": 0.5}, "'mean' must be a list of numbers"),
    "zero std": ({**IMAGENET_PREPROCESSING, "std": [0, 1, 1]}, "a positive 'std'"),
    "lengths": ({**IMAGENET_PREPROCESSING, "std": [1.0]}, "for each 'mean'"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_preprocessing_is_refused_with_its_fault(case: str) -> None:
    value, message = BROKEN[case]
    with pytest.raises(ValueError, match="preprocessing") as caught:
        check_preprocessing(value)
    assert message in str(caught.value)
    with pytest.raises(ValueError, match="preprocessing"):
        preprocessing_from_json(json.dumps(value))


def test_text_that_is_no_json() -> None:
    value: Any = "{"
    with pytest.raises(ValueError, match="Expecting"):
        preprocessing_from_json(value)
