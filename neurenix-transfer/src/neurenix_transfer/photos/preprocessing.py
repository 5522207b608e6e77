"""A model's preprocessing in two steps: the size, as bytes, and the values, as floats.

Training keeps photos between the two steps; prediction does both. Either way a photo goes through
the same operations in the same order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neurenix.data.transforms import (
    Compose,
    RandomHorizontalFlip,
    RandomResizedCrop,
    ToTensor,
)
from neurenix.models import preprocessing_transforms


def split_preprocessing(preprocessing: Mapping[str, Any]) -> tuple[Compose, Compose]:
    """Return what brings a photo to its size, and what makes a tensor of that."""
    steps = list(preprocessing_transforms(preprocessing).transforms)
    boundary = next(index for index, step in enumerate(steps) if isinstance(step, ToTensor))
    return Compose(steps[:boundary]), Compose(steps[boundary:])


def augmented_preprocessing(preprocessing: Mapping[str, Any]) -> tuple[Compose, Compose]:
    """Return the same two steps for training with random crops and mirrorings.

    The photo is kept uncropped, and each time another part of it is taken.
    """
    size, values = split_preprocessing(preprocessing)
    crop = RandomResizedCrop(preprocessing["crop"])
    return Compose(size.transforms[:1]), Compose([crop, RandomHorizontalFlip(), *values.transforms])
