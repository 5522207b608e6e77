"""Adapters on the layers of a model: put on, folded into the weights, taken off."""

from __future__ import annotations

from neurenix import Generator
from neurenix.autograd import no_grad
from neurenix.errors import NeurenixError
from neurenix.nn import Conv2d, Linear, Module
from neurenix_transfer.adapters.layers import (
    Adapted,
    AdaptedLayer,
    AdapterSpec,
    LoRAConv2d,
    LoRALinear,
    adapt,
    restore,
)
from neurenix_transfer.freezing import freeze_layers
from neurenix_transfer.layer_names import LayerNames, scopes_of, select_layers

_LISTED = 8  # names shown in an error before it says how many there are


class AdapterError(NeurenixError, ValueError):
    """Adapters that cannot be put on a model, or are not there. Nothing has been changed."""


def add_lora(
    model: Module,
    layers: LayerNames | None,
    rank: int = 8,
    alpha: float = 16.0,
    *,
    dora: bool = False,
    dropout: float = 0.0,
    seed: int = 0,
) -> list[str]:
    """Put low-rank adapters on the Linear and Conv2d layers of a model, in place.

    The layers' own weights and biases are frozen, and keep their names, such as
    ``layer4.0.conv1.weight``; the adapter adds ``lora_A`` and ``lora_B``, and for DoRA
    ``lora_magnitude``, beside them. At first the model gives the same as before, to the last bit.
    What is trained besides is up to `freeze_layers`; a `TransferModel` has frozen its base.

    Build the optimizer afterwards, so that it holds the adapters' parameters.

    Args:
        model: The model.
        layers: Where: every Linear and Conv2d at or below the modules of these names, which are
            given as for `freeze_layers`. None stands for all; on a `TransferModel`, of its base.
        rank: How many directions a layer's weight may change in.
        alpha: The change is scaled by ``alpha / rank``.
        dora: Whether the size of each output's weights is trained as well, by one number.
        dropout: The probability that an input of the change is dropped in training.
        seed: What the first values of A are drawn from, for each layer by its name; Neurenix's
            own generator is not touched.

    Returns:
        The names of the adapted layers in the model.

    Raises:
        UnknownLayerError: A name matches nothing.
        AdapterError: No Linear or Conv2d is there, or one has an adapter already.
        ValueError: A number is out of its range.

    Reference:
        Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", 2021; Liu et al., "DoRA:
        Weight-Decomposed Low-Rank Adaptation", 2024.

    Examples:
        >>> from neurenix import nn
        >>> from neurenix.transfer import add_lora
        >>> model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))
        >>> add_lora(model, "0", rank=4)
        ['0']
        >>> [name for name, param in model.named_parameters() if param.requires_grad]
        ['0.lora_A', '0.lora_B', '2.weight', '2.bias']
    """
    spec = AdapterSpec(rank, float(alpha), bool(dora), float(dropout))
    found = adaptable_layers(model, layers)
    put_on(model, dict.fromkeys(found, spec), Generator(seed))
    return list(found)


def merge_lora(model: Module) -> list[str]:
    """Fold all adapters of a model into the weights, and make its layers plain ones again.

    The model then gives the same but for rounding, and costs what it did without adapters. The
    weights stay frozen.

    Returns:
        The names of the layers that had an adapter.

    Raises:
        AdapterError: The model has no adapters.
    """
    adapted = _adapted_or_error(model)
    for layer in adapted.values():
        with no_grad():
            layer.weight.copy_(layer.merged_weight())
        restore(layer)
    return list(adapted)


def unload_lora(model: Module) -> list[str]:
    """Take all adapters off a model: its layers are plain ones with their weights of before.

    The weights stay frozen.

    Returns:
        The names of the layers that had an adapter.

    Raises:
        AdapterError: The model has no adapters.
    """
    adapted = _adapted_or_error(model)
    for layer in adapted.values():
        restore(layer)
    return list(adapted)


def adaptable_layers(model: Module, names: LayerNames | None) -> dict[str, Linear | Conv2d]:
    """Find the layers that names stand for and that can take an adapter, by their full names.

    Raises:
        UnknownLayerError: A name matches nothing.
        AdapterError: There are none, or one has an adapter already.
    """
    scope = scopes_of(model)[0]
    if names is None:
        chosen = {scope.prefix.removesuffix("."): scope.module}
    else:
        chosen = select_layers(model, names).modules
    unused = [] if scope.skipped is None else scope.skipped.modules()
    passed_over = {id(each) for each in unused}
    found: dict[int, tuple[str, Linear | Conv2d]] = {}
    for path, module in chosen.items():
        for name, each in module.named_modules(path):
            if isinstance(each, Linear | Conv2d) and id(each) not in passed_over:
                found.setdefault(id(each), (name, each))
    if not found:
        what = "anywhere" if names is None else f"at or below {names!r}"
        raise AdapterError(
            f"an adapter goes on a Linear or a Conv2d, and {type(model).__name__} has none {what}; "
            "name modules that are such layers or hold some. Nothing has been changed."
        )
    layers = dict(found.values())
    _check_plain(layers)
    return layers


def adapted_layers(model: Module) -> dict[str, AdaptedLayer]:
    """Return the layers of a model that have an adapter, by their full names."""
    modules = model.named_modules()
    return {name: each for name, each in modules if isinstance(each, LoRALinear | LoRAConv2d)}


def put_on(model: Module, specs: dict[str, AdapterSpec], generator: Generator) -> None:
    """Put adapters on layers that were checked to take them, and freeze their own weights.

    Args:
        model: The model.
        specs: How each adapter is built, by the full name of the layer.
        generator: What their first values are drawn from, for each layer by its name.
    """
    weights = [
        f"{name}.{own}" if name else own
        for name in specs
        for own, _ in model.get_submodule(name).named_parameters(recurse=False)
    ]
    freeze_layers(model, weights)
    for name, spec in specs.items():
        layer = model.get_submodule(name)
        assert isinstance(layer, Linear | Conv2d)
        adapt(layer, spec, generator.fork("lora", name))


def listing(names: list[str]) -> str:
    """Return some of many names, and how many more there are."""
    rest = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {rest} more" if rest > 0 else "")


def _check_plain(layers: dict[str, Linear | Conv2d]) -> None:
    adapted = [name for name, layer in layers.items() if isinstance(layer, Adapted)]
    if adapted:
        raise AdapterError(
            f"{listing(adapted)}: there is an adapter already; take it off with unload_lora(model) "
            "or fold it in with merge_lora(model) first. Nothing has been changed."
        )
    special = [
        f"{name} ({type(layer).__name__})"
        for name, layer in layers.items()
        if type(layer).forward not in (Linear.forward, Conv2d.forward)
    ]
    if special:
        raise AdapterError(
            f"{listing(special)}: a layer with a forward of its own cannot take an adapter, which "
            "would replace it; name other layers. Nothing has been changed."
        )


def _adapted_or_error(model: Module) -> dict[str, AdaptedLayer]:
    adapted = adapted_layers(model)
    if not adapted:
        raise AdapterError(
            f"{type(model).__name__} has no adapters; add_lora(model, layers) puts some on"
        )
    return adapted
