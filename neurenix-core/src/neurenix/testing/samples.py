"""Samples of every op: small inputs at which it, and its gradients, can be checked.

Elementwise ops are sampled from their declarations alone. Every other op has a generator here,
or in the module beside it; a test asserts that no op with gradient rules lacks one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

import neurenix.ops  # noqa: F401  (declares the ops)
from neurenix.backends import Device
from neurenix.ops.elementwise import Binary, Unary
from neurenix.ops.op import OPS
from neurenix.tensor import Tensor

Array: TypeAlias = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Sample:
    """One way to call an op.

    Attributes:
        op: The op's name.
        label: Tells the op's samples apart.
        function: From tensors to a tensor; it calls the op.
        inputs: The inputs to differentiate, float64 arrays.
        order: How often it can be differentiated with a meaning: 1 or 2.
    """

    op: str
    label: str
    function: Callable[..., Tensor]
    inputs: tuple[Array, ...] = field(repr=False)
    order: int = 2

    def __str__(self) -> str:
        return f"{self.op}-{self.label}"


Generator: TypeAlias = Callable[[np.random.Generator], Iterator[Sample]]
_GENERATORS: dict[str, list[Generator]] = {}


def sampler(*ops: str) -> Callable[[Generator], Generator]:
    """Register a generator of samples for ops; it is given NumPy's random generator."""

    def register(generator: Generator) -> Generator:
        for op in ops:
            _GENERATORS.setdefault(op, []).append(generator)
        return generator

    return register


def samples_of(name: str) -> list[Sample]:
    """Return the samples of an op, the same at every call."""
    from neurenix.testing import samples_movement, samples_nn  # noqa: F401  (register theirs)

    rng = np.random.default_rng(sum(name.encode()))
    op = OPS[name]
    found: list[Sample] = []
    if isinstance(op, Binary):
        found += _binary(op, rng)
    elif isinstance(op, Unary):
        found += _unary(op, rng)
    for generator in _GENERATORS.get(name, []):
        found += [sample for sample in generator(rng) if sample.op == name]
    return found


# Where a function is not smooth, samples keep away; where it is undefined, they stay inside.
_POSITIVE = {"log", "sqrt"}
_SHAPES: list[tuple[int, ...]] = [(3, 4), (), (0, 2), (2, 1, 3)]
_PAIRS: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((2, 3), (2, 3)),
    ((2, 1), (3,)),
    ((), (2, 2)),
    ((3, 1, 2), (1, 4, 1)),
    ((0, 2), (1, 2)),
]


def away_from_zero(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Return numbers of both signs, between 0.3 and 2 in size, no two of them close."""
    count = int(np.prod(shape))
    sizes = rng.permutation(np.linspace(0.3, 2.0, max(count, 1))[:count])
    signed: Array = sizes * rng.choice([-1.0, 1.0], count)
    return signed.reshape(shape)


def _unary(op: Unary, rng: np.random.Generator) -> Iterator[Sample]:
    for shape in _SHAPES:
        x = away_from_zero(rng, shape)
        x = np.abs(x) if op.name in _POSITIVE else x
        yield Sample(op.name, f"{shape}", op, (x,))


def _binary(op: Binary, rng: np.random.Generator) -> Iterator[Sample]:
    for a, b in _PAIRS:
        x, y = away_from_zero(rng, a), away_from_zero(rng, b)
        if op.name == "pow":
            x = np.abs(x)
        if op.name in ("maximum", "minimum", "mod"):
            y = y * 1.037  # no ties, and no whole quotients
        yield Sample(op.name, f"{a}, {b}", op, (x, y))
    yield from _with_scalar(op, rng)


def _with_scalar(op: Binary, rng: np.random.Generator) -> Iterator[Sample]:
    x = np.abs(away_from_zero(rng, (2, 3)))
    yield Sample(op.name, "scalar right", lambda x: op(x, 0.7), (x,))
    yield Sample(op.name, "scalar left", lambda x: op(0.7, x), (x,))


_home: ContextVar[Device | None] = ContextVar("home", default=None)


@contextmanager
def constants_on(device: Device) -> Iterator[None]:
    """Put what samples close over on a device, instead of the default one."""
    token = _home.set(device)
    try:
        yield
    finally:
        _home.reset(token)


def constant(value: Any) -> Tensor:
    """Return a tensor for a sample's function to close over."""
    return Tensor(value, device=_home.get())
