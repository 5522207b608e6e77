"""A pretrained base joined with new layers."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

from neurenix import Tensor
from neurenix.autograd import no_grad
from neurenix.nn import Module, Parameter, Sequential
from neurenix.nn.mode import parents
from neurenix.nn.state import IncompatibleKeys
from neurenix_transfer.freezing import (
    BatchNormMode,
    freeze_layers,
    set_batch_norm_mode,
    unfreeze_layers,
)
from neurenix_transfer.joining import Join, base_output, plan_join
from neurenix_transfer.layer_names import LayerNames, Scope, scopes_of, select_layers
from neurenix_transfer.summary import summarize


class TransferModel(Module):
    """A pretrained base with new layers for another task on top.

    The base and the new layers stay the caller's own modules: they are not copied, and freezing
    and training act on their parameters. What of the base is used, its pooled features or its
    logits, follows from the width that the new layers take (see `neurenix_transfer.joining`), and
    `summary` says it. A classifier of the base that is skipped does not count among the model's
    parameters, and is not part of its state dict.

    Args:
        base_model: The pretrained model; any module will do.
        new_layers: The layers on top; a list of modules is joined in order.
        freeze_base: Whether the base's parameters are frozen.
        fine_tune_layers: Layers of the base to train nevertheless, named as for `freeze_layers`.
            Only used if ``freeze_base`` is true.
        bn: ``"auto"``: BatchNorm keeps its statistics where everything around it is frozen.
            ``"frozen"``: all BatchNorm of the model does.

    Raises:
        JoinError: The new layers take neither the base's features nor its logits.
        UnknownLayerError: A name of ``fine_tune_layers`` matches no layer; nothing is frozen then.

    Shape:
        Input: what the base takes. Output: what the new layers give.

    Examples:
        >>> from neurenix import nn
        >>> from neurenix.transfer import TransferModel
        >>> base = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        >>> model = TransferModel(base, nn.Linear(8, 2))
        >>> [name for name, param in model.named_parameters() if param.requires_grad]
        ['new_layers.weight', 'new_layers.bias']
    """

    base_model: Module
    new_layers: Module
    stop_training: bool = False

    def __init__(
        self,
        base_model: Module,
        new_layers: Module | Sequence[Module],
        freeze_base: bool = True,
        fine_tune_layers: LayerNames | None = None,
        *,
        bn: BatchNormMode = "auto",
    ) -> None:
        super().__init__()
        if not isinstance(base_model, Module):
            raise TypeError(f"base_model is a Module, not {base_model!r}")
        if not isinstance(new_layers, Module):
            new_layers = Sequential(*new_layers)
        self._join: Join = plan_join(base_model, new_layers)
        shared = any(isinstance(each, TransferModel) for each in parents(base_model))
        self.base_model = base_model
        self.new_layers = new_layers
        if freeze_base and fine_tune_layers is not None:
            select_layers(self, fine_tune_layers)  # raises before anything is frozen
        if shared:
            warnings.warn(
                f"this {type(base_model).__name__} is the base of another TransferModel too. They "
                "share its weights, and what is frozen now is so in both; clone() gives a model "
                "of its own.",
                stacklevel=2,
            )
        set_batch_norm_mode(self, bn)
        if freeze_base:
            freeze_layers(base_model, None)
            if fine_tune_layers is not None:
                self.unfreeze_layers(fine_tune_layers)
        elif shared:  # what another model froze
            unfreeze_layers(base_model)
        if not freeze_base and fine_tune_layers is not None:
            warnings.warn(
                "fine_tune_layers is only used if freeze_base is true: the whole base is trained.",
                stacklevel=2,
            )

    def forward(self, x: Any) -> Any:
        """Run the base as far as it is used, then the new layers."""
        return self.new_layers(self.forward_base(x))

    def forward_base(self, x: Any) -> Any:
        """Return what the new layers take: the base's features or logits.

        Where the whole base is frozen, nothing is taped.
        """
        if self.base_is_frozen and not (isinstance(x, Tensor) and x.requires_grad):
            with no_grad():
                return base_output(self.base_model, self._join, x)
        return base_output(self.base_model, self._join, x)

    @property
    def base_is_frozen(self) -> bool:
        """Whether no parameter of the base that is used is trained."""
        params = self.named_parameters()
        return not any(p.requires_grad for name, p in params if name.startswith("base_model."))

    @property
    def skipped_classifier(self) -> Module | None:
        """The base's own classifier, where it is not used."""
        name = self._join.skipped
        return None if name is None else self.base_model.get_submodule(name)

    # The parts

    def get_base_model(self) -> Module:
        """Return the base: the module that was passed."""
        return self.base_model

    def get_new_layers(self) -> Module:
        """Return the new layers: the module that was passed."""
        return self.new_layers

    def clone(self) -> Self:
        """Return a copy with weights of its own, the base's included."""
        return copy.deepcopy(self)

    # Freezing

    def freeze_base_model(self) -> None:
        """Freeze all parameters of the base."""
        freeze_layers(self.base_model)

    def unfreeze_base_model(self) -> None:
        """Unfreeze all parameters of the base."""
        unfreeze_layers(self.base_model)

    def freeze_layers(self, layer_names: LayerNames | None = None) -> None:
        """Freeze layers of the base, named as for `freeze_layers`; None freezes all of it."""
        freeze_layers(self.base_model if layer_names is None else self, layer_names)

    def unfreeze_layers(self, layer_names: LayerNames | None = None) -> None:
        """Unfreeze layers of the base, named as for `freeze_layers`; None unfreezes all of it."""
        unfreeze_layers(self.base_model if layer_names is None else self, layer_names)

    def layer_scopes(self) -> list[Scope]:
        """Return where names of layers are looked up: in the base, then in the whole model."""
        inner = [
            Scope(f"base_model.{scope.prefix}", scope.module, scope.skipped)
            for scope in scopes_of(self.base_model)
        ]
        if inner[0].module is self.base_model:
            inner[0] = Scope("base_model.", self.base_model, self.skipped_classifier)
        return [*inner, Scope("", self)]

    # State, without the skipped classifier

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Yield the parameters with their paths, those of a skipped classifier left out."""
        named = super().named_parameters(prefix, recurse, remove_duplicate)
        return self._without_skipped(named, f"{prefix}." if prefix else "")

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Yield the buffers with their paths, those of a skipped classifier left out."""
        named = super().named_buffers(prefix, recurse, remove_duplicate)
        return self._without_skipped(named, f"{prefix}." if prefix else "")

    def state_dict(self, prefix: str = "") -> dict[str, Tensor]:
        """Return all parameters and buffers by path, those of a skipped classifier left out."""
        return dict(self._without_skipped(super().state_dict(prefix).items(), prefix))

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True
    ) -> IncompatibleKeys:
        """Copy values into the parameters and buffers; a skipped classifier needs none."""
        if isinstance(state_dict, Mapping):
            own = super().state_dict()
            used = set(self.state_dict())
            skipped = {key: value for key, value in own.items() if key not in used}
            state_dict = {**skipped, **state_dict}
        return super().load_state_dict(state_dict, strict)

    def to(self, *targets: Any, **options: Any) -> Self:
        """Move everything to a device, or cast it, in place; the skipped classifier as well."""
        skipped = self.skipped_classifier
        if skipped is not None and next(skipped.parameters(), None) is not None:
            skipped.to(*targets, **options)
        return super().to(*targets, **options)

    def summary(self) -> str:
        """Return a table of the layers, what is trained of each, and how the parts are joined."""
        return summarize(self, self._join.describe(self.base_model))

    def extra_repr(self) -> str:
        """Return how the parts are joined."""
        return self._join.describe(self.base_model)

    def _without_skipped(self, named: Any, prefix: str) -> Iterator[tuple[str, Any]]:
        skipped = self._join.skipped
        if skipped is None:
            yield from named
            return
        start = f"{prefix}base_model.{skipped}."
        for name, tensor in named:
            if not name.startswith(start):
                yield name, tensor
