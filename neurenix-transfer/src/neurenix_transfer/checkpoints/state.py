"""What a training run is made of between two epochs: taken, and put back."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from neurenix import Tensor
from neurenix.autograd import no_grad
from neurenix.nn import Module
from neurenix.optim import Optimizer
from neurenix.random import default_generator
from neurenix_transfer.checkpoints.identity import named_for_optimizer

if TYPE_CHECKING:
    from neurenix_transfer.history import History
    from neurenix_transfer.training import Trainer


def take_state(trainer: Trainer, trained: Collection[str]) -> dict[str, Any]:
    """Return everything that the next epoch depends on.

    Args:
        trainer: The run.
        trained: The names of the parameters that were trainable at any time of it; the others are
            as they were at its beginning.
    """
    model, optimizer = trainer.model, trainer.optimizer
    history = trainer.history
    extras = trainer.extras
    scheduler = trainer.schedule.scheduler
    named = named_for_optimizer(model, optimizer)
    own = {name for name, _ in model.named_parameters()}
    return {
        "step": trainer.step,
        "cut_short": trainer.cut_short,
        "stopped": trainer.stopping,
        "history": {"lists": dict(history), "best_epoch": history.best_epoch},
        "trainable": {name: bool(p.requires_grad) for name, p in model.named_parameters()},
        "when_frozen": {
            name: module.when_frozen
            for name, module in model.named_modules()
            if module.when_frozen is not None
        },
        "parameters": {
            name: param.detach()
            for name, param in named.items()
            if name in trained or name not in own
        },
        "buffers": {name: buffer.detach() for name, buffer in model.named_buffers()},
        "optimizer": _take_optimizer(optimizer, named),
        "scheduler": None if scheduler is None else scheduler.state_dict(),
        "random": default_generator().get_state(),
        "callbacks": trainer.callbacks.state(),
        "average": None if extras.average is None else extras.average.state_dict(),
        "regularizer": None if extras.regularizer is None else extras.regularizer.state_dict(),
    }


def put_history(history: History, state: Mapping[str, Any]) -> None:
    """Put the epochs that are done into a history."""
    history.update(state["history"]["lists"])
    history.best_epoch = state["history"]["best_epoch"]


def put_state(trainer: Trainer, state: Mapping[str, Any]) -> None:
    """Put back everything that the next epoch depends on, but the history.

    The callbacks come first: one whose options have changed raises before the model is touched.

    Raises:
        ValueError: A callback's state is of other options.
    """
    model, extras = trainer.model, trainer.extras
    trainer.callbacks.load_state(state["callbacks"])
    _put_model(model, trainer.optimizer, state)
    scheduler = trainer.schedule.scheduler
    if scheduler is not None:
        scheduler.load_state_dict(state["scheduler"])
    if extras.average is not None:
        extras.average.load_state_dict(state["average"])
    if extras.regularizer is not None:
        extras.regularizer.load_state_dict(state["regularizer"])
    default_generator().set_state(state["random"])
    trainer.step = state["step"]
    trainer.cut_short = state["cut_short"]
    if state["stopped"]:
        trainer.stop()


def _put_model(model: Module, optimizer: Optimizer, state: Mapping[str, Any]) -> None:
    named = named_for_optimizer(model, optimizer)
    modules = dict(model.named_modules())
    for name, module in modules.items():
        module.when_frozen = state["when_frozen"].get(name)
    for name, param in model.named_parameters():
        param.requires_grad = state["trainable"][name]
        param.grad = None
    with no_grad():
        for name, value in state["parameters"].items():
            named[name].copy_(value)
        for name, buffer in model.named_buffers():
            buffer.copy_(state["buffers"][name])
    _put_optimizer(optimizer, named, state["optimizer"])


def _take_optimizer(optimizer: Optimizer, named: Mapping[str, Tensor]) -> dict[str, Any]:
    names = {id(param): name for name, param in named.items()}
    return {
        "groups": [
            {**group, "params": [names[id(param)] for param in group["params"]]}
            for group in optimizer.param_groups
        ],
        "state": {
            names[id(param)]: dict(values)
            for param, values in optimizer.state.items()
            if id(param) in names
        },
    }


def _put_optimizer(
    optimizer: Optimizer, named: Mapping[str, Tensor], state: Mapping[str, Any]
) -> None:
    """Put back groups and state by name; groups that a callback added are made again."""
    groups = optimizer.param_groups
    del groups[len(state["groups"]) :]
    for number, saved in enumerate(state["groups"]):
        group = {**saved, "params": [named[name] for name in saved["params"]]}
        if number < len(groups):
            groups[number].update(group)
        else:
            groups.append(group)
    optimizer.state.clear()
    for name, values in state["state"].items():
        param = named[name]
        optimizer.state[param] = {
            key: value.to(param.device) if isinstance(value, Tensor) else value
            for key, value in values.items()
        }
