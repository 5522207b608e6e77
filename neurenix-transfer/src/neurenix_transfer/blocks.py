"""The layers of a model that are worth looking at: its blocks, and the ends of its stages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from neurenix import Tensor
from neurenix.autograd import no_grad
from neurenix.nn import (
    Dropout,
    Flatten,
    GroupNorm,
    Identity,
    LayerNorm,
    Linear,
    Module,
    ModuleList,
    Sequential,
)
from neurenix.nn.mode import evaluating
from neurenix.nn.norm import BatchNorm
from neurenix_transfer.layer_names import scopes_of

_NORMS = (BatchNorm, GroupNorm, LayerNorm)
_LISTS = (Sequential, ModuleList)
_CHANGE_NOTHING = (Dropout, Flatten, Identity)  # in eval mode, but for the shape


def meaningful_layers(model: Module, inputs: Any) -> list[str]:
    """Return the names of a model's blocks, in the order in which they run.

    A block is a module made of others, such as a residual block or a transformer layer; lists of
    blocks are looked into. Between blocks, a layer with weights and what follows it (a
    normalisation, an activation, pooling) are a stage, which its last layer stands for: for a
    ResNet's stem that is ``maxpool``. The classifier is left out. Of a `TransferModel` the blocks
    of the base are returned, by the names that they have in it.

    Args:
        model: The model; it runs once, in eval mode.
        inputs: What it takes; one sample is enough.
    """
    chosen = []
    for stage in _stages(model, inputs):
        if not any(part.has_weights for part in stage):
            continue
        # What runs again and again, such as one activation for all, has no one output.
        chosen += [part.name for part in stage if part.is_worth_looking_at][-1:]
    return chosen


def weighted_stages(model: Module, inputs: Any) -> list[list[str]]:
    """Return the stages of a model that have weights, in the order in which they run.

    A stage is a block, or a layer between blocks with the normalisation that follows it; it is
    given by the names of its parts that have weights. See `meaningful_layers` for the rest.
    """
    found = [[part.name for part in stage if part.has_weights] for stage in _stages(model, inputs)]
    return [names for names in found if names]


@dataclass(frozen=True)
class _Part:
    """A part of a stage.

    Attributes:
        name: Its path in the base.
        has_weights: Whether it has parameters.
        is_worth_looking_at: Whether it gives features, at one place, and does more than let them
            pass.
    """

    name: str
    has_weights: bool
    is_worth_looking_at: bool


def _stages(model: Module, inputs: Any) -> list[list[_Part]]:
    """Run a model, and return the parts of each of its stages in order."""
    base = scopes_of(model)[0].module
    parts = dict(_parts(base))
    runs = _run(model, parts, inputs)
    head = _classifier(base)
    names = [each.name for each in runs if not _is_in(each.name, head)]
    counts = Counter(each.name for each in runs)
    gives_features = {each.name for each in runs if each.gives_features}
    stages: list[list[str]] = []
    for name in dict.fromkeys(names):
        # A block is a stage of its own.
        if _begins_stage(parts[name]) or not stages or _is_composite(parts[stages[-1][0]]):
            stages.append([])
        stages[-1].append(name)
    if head is None and len(stages) > 1 and isinstance(parts[stages[-1][0]], Linear):
        stages.pop()  # a last Linear is the classifier of a model that names none

    def part(name: str) -> _Part:
        seen = counts[name] == 1 and name in gives_features
        return _Part(
            name,
            next(parts[name].parameters(), None) is not None,
            seen and not isinstance(parts[name], _CHANGE_NOTHING),
        )

    return [[part(name) for name in stage] for stage in stages]


@dataclass(frozen=True)
class _Ran:
    """A part that ran, and whether what it gave can be pooled to a row of numbers a sample."""

    name: str
    gives_features: bool


def _run(model: Module, parts: dict[str, Module], inputs: Any) -> list[_Ran]:
    """Run a model, and return which parts ran, each time they did, in order of their ends."""
    ran: list[_Ran] = []

    def note(name: str) -> Any:
        def hook(module: Module, args: tuple[Any, ...], out: Any) -> None:
            ran.append(_Ran(name, isinstance(out, Tensor) and out.ndim >= 2))

        return hook

    handles = [part.register_forward_hook(note(name)) for name, part in parts.items()]
    try:
        with evaluating(model), no_grad():
            model(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return ran


def _parts(module: Module, prefix: str = "") -> Iterator[tuple[str, Module]]:
    """Yield the blocks of a module and the layers between them, by path."""
    for name, child in module.named_children():
        path = f"{prefix}{name}"
        if _is_looked_into(child):
            yield from _parts(child, f"{path}.")
        else:
            yield path, child


def _is_looked_into(module: Module) -> bool:
    """Whether a module is a list of blocks or of stages, or holds such a list, and no block."""
    children = list(module.children())
    if isinstance(module, _LISTS):
        return any(map(_is_composite, children)) or sum(map(_has_weights, children)) > 1
    return any(isinstance(child, _LISTS) and _holds_blocks(child) for child in children)


def _holds_blocks(module: Module) -> bool:
    """Whether a list holds several blocks of one kind."""
    kinds = Counter(
        type(child)
        for child in module.children()
        if _is_composite(child) and not isinstance(child, _LISTS)
    )
    return any(count > 1 for count in kinds.values())


def _is_composite(module: Module) -> bool:
    return next(module.children(), None) is not None


def _has_weights(module: Module) -> bool:
    return next(module.parameters(), None) is not None and not isinstance(module, _NORMS)


def _begins_stage(module: Module) -> bool:
    return _is_composite(module) or _has_weights(module)


def _classifier(base: Module) -> str | None:
    """Return the path of a base's classifier, ``""`` where it says that it has none."""
    head = getattr(base, "head", False)
    if head is None:
        return ""
    if isinstance(head, Module):
        return "head"
    return head if isinstance(head, str) else None


def _is_in(path: str, head: str | None) -> bool:
    return bool(head) and (path == head or path.startswith(f"{head}."))
