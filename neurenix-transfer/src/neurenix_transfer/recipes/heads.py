"""The Linear that a probe's result is set into."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurenix import Tensor
from neurenix.autograd import no_grad
from neurenix.nn import Linear, Module
from neurenix_transfer.recipes.job import RecipeError
from neurenix_transfer.standard_basis import Floats
from neurenix_transfer.transfer_model import TransferModel

_ADVICE = (
    "Take a head that is one Linear, TransferModel(base, nn.Linear(width, classes)), or train this "
    'one by gradients: recipe="progressive", or fine_tune(model, optimizer, ...) without a recipe'
)


@dataclass(frozen=True)
class LinearHead:
    """A model's last layer.

    Attributes:
        linear: The layer.
        name: Its path in the model.
    """

    linear: Linear
    name: str

    def set(self, weight: Floats, bias: Floats) -> None:
        """Give the layer other weights.

        Raises:
            RecipeError: The layer has no bias.
        """
        if self.linear.bias is None:
            raise RecipeError(
                f"the Linear {self.name!r} has no bias, which a probe needs. Build it with "
                "bias=True"
            )
        with no_grad():
            for param, values in ((self.linear.weight, weight), (self.linear.bias, bias)):
                param.copy_(Tensor(values.astype(np.float32)).to(param.device).astype(param.dtype))


def linear_head(model: Module) -> LinearHead:
    """Find the one Linear that is trained on top of a model.

    Of a `TransferModel` it is the only layer with weights among the new layers; of another model
    its last Linear. Layers before it, such as LayerNorm or Dropout, may have no weights. That
    nothing follows it shows when the model runs.

    Raises:
        RecipeError: There is no such layer; the message says what to do.
    """
    if isinstance(model, TransferModel):
        head, prefix = model.get_new_layers(), "new_layers"
        found = [(path, m) for path, m in head.named_modules() if _is_linear(m)]
        others = _others(head, found[-1][1] if found else None)
        if not found or others:
            what = f"also {', '.join(others[:3])}" if found else f"no Linear, but {others[:3]}"
            raise RecipeError(
                f"a linear probe fits a head that is one Linear; the new layers have {what}. "
                + _ADVICE
            )
        path, linear = found[-1]
        assert isinstance(linear, Linear)
        return LinearHead(linear, f"{prefix}.{path}" if path else prefix)
    linears = [(path, m) for path, m in model.named_modules() if _is_linear(m)]
    if not linears:
        raise RecipeError(
            f"a linear probe fits a head that is one Linear; this {type(model).__name__} has none. "
            + _ADVICE
        )
    path, linear = linears[-1]
    assert isinstance(linear, Linear)
    return LinearHead(linear, path)


def not_last(head: LinearHead, model: Module) -> RecipeError:
    """Return the error for a Linear that something follows."""
    return RecipeError(
        f"a linear probe sets the last layer of a model; what {head.name!r} gives is not the "
        f"output of this {type(model).__name__}. Leave out what follows it (the losses take "
        "logits, not the output of a Softmax or Sigmoid). " + _ADVICE
    )


def _is_linear(module: Module) -> bool:
    return isinstance(module, Linear) and next(module.children(), None) is None


def _others(head: Module, linear: Module | None) -> list[str]:
    own = {id(param) for param in linear.parameters()} if linear is not None else set()
    return [name for name, param in head.named_parameters() if id(param) not in own]
