"""What a training changed in a model, by its weights before and after."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from neurenix.nn import Parameter
from neurenix_transfer.recipes.layers import EVERY_LAYER
from neurenix_transfer.transfer_model import TransferModel

_BASE, _NEW = "base_model.", "new_layers."


@dataclass(frozen=True)
class Learned:
    """What of a model differs from what it was before the training.

    Attributes:
        parameters: How many numbers, those of the new layers included.
        layers: The layers of the base, a whole subtree by its name; ``("all",)`` for all of it.
    """

    parameters: int
    layers: tuple[str, ...]


class WeightsBefore:
    """Remembers a model's weights, by their digests.

    A recipe may keep weights of an epoch in which fewer layers had learned than in the end: what
    may learn says less than what has changed.

    Args:
        model: The model, before its training.
    """

    def __init__(self, model: TransferModel) -> None:
        self._model = model
        self._digests = {name: _digest(param) for name, param in model.named_parameters()}

    def learned(self) -> Learned:
        """Return what has changed since."""
        params = dict(self._model.named_parameters())
        changed = {
            name: name.startswith(_NEW) or _digest(param) != self._digests.get(name)
            for name, param in params.items()
        }
        base = {
            name.removeprefix(_BASE): each
            for name, each in changed.items()
            if name.startswith(_BASE)
        }
        count = sum(params[name].size for name, each in changed.items() if each)
        return Learned(count, (EVERY_LAYER,) if all(base.values()) else tuple(_subtrees(base)))


def _subtrees(changed: dict[str, bool], prefix: str = "") -> Iterator[str]:
    """Yield the names of the largest parts that have changed as a whole."""
    below: dict[str, dict[str, bool]] = {}
    for name, each in changed.items():
        first, _, rest = name.partition(".")
        below.setdefault(first, {})[rest] = each
    for first, inner in below.items():
        if all(inner.values()):
            yield prefix + first
        elif any(inner.values()):
            yield from _subtrees(inner, f"{prefix}{first}.")


def _digest(param: Parameter) -> bytes:
    return hashlib.blake2b(param.detach().numpy().tobytes(), digest_size=16).digest()
