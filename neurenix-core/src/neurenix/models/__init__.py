"""Architectures and their pretrained weights."""

from __future__ import annotations

from neurenix.models.bert_config import BertConfig, BertConfigError
from neurenix.models.bert_encoder import Bert
from neurenix.models.bert_pretrained import bert
from neurenix.models.hub import PretrainedWeightsError
from neurenix.models.model_folder import ModelFolderError
from neurenix.models.preprocessing import preprocessing_transforms
from neurenix.models.registry import create, names, register
from neurenix.models.resnet import ResNet, resnet18, resnet34, resnet50, resnet101, resnet152
from neurenix.models.text_weights import TextWeights, TokenizerMissingError
from neurenix.models.weights import Weights

__all__ = [
    "Bert",
    "BertConfig",
    "BertConfigError",
    "ModelFolderError",
    "PretrainedWeightsError",
    "ResNet",
    "TextWeights",
    "TokenizerMissingError",
    "Weights",
    "bert",
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
