"""Preprocessing as data: what must happen to a photo before a model sees it.

A model's accuracy belongs to the preprocessing it was trained with, so that this travels with
the weights, as a dict that JSON can hold:

    {"resize": 256, "crop": 224, "interpolation": "bilinear",
     "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}

The photo's shorter side is resized to ``resize`` pixels, the ``crop`` pixels in the middle are
cut out, the values scaled to 0..1, and each channel normalised by ``mean`` and ``std``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from neurenix.data import transforms

METADATA_KEY = "preprocessing"

# The statistics of ImageNet's training photos, as every model in the field takes them.
IMAGENET_PREPROCESSING: dict[str, Any] = {
    "resize": 256,
    "crop": 224,
    "interpolation": "bilinear",
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
}

_FIELDS = frozenset(IMAGENET_PREPROCESSING)


def check_preprocessing(value: Any) -> dict[str, Any]:
    """Return the preprocessing as a dict of its own, if it is complete and sound.

    Raises:
        ValueError: A field is missing, unknown or of a wrong kind; the error names it.
    """
    if not isinstance(value, Mapping):
        raise ValueError(f"preprocessing must be a dict, got {value!r}")
    if set(value) != _FIELDS:
        missing, unknown = sorted(_FIELDS - set(value)), sorted(set(value) - _FIELDS)
        raise ValueError(
            f"preprocessing has the fields {', '.join(sorted(_FIELDS))}; missing: "
            f"{', '.join(missing) or 'none'}; unknown: {', '.join(map(str, unknown)) or 'none'}"
        )
    for field in ("resize", "crop"):
        if type(value[field]) is not int or value[field] < 1:
            raise ValueError(f"preprocessing {field!r} must be pixels, got {value[field]!r}")
    if not isinstance(value["interpolation"], str):
        raise ValueError(
            f"preprocessing 'interpolation' must be a name, got {value['interpolation']!r}"
        )
    mean, std = value["mean"], value["std"]
    for field, numbers in (("mean", mean), ("std", std)):
        if not isinstance(numbers, list | tuple) or not all(
            isinstance(x, int | float) for x in numbers
        ):
            raise ValueError(f"preprocessing {field!r} must be a list of numbers, got {numbers!r}")
    if len(mean) != len(std) or not all(x > 0 for x in std):
        raise ValueError(
            f"preprocessing needs a positive 'std' for each 'mean', got {std!r} for {mean!r}"
        )
    return {**value, "mean": list(mean), "std": list(std)}


def preprocessing_to_json(preprocessing: Mapping[str, Any]) -> str:
    """Return the preprocessing as the string to keep in a safetensors file's metadata."""
    return json.dumps(check_preprocessing(preprocessing))


def preprocessing_from_json(text: str) -> dict[str, Any]:
    """Return the preprocessing that a safetensors file's metadata holds.

    Raises:
        ValueError: It is not JSON, or not a sound preprocessing.
    """
    return check_preprocessing(json.loads(text))


def preprocessing_transforms(preprocessing: Mapping[str, Any]) -> transforms.Compose:
    """Return the transform that carries out a preprocessing.

    Args:
        preprocessing: A dict as described at the top of this module.

    Returns:
        Resize, CenterCrop, ToTensor and Normalize, composed: a photo in, a float32 tensor out.

    Shape:
        Output: (C, crop, crop).
    """
    checked = check_preprocessing(preprocessing)
    return transforms.Compose(
        [
            transforms.Resize(checked["resize"], interpolation=checked["interpolation"]),
            transforms.CenterCrop(checked["crop"]),
            transforms.ToTensor(),
            transforms.Normalize(checked["mean"], checked["std"]),
        ]
    )
