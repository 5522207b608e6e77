"""Freezing and unfreezing: which parameters are trained.

Frozen means ``requires_grad`` is False. Everything else follows from that alone: no gradient is
computed for a frozen parameter, optimizers leave it as it is, and a subtree whose parameters are
all frozen runs in eval mode even where the model trains, so that its BatchNorm keeps its
statistics and its Dropout rests.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, TypeAlias

from neurenix.nn import Module, Parameter
from neurenix.nn.mode import WhenFrozen, parents
from neurenix_transfer.layer_names import LayerNames, select_layers

BatchNormMode: TypeAlias = Literal["auto", "frozen"]

_POLICIES: dict[BatchNormMode, WhenFrozen] = {"auto": "eval", "frozen": "eval_batch_norm"}


def freeze_layers(
    model: Module, layer_names: LayerNames | None = None, *, bn: BatchNormMode | None = None
) -> None:
    """Freeze layers of a model: their weights stay as they are in training.

    The gradients they hold are dropped. A subtree that is frozen as a whole runs in eval mode
    under ``model.train()`` from then on.

    Args:
        model: The model.
        layer_names: Which layers: names of modules (with all below them), paths of parameters,
            shell patterns, ``"re:..."`` patterns, indices or ranges of the layer list; see
            `neurenix_transfer.layer_names`. On a `TransferModel` bare names mean layers of the
            base. None freezes the whole model, an empty list nothing.
        bn: ``"frozen"`` keeps the statistics of every BatchNorm of the model, also where it is
            only partly frozen; ``"auto"`` goes back to those of fully frozen subtrees. None
            leaves this as it is.

    Raises:
        UnknownLayerError: A name matches nothing; nothing has been frozen then.
    """
    _set_requires_grad(model, layer_names, value=False, bn=bn)


def unfreeze_layers(
    model: Module, layer_names: LayerNames | None = None, *, bn: BatchNormMode | None = None
) -> None:
    """Unfreeze layers of a model: their weights are trained from then on.

    Args:
        model: The model.
        layer_names: Which layers, as for `freeze_layers`. None unfreezes the whole model, an
            empty list nothing.
        bn: As for `freeze_layers`.

    Raises:
        UnknownLayerError: A name matches nothing; nothing has been unfrozen then.
    """
    _set_requires_grad(model, layer_names, value=True, bn=bn)


def set_batch_norm_mode(model: Module, bn: BatchNormMode) -> None:
    """Say what frozen parameters mean for the mode that a model's layers train in.

    Args:
        model: The model; what was said of modules below it no longer counts.
        bn: ``"auto"``: fully frozen subtrees run in eval mode. ``"frozen"``: so does every
            BatchNorm, whatever is trained around it.
    """
    if bn not in _POLICIES:
        raise ValueError(f'bn is "auto" or "frozen", not {bn!r}')
    for module in model.modules():
        module.when_frozen = None
    model.when_frozen = _POLICIES[bn]


@contextmanager
def resting_where_frozen(model: Module) -> Iterator[None]:
    """Let fully frozen subtrees run in eval mode for a block, unless something else was said."""
    if _has_policy(model):
        yield
        return
    model.when_frozen = _POLICIES["auto"]
    try:
        yield
    finally:
        model.when_frozen = None


def _set_requires_grad(
    model: Module, layer_names: LayerNames | None, *, value: bool, bn: BatchNormMode | None
) -> None:
    params = list(select_layers(model, layer_names).parameters.values())  # raises before changes
    if value:
        _warn_if_skipped(model, params)
    if bn is not None:
        set_batch_norm_mode(model, bn)
    elif not _has_policy(model):
        model.when_frozen = _POLICIES["auto"]
    for param in params:
        param.requires_grad = value
        if not value:
            param.grad = None


def _warn_if_skipped(model: Module, params: list[Parameter]) -> None:
    """Warn where nothing but a classifier that is not used would be unfrozen."""
    skipped = getattr(model, "skipped_classifier", None)
    if not params or not isinstance(skipped, Module):
        return
    unused = {id(param) for param in skipped.parameters()}
    if all(id(param) in unused for param in params):
        warnings.warn(
            "only the base's own classifier is unfrozen, which this model skips: nothing more is "
            "trained than before.",
            stacklevel=4,
        )


def _has_policy(module: Module) -> bool:
    """Whether the module, or one that it is part of, says what frozen parameters mean."""
    return module.when_frozen is not None or any(map(_has_policy, parents(module)))
