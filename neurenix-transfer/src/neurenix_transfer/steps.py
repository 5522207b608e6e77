"""How training steps run: as plans where batches repeat their shape, else by the code itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from neurenix import Tensor
from neurenix.graph import CompiledFunction
from neurenix_transfer.cache.batches import Rest
from neurenix_transfer.training_step import TrainingStep


class Steps:
    """Runs training steps.

    Whether a step runs as a plan depends on the batch and on what the model is, not on what ran
    before: a resumed run does what the first one would have done.

    Args:
        compiling: Whether steps run as plans where they can.
        say: Prints a line; by default nothing is printed.
    """

    def __init__(
        self, compiling: bool = False, say: Callable[[str], None] = lambda line: None
    ) -> None:
        self.compiling = compiling
        self._say = say
        self._told: set[str] = set()
        self._state: Any = None
        self._compiled: CompiledFunction | None = None

    def begin(self, state: Any) -> None:
        """Begin an epoch; with another state of the model, the plans of the last one are let go."""
        if state != self._state:
            self._state = state
            self._compiled = None

    def __call__(
        self, step: TrainingStep, rest: Rest, labels: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Take a step; return what it returns."""
        if not self.compiling:
            return step(rest.forward, rest.inputs, labels)
        if not rest.repeats:
            self.tell("for batches whose samples have another shape than the first one")
            return step(rest.forward, rest.inputs, labels)
        if self._compiled is None:
            self._compiled = CompiledFunction(step, fallback="silent")
        found: tuple[Tensor, Tensor, Tensor, Tensor | None]
        found = self._compiled(rest.forward, rest.inputs, labels)
        for reason in self._compiled.reasons:
            self.tell(f"since {reason}")
        return found

    def give_up(self, reason: str) -> None:
        """Let no step run as a plan, and say why."""
        self.tell(reason)
        self.compiling = False

    def tell(self, reason: str) -> None:
        """Say once why steps do not run as plans, unless nobody asked for plans."""
        if self.compiling and reason not in self._told:
            self._told.add(reason)
            self._say(f"Training steps run one op at a time, {reason}")
