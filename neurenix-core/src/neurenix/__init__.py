"""Neurenix: take a pretrained model, adapt it to your data on any hardware, and ship it.

`import neurenix` loads no plugin and opens no device; submodules load when they are used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from neurenix import ops
from neurenix.autograd import enable_grad, grad, inference_mode, is_grad_enabled, no_grad
from neurenix.backends import Device, DeviceType, default_device, get_available_devices
from neurenix.dtypes import (
    bfloat16,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
)
from neurenix.dtypes import bool_ as bool  # noqa: A004  (the dtype's one name)
from neurenix.ops import *  # noqa: F403  (every op is public; `ops.__all__` names them)
from neurenix.random import (
    Generator,
    manual_seed,
    rand,
    rand_like,
    randint,
    randn,
    randn_like,
    randperm,
)
from neurenix.tensor import Tensor, from_dlpack, from_numpy

if TYPE_CHECKING:
    from neurenix import cli as cli
    from neurenix import data as data
    from neurenix import graph as graph
    from neurenix import io as io
    from neurenix import models as models
    from neurenix import nn as nn
    from neurenix import optim as optim
    from neurenix import plugins as plugins
    from neurenix import testing as testing
    from neurenix import transfer as transfer
    from neurenix.graph.compile import compile as compile  # noqa: A004  (the field's name for it)

_SUBMODULES = frozenset(
    {"cli", "data", "graph", "io", "models", "nn", "optim", "plugins", "testing", "transfer"}
)


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"neurenix.{name}")
    if name == "compile":
        return importlib.import_module("neurenix.graph").compile
    if name == "load":
        return importlib.import_module("neurenix.transfer").load
    if name == "__version__":
        from importlib_metadata import version

        return version("neurenix-core")
    raise AttributeError(f"module 'neurenix' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBMODULES, "compile", "load", "__version__"})


__all__ = [
    "Device",
    "DeviceType",
    "Generator",
    "Tensor",
    "bfloat16",
    "bool",
    "default_device",
    "enable_grad",
    "float16",
    "float32",
    "float64",
    "from_dlpack",
    "from_numpy",
    "get_available_devices",
    "grad",
    "inference_mode",
    "int8",
    "int16",
    "int32",
    "int64",
    "is_grad_enabled",
    "manual_seed",
    "no_grad",
    "ops",
    "rand",
    "rand_like",
    "randint",
    "randn",
    "randn_like",
    "randperm",
    "uint8",
]
__all__ += ops.__all__
