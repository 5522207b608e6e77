"""The op database: calls of every op, on plain arrays, from which all checks are made.

A call is an op, its inputs and its attributes, as a kernel sees them. The same calls serve
correctness, gradients and speed, on every device. Most are recorded from the samples of
`neurenix.testing.samples`, by watching what reaches the op; `calls_primitives` and
`calls_composites` add what those leave out: integers, NaN and infinity, ops without gradients,
and sizes worth timing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, TypeAlias

import numpy as np

import neurenix.ops.fused  # noqa: F401  (declares ops that only graphs use)
from neurenix.autograd import no_grad
from neurenix.backends import Device
from neurenix.backends.registry import host_device
from neurenix.dtypes import FLOATS, DType, compute_dtype, float64
from neurenix.errors import DTypeError, TraceError
from neurenix.ops import dispatch
from neurenix.ops.mode import mode
from neurenix.ops.op import OPS, Op, Shape
from neurenix.random import Generator
from neurenix.tensor import Tensor
from neurenix.testing.samples import constants_on, samples_of

Array: TypeAlias = np.ndarray[Any, Any]

LARGE = "large"
"""The label of a call that is worth timing."""


@dataclass(frozen=True, eq=False)
class Call:
    """One call of an op.

    Attributes:
        op: The op.
        label: Tells the op's calls apart.
        inputs: Its inputs; None where the op leaves one out. Arrays of float64 stand for any
            floating dtype, those of other dtypes for themselves.
        attrs: Its attributes.
        wide: The places of inputs that have the dtype which the op computes in: statistics, which
            are float32 beside values of 16 bits.
    """

    op: Op
    label: str
    inputs: tuple[Array | None, ...] = field(repr=False)
    attrs: Mapping[str, Any] = field(default_factory=dict, repr=False)
    wide: tuple[int, ...] = ()

    @property
    def floating(self) -> bool:
        """Whether it stands for calls in every floating dtype."""
        return any(x is not None and x.dtype == float64 for x in self.inputs)

    @property
    def dtype(self) -> DType:
        """The dtype that a call of fixed dtypes is filed under: that of the values it works on."""
        given: DType | None = self.attrs.get("dtype")
        if given is not None and not self.inputs:
            return given
        x = self.inputs[1 if self.op.name == "where" else 0]
        assert x is not None
        dtype: DType = x.dtype
        return dtype

    def dtypes(self) -> tuple[DType, ...]:
        """Return the dtypes in which it can be made."""
        return FLOATS if self.floating else (self.dtype,)

    def cast(self, dtype: DType) -> Call:
        """Return the call with its float64 inputs rounded to a dtype."""
        wide = compute_dtype(dtype)
        inputs = tuple(
            x.astype(wide if place in self.wide else dtype)
            if x is not None and x.dtype == float64
            else x
            for place, x in enumerate(self.inputs)
        )
        return replace(self, inputs=inputs)

    def rounded(self, dtype: DType) -> Call:
        """Return the call in float64 whose inputs are numbers that a dtype holds."""
        if not self.floating:
            return self
        inputs = tuple(
            y if x is None or y is None or x.dtype != float64 else y.astype(float64)
            for x, y in zip(self.inputs, self.cast(dtype).inputs, strict=True)
        )
        return replace(self, inputs=inputs)

    def repeating(self) -> Call | None:
        """Return the call with inputs that are constant along their first axis, if it has any."""
        if not any(x is not None and x.ndim and x.size for x in self.inputs):
            return None
        inputs = tuple(
            x if x is None or not x.ndim else np.array(np.broadcast_to(x[:1], x.shape))
            for x in self.inputs
        )
        return replace(self, inputs=inputs)

    def __str__(self) -> str:
        return f"{self.op.name}-{self.label}"


CallGenerator: TypeAlias = Callable[[np.random.Generator], Iterable[Call]]
_GENERATORS: list[tuple[frozenset[str], CallGenerator]] = []


def caller(*ops: str) -> Callable[[CallGenerator], CallGenerator]:
    """Register a generator of calls of some ops; it is given NumPy's random generator."""

    def register(generator: CallGenerator) -> CallGenerator:
        _GENERATORS.append((frozenset(ops), generator))
        return generator

    return register


def call(name: str, label: str, *inputs: Any, wide: Any = (), **attrs: Any) -> Call:
    """Return a call; inputs are arrays, what becomes one, or None."""
    arrays = tuple(None if x is None else np.asarray(x) for x in inputs)
    return Call(OPS[name], label, arrays, attrs, wide)


@cache
def calls_of(name: str) -> tuple[Call, ...]:
    """Return the calls of an op; those of one dtype have labels that differ."""
    from neurenix.testing import calls_composites, calls_primitives  # noqa: F401  (register)

    found = list(_recorded(name))
    rng = np.random.default_rng(sum(name.encode()))
    for names, generator in _GENERATORS:
        if name in names:
            found += [made for made in generator(rng) if made.op.name == name]
    met: Counter[tuple[str, DType]] = Counter()
    for place, made in enumerate(found):
        met.update((made.label, dtype) for dtype in made.dtypes())
        count = max(met[made.label, dtype] for dtype in made.dtypes())
        if count > 1:
            found[place] = replace(made, label=f"{made.label} #{count}")
    return tuple(found)


def op_names() -> list[str]:
    """Return the names of all ops that the project declares and that work on one device."""
    return sorted(name for name in OPS if name != "to_device")


def _recorded(name: str) -> Iterator[Call]:
    """Yield the calls of an op that its samples make."""
    device = host_device()
    with constants_on(device):
        samples = samples_of(name)
    for sample in samples:
        recorder = _Recorder(name)
        with no_grad(), constants_on(device):
            tensors = [Tensor(x, device=device) for x in sample.inputs]
            mode.set(grad=False, tracer=recorder)
            try:
                sample.function(*tensors)
            except (TraceError, DTypeError):  # its shape depends on values; it takes no floats
                continue
            finally:
                mode.set(grad=False, tracer=None)
        if recorder.call is not None:
            yield Call(OPS[name], sample.label, *recorder.call)


class _Recorder:
    """Runs ops where a trace would record them, and keeps the first call of one op."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.call: tuple[tuple[Array | None, ...], dict[str, Any]] | None = None

    def record(
        self,
        op: Op,
        inputs: tuple[Tensor | None, ...],
        attrs: dict[str, Any],
        device: Device | None = None,
    ) -> tuple[Tensor, ...]:
        mode.set(grad=False, tracer=None)
        try:
            if op.name == self.name and self.call is None:
                self.call = tuple(None if x is None else x.numpy().copy() for x in inputs), attrs
            return dispatch.execute(op, inputs, attrs, device)
        finally:
            mode.set(grad=False, tracer=self)

    def allocate(self, shape: Shape, dtype: DType, device: Device) -> Tensor:
        return dispatch.make(device.empty(shape, dtype), dtype, shape, device)

    def write(self, out: Tensor, source: Tensor) -> None:
        mode.set(grad=False, tracer=None)
        try:
            dispatch.copy_into(out, source)
        finally:
            mode.set(grad=False, tracer=self)

    def read(self, tensor: Tensor) -> None:
        """Let code read values: they are real."""

    def random_key(self, generator: Generator, device: Device) -> Tensor:
        mode.set(grad=False, tracer=None)
        try:
            return generator.next_key(device)
        finally:
            mode.set(grad=False, tracer=self)
