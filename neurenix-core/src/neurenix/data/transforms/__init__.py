"""Transforms of images: see :mod:`neurenix.data.transforms.layout` for what they accept."""

from __future__ import annotations

from neurenix.data.transforms.color import ColorJitter
from neurenix.data.transforms.compose import Compose
from neurenix.data.transforms.crop import CenterCrop, RandomCrop, RandomResizedCrop
from neurenix.data.transforms.geometry import RandomHorizontalFlip, RandomRotation
from neurenix.data.transforms.resize import Resize
from neurenix.data.transforms.tensor import Normalize, ToTensor
from neurenix.data.transforms.transform import Transform, is_deterministic

__all__ = [
    "CenterCrop",
    "ColorJitter",
    "Compose",
    "Normalize",
    "RandomCrop",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "RandomRotation",
    "Resize",
    "ToTensor",
    "Transform",
    "is_deterministic",
]
