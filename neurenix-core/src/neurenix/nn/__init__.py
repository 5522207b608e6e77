"""Layers, losses and containers: the parts that models are made of.

| File | Holds |
|---|---|
| `module` | `Module`, the base of all; its walks are in `traversal`, its modes in `mode` |
| `parameter` | `Parameter` |
| `containers` | `Sequential`, `ModuleList` |
| `linear`, `conv`, `embedding`, `attention` | layers with weights |
| `norm` | `BatchNorm1d`, `BatchNorm2d`, `LayerNorm`, `GroupNorm` |
| `activation`, `pool`, `dropout`, `shape` | layers without |
| `loss` | losses |
| `functional` | all of these as functions |
| `init` | initialisers |
"""

from neurenix.nn import functional, init
from neurenix.nn.activation import (
    GELU,
    LeakyReLU,
    LogSoftmax,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Tanh,
)
from neurenix.nn.attention import MultiheadAttention
from neurenix.nn.containers import ModuleList, Sequential
from neurenix.nn.conv import Conv2d
from neurenix.nn.dropout import Dropout
from neurenix.nn.embedding import Embedding
from neurenix.nn.hooks import HookHandle
from neurenix.nn.linear import Linear
from neurenix.nn.loss import (
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    L1Loss,
    MSELoss,
    NLLLoss,
    SmoothL1Loss,
)
from neurenix.nn.mode import evaluating
from neurenix.nn.module import Module
from neurenix.nn.norm import BatchNorm1d, BatchNorm2d, GroupNorm, LayerNorm
from neurenix.nn.parameter import Parameter
from neurenix.nn.pool import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d
from neurenix.nn.shape import Flatten, Identity
from neurenix.nn.state import IncompatibleKeys, StateDictError

__all__ = [
    "GELU",
    "AdaptiveAvgPool2d",
    "AvgPool2d",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "Conv2d",
    "CrossEntropyLoss",
    "Dropout",
    "Embedding",
    "Flatten",
    "GroupNorm",
    "HookHandle",
    "Identity",
    "IncompatibleKeys",
    "L1Loss",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "MSELoss",
    "MaxPool2d",
    "Module",
    "ModuleList",
    "MultiheadAttention",
    "NLLLoss",
    "Parameter",
    "ReLU",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SmoothL1Loss",
    "Softmax",
    "StateDictError",
    "Tanh",
    "evaluating",
    "functional",
    "init",
]
