"""Transforms one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from neurenix.data.transforms.transform import Transform, is_deterministic


@dataclass(frozen=True, repr=False)
class Compose(Transform):
    """Apply transforms one after the other.

    It is deterministic if all of them are, random if one is, and unknown otherwise: a function of
    your own counts as unknown unless it has an attribute ``deterministic``.

    Args:
        transforms: Transforms or any other callables that take and give one image.

    Raises:
        TypeError: One of them is not callable.
    """

    transforms: tuple[Callable[[Any], Any], ...]

    def __init__(self, transforms: Iterable[Callable[[Any], Any]]) -> None:
        if callable(transforms):
            raise TypeError(f"expected a list of transforms, got {transforms!r}: Compose([...])")
        steps = tuple(transforms)
        for step in steps:
            if not callable(step):
                raise TypeError(f"expected callables as transforms, got {step!r}")
        self._set(transforms=steps)

    @property
    def deterministic(self) -> bool | None:  # type: ignore[override]
        """True if all transforms are, False if one is not, None if that is not known."""
        known = [is_deterministic(step) for step in self.transforms]
        if False in known:
            return False
        return None if None in known else True

    def __call__(self, image: Any) -> Any:
        """Apply all transforms in order."""
        for position, step in enumerate(self.transforms):
            try:
                image = step(image)
            except Exception as error:
                error.add_note(
                    f"raised by transform {position + 1} of {len(self.transforms)}: {step!r}"
                )
                raise
        return image

    def to_dict(self) -> dict[str, Any]:
        """Describe all transforms in plain data.

        Raises:
            ValueError: One is a function of your own, which cannot be described.
        """
        steps = []
        for step in self.transforms:
            if not isinstance(step, Transform):
                raise ValueError(
                    f"{step!r} cannot be described; make it a subclass of Transform "
                    "(a frozen dataclass) to save it with a model"
                )
            steps.append(step.to_dict())
        return {"type": self._type_name(), "transforms": steps}

    @classmethod
    def _from_arguments(cls, arguments: dict[str, Any]) -> Transform:
        steps = [Transform.from_dict(step) for step in arguments.pop("transforms", ())]
        return cls(transforms=steps, **arguments)

    def __repr__(self) -> str:
        steps = [repr(step).replace("\n", "\n    ") for step in self.transforms]
        lines = "".join(f"\n    {step}," for step in steps)
        return f"Compose([{lines}\n])" if lines else "Compose([])"
