"""Architectures and their pretrained weights."""

from __future__ import annotations

from neurenix.models.hub import PretrainedWeightsError
from neurenix.models.preprocessing import preprocessing_transforms
from neurenix.models.registry import create, names, register
from neurenix.models.resnet import ResNet, resnet18, resnet34, resnet50, resnet101, resnet152
from neurenix.models.weights import Weights

__all__ = [
    "PretrainedWeightsError",
    "ResNet",
    "Weights",
    "create",
    "names",
    "preprocessing_transforms",
    "register",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
]
