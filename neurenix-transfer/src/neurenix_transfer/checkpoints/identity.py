"""What a resumed run must have in common with its first part.

The values of trained weights are not among it: a new head is initialised at random, and the
checkpoint replaces it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import neurenix
from neurenix import Tensor
from neurenix.nn import Module
from neurenix.optim import Optimizer
from neurenix_transfer.digests import digest

if TYPE_CHECKING:
    from neurenix_transfer.training import Trainer

_LENGTH = 90  # of a value in an error
_ADVICE = {
    "train data": "the training data are not those of the checkpoint",
    "val data": "the validation data are not those of the checkpoint",
    "frozen weights": "frozen weights are not those of the checkpoint",
}


def describe_run(trainer: Trainer, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Describe a run before its first step, as JSON.

    Args:
        trainer: The run.
        settings: The options that it was given.
    """
    model = trainer.model
    scheduler = trainer.schedule.scheduler
    return {
        "model": {
            "class": type(model).__name__,
            "parameters": {name: _shape(param) for name, param in model.named_parameters()},
            "buffers": {name: _shape(buffer) for name, buffer in model.named_buffers()},
        },
        "trainable": [name for name, param in model.named_parameters() if param.requires_grad],
        "optimizer": {
            "class": type(trainer.optimizer).__name__,
            "groups": _groups(model, trainer.optimizer),
        },
        "scheduler": None
        if scheduler is None
        else {
            "class": type(scheduler).__name__,
            "state": _plain(scheduler.state_dict()),
        },
        "loss": trainer.loss.name,
        "callbacks": trainer.callbacks.stateful_names(),
        "options": _plain(settings),
    }


def describe_machine(model: Module) -> dict[str, str]:
    """Return what the last bits of results depend on, beside the run itself."""
    return {
        "device": str(next(model.parameters()).device),
        "neurenix": neurenix.__version__,
        "numpy": np.__version__,
    }


def differences(saved: Any, now: Any, path: str = "") -> list[str]:
    """Return what differs between two descriptions, a line each; empty where nothing does."""
    return list(_differences(saved, now, path))


def frozen_digests(model: Module) -> dict[str, str]:
    """Return the digest of each frozen parameter."""
    return {name: digest(param) for name, param in model.named_parameters() if not _trains(param)}


def named_for_optimizer(model: Module, optimizer: Optimizer) -> dict[str, Tensor]:
    """Return the model's parameters by name, then what else the optimizer holds."""
    named: dict[str, Tensor] = dict(model.named_parameters())
    known = {id(param) for param in named.values()}
    for number, group in enumerate(optimizer.param_groups):
        for index, param in enumerate(group["params"]):
            if id(param) not in known:
                known.add(id(param))
                named[f"optimizer[{number}][{index}]"] = param
    return named


def _trains(param: Tensor) -> bool:
    return bool(param.requires_grad)


def _shape(tensor: Tensor) -> str:
    return f"{tensor.dtype} {tuple(tensor.shape)}"


def _groups(model: Module, optimizer: Optimizer) -> list[dict[str, Any]]:
    names = {id(param): name for name, param in named_for_optimizer(model, optimizer).items()}
    groups = []
    for group in optimizer.param_groups:
        options = {key: value for key, value in group.items() if key != "params"}
        # A schedule has set the rate already; what it began with is what was asked for.
        options["lr"] = options.pop("initial_lr", options["lr"])
        groups.append({"parameters": [names[id(p)] for p in group["params"]], **_plain(options)})
    return groups


def _plain(value: Any) -> Any:
    """Return a value as JSON gives it back; what JSON does not know as text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, Tensor | np.ndarray):
        return digest(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return type(value).__name__


def _differences(saved: Any, now: Any, path: str) -> Iterator[str]:
    if isinstance(saved, Mapping) and isinstance(now, Mapping):
        for key in [*saved, *(key for key in now if key not in saved)]:
            below = f"{path}, {key}" if path else str(key)
            if key not in saved or key not in now:
                where = "the checkpoint" if key in saved else "this run"
                yield f"{below}: only in {where}"
            elif key in _ADVICE and saved[key] != now[key]:
                yield f"{_ADVICE[key]} ({_which(saved[key], now[key])})"
            else:
                yield from _differences(saved[key], now[key], below)
    elif _listed(saved) and _listed(now) and len(saved) == len(now):
        for number, (each, other) in enumerate(zip(saved, now, strict=True)):
            yield from _differences(each, other, f"{path}[{number}]")
    elif saved != now and not (saved != saved and now != now):  # NaN is itself here
        yield f"{path}: {_short(saved)} in the checkpoint, {_short(now)} now"


def _which(saved: Any, now: Any) -> str:
    if not (isinstance(saved, Mapping) and isinstance(now, Mapping)):
        return "there were none" if saved is None else "there are none now"
    if saved.get("samples") != now.get("samples") and "samples" in saved:
        return f"{saved['samples']} samples then, {now.get('samples')} now"
    names = [key for key in saved if saved[key] != now.get(key)]
    return "other " + ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")


def _listed(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LENGTH else f"{text[: _LENGTH - 4]} ..."
