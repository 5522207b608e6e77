"""What a transform is: a callable that says whether it is random and can describe itself."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

_REGISTRY: dict[str, type[Transform]] = {}


@dataclasses.dataclass(frozen=True)
class Transform(ABC):
    """A step from one image to another.

    A subclass is a frozen dataclass whose fields are the arguments, and is thereby described by
    them: ``to_dict`` and ``from_dict`` turn it into plain data and back, so that the preprocessing
    of a model can be saved beside its weights. Transforms hold no state; random ones draw from the
    stream of the sample that is being read (see :mod:`neurenix.data.draws`).

    Attributes:
        deterministic: True if equal inputs always give equal outputs, False if it draws random
            numbers, None if nobody knows.
    """

    deterministic: ClassVar[bool | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _REGISTRY[cls._type_name()] = cls

    @classmethod
    def _type_name(cls) -> str:
        """The name in descriptions; a class from elsewhere cannot take the name of one of ours."""
        own = cls.__module__.startswith("neurenix.")
        return cls.__name__ if own else f"{cls.__module__}.{cls.__qualname__}"

    @abstractmethod
    def __call__(self, image: Any) -> Any:
        """Transform one image."""

    def to_dict(self) -> dict[str, Any]:
        """Describe the transform in plain data (for JSON): its type and its arguments."""
        arguments = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {"type": self._type_name(), **{k: _plain(v) for k, v in arguments.items()}}

    @staticmethod
    def from_dict(description: Mapping[str, Any]) -> Transform:
        """Build the transform that ``to_dict`` described.

        Only transforms that are defined at the time can be built; nothing is imported or run for
        a description.

        Raises:
            ValueError: The description has no type, one that is not known, or wrong arguments.
        """
        arguments = dict(description)
        name = arguments.pop("type", None)
        if name not in _REGISTRY:
            raise ValueError(
                f"expected the description of a transform with one of the types "
                f"{sorted(_REGISTRY)}, got {name!r}; a type of your own must be defined first"
            )
        try:
            return _REGISTRY[name]._from_arguments(arguments)
        except TypeError as error:
            raise ValueError(f"the arguments {arguments} do not fit {name}: {error}") from error

    @classmethod
    def _from_arguments(cls, arguments: dict[str, Any]) -> Transform:
        return cls(**arguments)

    def _set(self, **values: Any) -> None:
        """Store arguments in their normal form, from ``__post_init__``."""
        for name, value in values.items():
            object.__setattr__(self, name, value)


def is_deterministic(transform: Callable[[Any], Any] | None) -> bool | None:
    """Whether a transform always gives equal outputs for equal inputs.

    Args:
        transform: A transform, any other callable, or None for no transform at all.

    Returns:
        Its attribute ``deterministic``; None (unknown) for a callable without one.
    """
    if transform is None:
        return True
    known = getattr(transform, "deterministic", None)
    return known if isinstance(known, bool) else None


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value
