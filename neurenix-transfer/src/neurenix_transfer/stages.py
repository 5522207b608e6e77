"""The two stages of a model in training: a frozen part, and the rest.

The frozen part depends on no trainable parameter, draws no random numbers and keeps no statistics:
for a sample it gives the same in every epoch. It runs without the tape. A stage is told the numbers
of the samples, so that what it gave for a sample can be looked up by them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from neurenix.autograd import no_grad
from neurenix.nn import Module
from neurenix_transfer.sources import Inputs
from neurenix_transfer.transfer_model import TransferModel

FrozenStage: TypeAlias = Callable[[Inputs, Sequence[int] | None], Any]
"""``(inputs, numbers of the samples) -> what the trainable stage takes``."""


@dataclass(frozen=True)
class Stages:
    """A model in two stages.

    Attributes:
        frozen: The frozen part; gives its input back where there is none.
        trainable: The rest, up to the output.
        description: What the frozen part is, for the printed line.
    """

    frozen: FrozenStage
    trainable: Callable[[Any], Any]
    description: str

    def __call__(self, inputs: Inputs, samples: Sequence[int] | None) -> Any:
        """Run both stages."""
        return self.trainable(self.frozen(inputs, samples))


def split(model: Module) -> Stages:
    """Split a model, in the mode it is in, into its frozen part and the rest.

    The place of the cut follows from what is frozen now; ask again when that has changed.
    """
    if not (isinstance(model, TransferModel) and _is_constant(model)):
        return Stages(lambda inputs, samples: inputs, model, "none in front of what is trained")

    def frozen(inputs: Inputs, samples: Sequence[int] | None) -> Any:
        with no_grad():
            return model.forward_base(inputs)

    name = type(model.get_base_model()).__name__
    return Stages(frozen, model.get_new_layers(), f"the whole base ({name})")


def _is_constant(model: TransferModel) -> bool:
    """Whether the base gives the same for the same input, and is run by the model's own forward."""
    if type(model).forward is not TransferModel.forward:
        return False
    if model._forward_hooks or model._forward_pre_hooks:
        return False
    return model.base_is_frozen and not any(
        module.training for module in model.get_base_model().modules()
    )
