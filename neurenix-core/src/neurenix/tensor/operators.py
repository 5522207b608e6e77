"""The operators of a tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neurenix.ops import elementwise as ew
from neurenix.ops.matmul import matmul
from neurenix.ops.scalars import TensorLike

if TYPE_CHECKING:
    from neurenix.tensor import Tensor

# `self` is a Tensor throughout: the class that has these methods stands above this module.


class Operators:
    """Arithmetic, comparison and logic, elementwise, and ``@``."""

    __slots__ = ()
    __hash__ = object.__hash__

    def __add__(self: Any, other: TensorLike) -> Tensor:
        return ew.add(self, other)

    def __radd__(self: Any, other: TensorLike) -> Tensor:
        return ew.add(other, self)

    def __sub__(self: Any, other: TensorLike) -> Tensor:
        return ew.sub(self, other)

    def __rsub__(self: Any, other: TensorLike) -> Tensor:
        return ew.sub(other, self)

    def __mul__(self: Any, other: TensorLike) -> Tensor:
        return ew.mul(self, other)

    def __rmul__(self: Any, other: TensorLike) -> Tensor:
        return ew.mul(other, self)

    def __truediv__(self: Any, other: TensorLike) -> Tensor:
        return ew.div(self, other)

    def __rtruediv__(self: Any, other: TensorLike) -> Tensor:
        return ew.div(other, self)

    def __floordiv__(self: Any, other: TensorLike) -> Tensor:
        return ew.floor_div(self, other)

    def __rfloordiv__(self: Any, other: TensorLike) -> Tensor:
        return ew.floor_div(other, self)

    def __mod__(self: Any, other: TensorLike) -> Tensor:
        return ew.mod(self, other)

    def __rmod__(self: Any, other: TensorLike) -> Tensor:
        return ew.mod(other, self)

    def __pow__(self: Any, other: TensorLike) -> Tensor:
        return ew.pow(self, other)

    def __rpow__(self: Any, other: TensorLike) -> Tensor:
        return ew.pow(other, self)

    def __matmul__(self: Any, other: Tensor) -> Tensor:
        return matmul(self, other)

    def __neg__(self: Any) -> Tensor:
        return ew.neg(self)

    def __pos__(self: Any) -> Tensor:
        tensor: Tensor = self
        return tensor

    def __abs__(self: Any) -> Tensor:
        return ew.abs(self)

    def __invert__(self: Any) -> Tensor:
        return ew.invert(self)

    def __and__(self: Any, other: TensorLike) -> Tensor:
        return ew.bitwise_and(self, other)

    def __or__(self: Any, other: TensorLike) -> Tensor:
        return ew.bitwise_or(self, other)

    def __xor__(self: Any, other: TensorLike) -> Tensor:
        return ew.bitwise_xor(self, other)

    # These three do not care for the order.
    __rand__ = __and__
    __ror__ = __or__
    __rxor__ = __xor__

    def __eq__(self: Any, other: Any) -> Tensor:  # type: ignore[override]
        if other is None or isinstance(other, str):
            return NotImplemented
        return ew.eq(self, other)

    def __ne__(self: Any, other: Any) -> Tensor:  # type: ignore[override]
        if other is None or isinstance(other, str):
            return NotImplemented
        return ew.ne(self, other)

    def __lt__(self: Any, other: TensorLike) -> Tensor:
        return ew.lt(self, other)

    def __le__(self: Any, other: TensorLike) -> Tensor:
        return ew.le(self, other)

    def __gt__(self: Any, other: TensorLike) -> Tensor:
        return ew.gt(self, other)

    def __ge__(self: Any, other: TensorLike) -> Tensor:
        return ew.ge(self, other)
