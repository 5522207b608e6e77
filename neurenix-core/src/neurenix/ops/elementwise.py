"""Elementwise arithmetic, comparison and logic, with broadcasting and weak scalars."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from neurenix.dtypes import DType, bool_, is_floating, promote, scalar_dtype
from neurenix.errors import DTypeError
from neurenix.ops import dispatch
from neurenix.ops.mode import mode
from neurenix.ops.op import Op, TensorMeta
from neurenix.ops.scalars import TensorLike, constant, operands
from neurenix.ops.shapes import (
    broadcast,
    broadcast_all,
    broadcast_bool,
    broadcast_float,
    broadcast_shapes,
    same,
    same_bool,
    same_float,
)

if TYPE_CHECKING:
    from neurenix.tensor import Tensor


class Unary(Op):
    """An op on one tensor; where ``meta`` asks for floats, integers are cast first."""

    __slots__ = ()

    def __call__(self, x: Tensor, /) -> Tensor:  # type: ignore[override]
        """Apply the op."""
        if self.meta is same_float and not is_floating(x.dtype):
            x = x.float()
        return dispatch.apply(self, (x,), {})[0]


class Binary(Op):
    """An op on two operands that broadcast; either may be a Python scalar.

    Attributes:
        result: Operand dtype to the result's, of those combinations met so far.
    """

    __slots__ = ("result",)

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(name, **options)
        self.result: dict[DType, DType] = {}

    def __call__(self, x: TensorLike, y: TensorLike, /) -> Tensor:  # type: ignore[override]
        """Apply the op; what is neither taped nor traced, the bulk, takes a short way."""
        a: Any = x
        b: Any = y
        try:
            dtype = a.dtype
            followed = a._requires_grad | b._requires_grad  # asks both, not the first alone
            alike = b.dtype is dtype
        except AttributeError:  # a Python scalar, or no operand at all
            return self(*operands(x, y))
        if not alike:
            return self(*operands(x, y))
        result = self.result.get(dtype)
        if result is None:
            return self._first(a, b)
        if mode.recording and (followed or mode.tracer is not None):
            return dispatch.apply(self, (a, b), {})[0]
        device = a.device
        kernel = device.kernels[self, dtype, dtype]
        if kernel is None or not kernel.strided or b.device is not device:
            return dispatch.apply(self, (a, b), {})[0]
        shape = a.shape
        if b.shape != shape:
            shape = broadcast_shapes(shape, b.shape)
        out = dispatch.make(device.empty(shape, result), result, shape, device)
        kernel.function(out, a, b)
        return out

    def _first(self, x: Tensor, y: Tensor) -> Tensor:
        """Apply the op to a dtype for the first time; integers become floats where it asks."""
        if self.meta is broadcast_float and not is_floating(x.dtype):
            x, y = x.float(), y.float()
        self.result[x.dtype] = self.meta(x, y)[1]
        return dispatch.apply(self, (x, y), {})[0]


def _unary(name: str, doc: str, *, meta: Any = same, differentiable: bool = True) -> Unary:
    return Unary(name, meta=meta, differentiable=differentiable, doc=doc)


def _binary(name: str, doc: str, *, meta: Any = broadcast, differentiable: bool = True) -> Binary:
    return Binary(name, meta=meta, differentiable=differentiable, doc=doc)


# Arithmetic -------------------------------------------------------------------------------------

add = _binary("add", "Return x + y.")
add.vjp("x")(lambda grad: grad)
add.vjp("y")(lambda grad: grad)

sub = _binary("sub", "Return x - y.")
sub.vjp("x")(lambda grad: grad)
sub.vjp("y")(lambda grad: -grad)

mul = _binary("mul", "Return x * y.")
mul.vjp("x")(lambda grad, y: grad * y)
mul.vjp("y")(lambda grad, x: grad * x)

div = _binary("div", "Return x / y, the true quotient; integers give floats.", meta=broadcast_float)
div.vjp("x")(lambda grad, y: grad / y)
div.vjp("y")(lambda grad, y, out: -grad * out / y)

floor_div = _binary("floor_div", "Return the quotient rounded down.", differentiable=False)

pow = _binary("pow", "Return x to the power of y.")


@pow.vjp("x")
def _(grad: Tensor, x: Tensor, y: Tensor) -> Tensor:
    # y * x^(y-1) is 0 * inf where x = 0 and y = 0; the derivative of a constant is 0.
    return grad * where(y == 0, 0.0, y * pow(x, where(y == 0, 1.0, y - 1)))


@pow.vjp("y")
def _(grad: Tensor, x: Tensor, y: Tensor, out: Tensor) -> Tensor:
    # At x = 0 and y >= 0 the limit of x^y log(x) is taken as 0.
    return grad * where((x == 0) & (y >= 0), 0.0, out * log(where(x == 0, 1.0, x)))


maximum = _binary("maximum", "Return the larger of x and y; NaN where either is NaN.")
minimum = _binary("minimum", "Return the smaller of x and y; NaN where either is NaN.")


def _share(x: Tensor, y: Tensor) -> Tensor:
    """Where two candidates tie, each takes half of the gradient."""
    return where(x == y, 0.5, 1.0)


maximum.vjp("x")(lambda grad, x, y: where(x >= y, grad * _share(x, y), 0.0))
maximum.vjp("y")(lambda grad, x, y: where(y >= x, grad * _share(x, y), 0.0))
minimum.vjp("x")(lambda grad, x, y: where(x <= y, grad * _share(x, y), 0.0))
minimum.vjp("y")(lambda grad, x, y: where(y <= x, grad * _share(x, y), 0.0))

# Functions of one tensor ------------------------------------------------------------------------

neg = _unary("neg", "Return -x.")
neg.vjp("x")(lambda grad: -grad)

sign = _unary("sign", "Return -1, 0 or 1; NaN stays NaN.", differentiable=False)

abs = _unary("abs", "Return the absolute value.")
abs.vjp("x")(lambda grad, x: grad * sign(x))

exp = _unary("exp", "Return e to the power of x.", meta=same_float)
exp.vjp("x")(lambda grad, out: grad * out)

log = _unary("log", "Return the natural logarithm.", meta=same_float)
log.vjp("x")(lambda grad, x: grad / x)

sqrt = _unary("sqrt", "Return the square root.", meta=same_float)
sqrt.vjp("x")(lambda grad, out: grad * 0.5 / out)

sin = _unary("sin", "Return the sine of radians.", meta=same_float)
cos = _unary("cos", "Return the cosine of radians.", meta=same_float)
sin.vjp("x")(lambda grad, x: grad * cos(x))
cos.vjp("x")(lambda grad, x: -grad * sin(x))

tanh = _unary("tanh", "Return the hyperbolic tangent.", meta=same_float)
tanh.vjp("x")(lambda grad, out: grad * (1.0 - out * out))

erf = _unary("erf", "Return the error function 2/sqrt(pi) * int_0^x exp(-t^2) dt.", meta=same_float)
erf.vjp("x")(lambda grad, x: grad * (2.0 / math.sqrt(math.pi)) * exp(-(x * x)))

floor = _unary("floor", "Return the largest integer not above x.", differentiable=False)
ceil = _unary("ceil", "Return the smallest integer not below x.", differentiable=False)
round = _unary("round", "Return the nearest integer, halves to even.", differentiable=False)

mod = _binary("mod", "Return x - y * floor(x / y), which has the sign of y.")
mod.vjp("x")(lambda grad: grad)
mod.vjp("y")(lambda grad, x, y: -grad * floor(x / y))

# Comparison and logic ---------------------------------------------------------------------------


def _comparison(name: str, doc: str) -> Binary:
    return _binary(name, doc, meta=broadcast_bool, differentiable=False)


eq = _comparison("eq", "Return where x equals y.")
ne = _comparison("ne", "Return where x differs from y; NaN differs from itself.")
lt = _comparison("lt", "Return where x is less than y.")
le = _comparison("le", "Return where x is at most y.")
gt = _comparison("gt", "Return where x is greater than y.")
ge = _comparison("ge", "Return where x is at least y.")

bitwise_and = _binary("bitwise_and", "Return x & y of integers or bools.", differentiable=False)
bitwise_or = _binary("bitwise_or", "Return x | y of integers or bools.", differentiable=False)
bitwise_xor = _binary("bitwise_xor", "Return x ^ y of integers or bools.", differentiable=False)
shift_right = _binary(
    "shift_right", "Return x >> y of integers; the sign is kept.", differentiable=False
)
logical_not = _unary("logical_not", "Return where x is zero.", meta=same_bool, differentiable=False)


def invert(x: Tensor) -> Tensor:
    """Return where a bool is False, or the complement of an integer's bits."""
    return logical_not(x) if x.dtype == bool_ else bitwise_xor(x, -1)


def isnan(x: Tensor) -> Tensor:
    """Return where x is NaN."""
    return ne(x, x)


def isfinite(x: Tensor) -> Tensor:
    """Return where x is neither NaN nor infinite."""
    return lt(abs(x), math.inf)


# Choice and conversion --------------------------------------------------------------------------


def _where_meta(condition: Any, x: Any, y: Any) -> TensorMeta:
    shape = broadcast_all((condition.shape, x.shape, y.shape))
    return TensorMeta(shape, promote(x.dtype, y.dtype))


_where = Op("where", meta=_where_meta)
_where.vjp("x")(lambda grad, condition: where(condition, grad, 0.0))
_where.vjp("y")(lambda grad, condition: where(condition, 0.0, grad))


def where(condition: Tensor, x: TensorLike, y: TensorLike) -> Tensor:
    """Return x where the condition holds and y elsewhere, broadcast together.

    Args:
        condition: Bools; of another dtype, whatever is not zero.
        x: A tensor or a Python scalar.
        y: A tensor or a Python scalar.
    """
    if condition.dtype != bool_:
        condition = ne(condition, 0)
    if isinstance(x, (bool, int, float)) and isinstance(y, (bool, int, float)):
        dtype = scalar_dtype(y, scalar_dtype(x, bool_))
        x, y = constant(x, dtype, condition.device), constant(y, dtype, condition.device)
    else:
        x, y = operands(x, y)
    return _where(condition, x, y)


def _cast_meta(x: Any, *, dtype: DType) -> TensorMeta:
    return TensorMeta(x.shape, dtype)


cast = Op("cast", meta=_cast_meta, doc="Return x in another dtype; floats to integers truncate.")
# The gradient of a cast is cast back where the tape hands it to the input.
cast.vjp("x")(lambda grad: grad)


def clip(x: Tensor, min: TensorLike | None = None, max: TensorLike | None = None) -> Tensor:
    """Return x limited to the range from ``min`` to ``max``; None leaves a side open."""
    if min is None and max is None:
        raise DTypeError("clip needs a minimum, a maximum or both")
    if min is not None:
        x = where(x < min, min, x)
    if max is not None:
        x = where(x > max, max, x)
    return x
