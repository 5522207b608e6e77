"""Which layers of the base a recipe may train, from the last one down."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from neurenix.nn import Module, Parameter
from neurenix.nn.mode import WhenFrozen
from neurenix_transfer.blocks import weighted_stages
from neurenix_transfer.freezing import set_batch_norm_mode
from neurenix_transfer.layer_names import LayerNames, scopes_of, select_layers
from neurenix_transfer.recipes.job import RecipeError
from neurenix_transfer.sources import Inputs, placed
from neurenix_transfer.transfer_model import TransferModel

EVERY_LAYER = "all"
_SHARE = 4  # by default, one in so many of the base's stages may learn


@dataclass(frozen=True)
class Stage:
    """A part of a model that is frozen or trained as a whole.

    Attributes:
        name: What it is called.
        params: Its parameters that may learn.
    """

    name: str
    params: tuple[Parameter, ...]

    def set_trainable(self, value: bool) -> None:
        """Freeze it, or let it learn."""
        for param in self.params:
            param.requires_grad = value
            if not value:
                param.grad = None


@dataclass(frozen=True)
class Stages:
    """The parts of a model, as a recipe sees it.

    Attributes:
        head: What always learns.
        learning: The stages of the base that may learn, the last one first.
        resting: Everything else.
    """

    head: Stage
    learning: tuple[Stage, ...]
    resting: Stage

    @property
    def names(self) -> str:
        """The stages that may learn, for a printed line."""
        return ", ".join(stage.name for stage in self.learning)

    def freeze_base(self) -> None:
        """Freeze everything but the head."""
        for stage in (*self.learning, self.resting):
            stage.set_trainable(False)
        self.head.set_trainable(True)


def find_stages(
    model: Module, head: Sequence[Parameter], first: Inputs, unfreeze: LayerNames | None
) -> Stages:
    """Divide a model into its head, the stages that may learn, and the rest.

    Args:
        model: The model; it runs once.
        head: The parameters of its head.
        first: The inputs of a sample, as a batch of one.
        unfreeze: The layers of the base that may learn, named as for `freeze_layers`, or
            ``"all"``. None takes those that are trainable as it is; where the whole base is
            frozen, the last quarter of its stages.

    Raises:
        RecipeError: No layer of the base is among them.
        UnknownLayerError: A name matches no layer.
    """
    in_head = {id(param) for param in head}
    base = {name: p for name, p in model.named_parameters() if id(p) not in in_head}
    prefix = scopes_of(model)[0].prefix
    groups = _by_stage(base, [
        [f"{prefix}{name}" for name in names]
        for names in weighted_stages(model, placed(model, first))
    ])  # fmt: skip
    chosen = _chosen(model, base, groups, unfreeze)
    learning = []
    for name, params in reversed(groups):
        own = tuple(param for param in params if id(param) in chosen)
        if own:
            learning.append(Stage(name.removeprefix(prefix), own))
    if not learning:
        raise RecipeError(
            f"no layer of the base is left to train in this {type(model).__name__}: unfreeze="
            f'{unfreeze!r} names only the head. Name layers of the base, or "all"; recipe="probe" '
            "trains the head alone"
        )
    resting = tuple(param for param in base.values() if id(param) not in chosen)
    return Stages(Stage("head", tuple(head)), tuple(learning), Stage("the rest", resting))


def head_parameters(model: Module, linear: Module | None) -> list[Parameter]:
    """Return what a recipe takes for the head: new layers, or a model's last Linear."""
    if isinstance(model, TransferModel):
        named = model.named_parameters()
        return [param for name, param in named if name.startswith("new_layers.")]
    return [] if linear is None else list(linear.parameters())


@contextmanager
def statistics_kept(model: Module) -> Iterator[None]:
    """Let every BatchNorm keep its statistics for a block.

    At a small rate, features that shift with each batch's statistics would undo what the head has
    learned of them.
    """
    before: list[tuple[Module, WhenFrozen | None]] = [
        (module, module.when_frozen) for module in model.modules()
    ]
    set_batch_norm_mode(model, "frozen")
    try:
        yield
    finally:
        for module, policy in before:
            module.when_frozen = policy


def _by_stage(
    base: dict[str, Parameter], stages: list[list[str]]
) -> list[tuple[str, list[Parameter]]]:
    """Return the parameters of each stage; those of none belong to the first."""
    left = dict(base)
    groups: list[tuple[str, list[Parameter]]] = []
    for names in stages:
        own = [
            path
            for path in left
            if any(path == name or path.startswith(f"{name}.") for name in names)
        ]
        if own:
            groups.append((names[0], [left.pop(path) for path in own]))
    if left:
        if not groups:
            groups.append(("base", []))
        groups[0][1].extend(left.values())
    return groups


def _chosen(
    model: Module,
    base: dict[str, Parameter],
    groups: list[tuple[str, list[Parameter]]],
    unfreeze: LayerNames | None,
) -> set[int]:
    own = {id(param) for param in base.values()}
    if isinstance(unfreeze, str) and unfreeze == EVERY_LAYER:
        return own
    if unfreeze is not None:
        named = select_layers(model, unfreeze).parameters.values()
        return {id(param) for param in named} & own
    trainable = {id(param) for param in base.values() if param.requires_grad}
    if trainable and (isinstance(model, TransferModel) or len(trainable) < len(own)):
        return trainable
    count = max(1, round(len(groups) / _SHARE))
    return {id(param) for _, params in groups[len(groups) - count :] for param in params}
