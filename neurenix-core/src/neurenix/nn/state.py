"""State dicts: the parameters and persistent buffers of a module, by path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from neurenix.autograd import no_grad
from neurenix.errors import NeurenixError
from neurenix.tensor import Tensor

if TYPE_CHECKING:
    from neurenix.nn.module import Module

_LISTED = 20  # keys shown of each kind; a whole model's worth of them helps nobody


class IncompatibleKeys(NamedTuple):
    """What a loaded state dict and the module did not have in common."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class StateDictError(NeurenixError, RuntimeError):
    """A state dict that does not fit the module.

    Attributes:
        missing: Keys that the module has and the state dict lacks.
        unexpected: Keys that the state dict has and the module lacks.
        misshapen: Keys whose shapes differ, with the module's shape and the one that came.
    """

    def __init__(
        self,
        message: str,
        missing: Sequence[str] = (),
        unexpected: Sequence[str] = (),
        misshapen: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]] | None = None,
    ) -> None:
        super().__init__(message)
        self.missing = list(missing)
        self.unexpected = list(unexpected)
        self.misshapen = dict(misshapen or {})


def state_dict(module: Module, prefix: str = "") -> dict[str, Tensor]:
    """Return the detached parameters and persistent buffers of a module, by path."""
    return {key: tensor.detach() for key, tensor, _ in _entries(module, prefix)}


def load_state_dict(module: Module, state: Mapping[str, Any], strict: bool) -> IncompatibleKeys:
    """Copy a state dict's values into a module; see `Module.load_state_dict`."""
    if not isinstance(state, Mapping):
        raise TypeError(
            f"a state dict maps paths to tensors; got a {type(state).__name__}. "
            "Weights in a file are read with neurenix.io.load_weights(path)"
        )
    entries = list(_entries(module, ""))
    expected = {key for key, _, _ in entries}
    missing = [key for key, _, optional in entries if key not in state and not optional]
    unexpected = [str(key) for key in state if key not in expected]
    misshapen = {}
    copies = []
    for key, target, _ in entries:
        if key not in state:
            continue
        value = _tensor(key, state[key])
        if value.shape != target.shape:
            misshapen[key] = (target.shape, value.shape)
        else:
            copies.append((target, value))
    if misshapen or (strict and (missing or unexpected)):
        if not strict:
            missing, unexpected = [], []
        message = _message(type(module).__name__, expected, missing, unexpected, misshapen)
        raise StateDictError(message, missing, unexpected, misshapen)
    copies = [(target, value.to(target.device)) for target, value in copies]
    with no_grad():
        for target, value in copies:
            target.copy_(value)
    return IncompatibleKeys(missing, unexpected)


def _entries(module: Module, prefix: str) -> Iterator[tuple[str, Tensor, bool]]:
    """Yield key, tensor and whether it is optional; what is shared, under each of its names."""
    values = module.__dict__
    persistent = [name for name, keep in module._buffer_names.items() if keep]
    for name in [*module._parameter_names, *persistent]:
        if values[name] is not None:
            yield prefix + name, values[name], name in module.optional_state
    for name in module._child_names:
        if values[name] is not None:
            yield from _entries(values[name], f"{prefix}{name}.")


def _tensor(key: str, value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value.detach()
    if not (hasattr(value, "__array__") or isinstance(value, int | float)):
        raise StateDictError(
            f"the state dict's {key!r} is a {type(value).__name__}; expected a tensor or an array. "
            "A checkpoint that holds more than weights keeps them under a key such as "
            "'state_dict' or 'model'"
        )
    return Tensor(value)


def _message(
    name: str,
    expected: set[str],
    missing: list[str],
    unexpected: list[str],
    misshapen: dict[str, tuple[tuple[int, ...], tuple[int, ...]]],
) -> str:
    shapes = [f"{key}: {name} has {has}, got {got}" for key, (has, got) in misshapen.items()]
    parts = [f"The state dict does not fit {name}; nothing was changed."]
    for title, items in (
        ("missing", missing),
        ("unexpected", unexpected),
        ("of another shape", shapes),
    ):
        if items:
            shown = items[:_LISTED]
            if len(items) > _LISTED:
                shown.append(f"... and {len(items) - _LISTED} more")
            parts.append(f"  {len(items)} {title}:\n    " + "\n    ".join(shown))
    hint = _prefix_hint(expected, missing, unexpected)
    return "\n".join([*parts, hint] if hint else parts)


def _prefix_hint(expected: set[str], missing: list[str], unexpected: list[str]) -> str:
    """Name the prefix that would make the keys match, if one would."""
    if not missing or not unexpected:
        return ""
    for prefix in _prefixes(unexpected[0]):
        if all(key.startswith(prefix) and key[len(prefix) :] in expected for key in unexpected):
            return f"Remove the prefix {prefix!r} from the state dict's keys, and they match."
    for prefix in _prefixes(missing[0]):
        if all(prefix + key in expected for key in unexpected):
            return f"Put the prefix {prefix!r} before the state dict's keys, and they match."
    return ""


def _prefixes(key: str) -> list[str]:
    return [key[: i + 1] for i, letter in enumerate(key) if letter == "."]
