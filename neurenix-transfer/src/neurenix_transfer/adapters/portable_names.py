"""What a tensor of a model is called, wherever its base is.

A `TransferModel` says ``base_model.layer4.0.conv1.weight`` where the base alone says
``layer4.0.conv1.weight``. The portable name is the latter in both, so that what was trained on one
fits the other. What lies outside of the base, such as the new layers, has its name in the model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from neurenix import Tensor
from neurenix.nn import Module
from neurenix_transfer.layer_names import scopes_of


@dataclass(frozen=True)
class NamedTensor:
    """A parameter or persistent buffer of a model.

    Attributes:
        name: Its portable name.
        tensor: The tensor.
        in_base: Whether it belongs to the base; of a model that is no TransferModel, everything.
        is_fixed: Whether training leaves it alone: a frozen parameter, or a buffer of a module
            that has no trainable parameter of its own.
    """

    name: str
    tensor: Tensor
    in_base: bool
    is_fixed: bool


def portable_name(model: Module, path: str) -> str:
    """Return the portable form of a full name in the model."""
    return path.removeprefix(scopes_of(model)[0].prefix)


def full_name(model: Module, name: str) -> str:
    """Return the full name in the model that a portable name stands for, whether or not it is."""
    scope = scopes_of(model)[0]
    first = name.partition(".")[0]
    return f"{scope.prefix}{name}" if hasattr(scope.module, first) else name


def portable_tensors(model: Module) -> dict[str, NamedTensor]:
    """Return the parameters and persistent buffers of a model, by their portable names.

    A base's skipped classifier is among them: it is there, and a file may speak of it.
    """
    prefix = scopes_of(model)[0].prefix
    found: dict[str, NamedTensor] = {}
    for named in _walk(model, prefix):
        found.setdefault(named.name, named)
    return found


def _walk(model: Module, prefix: str) -> Iterator[NamedTensor]:
    for path, module in model.named_modules():
        stem = f"{path}." if path else ""
        in_base = stem.startswith(prefix)
        stem = stem.removeprefix(prefix)
        params = dict(module.named_parameters(recurse=False))
        for own, param in params.items():
            yield NamedTensor(stem + own, param, in_base, not param.requires_grad)
        fixed = not any(param.requires_grad for param in params.values())
        for own, buffer in module.named_buffers(recurse=False):
            if module._buffer_names[own]:
                yield NamedTensor(stem + own, buffer, in_base, fixed)
