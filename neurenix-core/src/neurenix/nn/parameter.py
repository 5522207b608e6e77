"""Trainable tensors of a module."""

from __future__ import annotations

from typing import Any

from neurenix.tensor import Tensor


class Parameter(Tensor):
    """A tensor that a `Module` registers as trainable when it is assigned as an attribute.

    Args:
        data: The values. A tensor lends its storage; anything else is copied into a new one.
        requires_grad: Whether it is trained. False means frozen.
    """

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        if isinstance(data, Tensor):
            self._describe(data.detach())
            self.requires_grad = requires_grad
        else:
            super().__init__(data, requires_grad=requires_grad)

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        twin = Parameter(self.detach().clone(), self.requires_grad)
        memo[id(self)] = twin
        return twin

    def __repr__(self) -> str:
        return f"Parameter({super().__repr__()})"
