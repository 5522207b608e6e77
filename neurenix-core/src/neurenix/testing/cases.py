"""Which calls are made at which level of the kit, in which dtype and layout."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from neurenix.backends.registry import host_device
from neurenix.dtypes import DType, float32
from neurenix.ops.op import OPS
from neurenix.testing.calls import LARGE, Call, calls_of, op_names
from neurenix.testing.layouts import LAYOUTS, Layout
from neurenix.testing.requirements import REQUIRED, is_required


class Case(NamedTuple):
    """A call in a dtype and a layout.

    Attributes:
        call: The call.
        dtype: Its dtype.
        layout: How its inputs lie in memory.
    """

    call: Call
    dtype: DType
    layout: Layout = "dense"

    def __str__(self) -> str:
        layout = "" if self.layout == "dense" else f"-{self.layout}"
        return f"{self.call.op.name}-{self.dtype}-{self.call.label}{layout}"


def names(kind: str, chosen: Iterable[str] | None = None) -> list[str]:
    """Return the names of ops of a kind: ``"primitive"``, ``"composite"`` or ``"view"``.

    Args:
        kind: The kind.
        chosen: Only these, where given.
    """
    found = []
    for name in op_names():
        op = OPS[name]
        its = "view" if op.view else "primitive" if op.decomposition is None else "composite"
        if its == kind and (chosen is None or name in chosen):
            found.append(name)
    return found


def value_cases(ops: Iterable[str]) -> Iterator[Case]:
    """Yield the calls of ops in every dtype that has a meaning for them."""
    for name in ops:
        kernel = host_device().kernels.native.get(name)
        for call in calls_of(name):
            for dtype in call.dtypes():
                if kernel is None or dtype in kernel.dtypes:
                    yield Case(call, dtype)


def layout_cases(ops: Iterable[str]) -> Iterator[Case]:
    """Yield the calls of ops in float32, or the dtypes required of them, in every layout."""
    for name in ops:
        op = OPS[name]
        # An output must not see one element many times, nor be anything but dense.
        layouts: tuple[Layout, ...] = ("offset",) if op.donates else LAYOUTS
        for call in calls_of(name):
            dtype = float32 if call.floating else call.dtype
            sizes = [x.size for x in call.inputs if x is not None]
            if call.label == LARGE or not sizes or 0 in sizes or not is_required(call, dtype):
                continue
            for layout in layouts:
                if layout != "repeated" or (call.floating and _may_repeat(call)):
                    yield Case(call, dtype, layout)


def _may_repeat(call: Call) -> bool:
    """Whether a slice may come many times: not where values are written, or ties are broken."""
    tied = {"scatter", "sort", "topk", "max_pool2d", "max_pool2d_values", "put"}
    return call.op.name not in tied and call.repeating() is not None


def gradient_cases(ops: Iterable[str]) -> Iterator[Case]:
    """Yield the calls of ops through which gradients flow, in float32."""
    for name in ops:
        op = OPS[name]
        if not (op.rules or op.decomposition is not None) or not op.differentiable:
            continue
        for call in calls_of(name):
            special = "nan" in call.label or call.label in (LARGE, "masked", "ties", "equal")
            if call.floating and not special and not _is_cast_to_integers(call):
                yield Case(call, float32)


def _is_cast_to_integers(call: Call) -> bool:
    target: DType | None = call.attrs.get("dtype")
    return target is not None and target != float32


def in_place_cases(ops: Iterable[str]) -> Iterator[Case]:
    """Yield one call of each op in float32, or a dtype that is required of it."""
    for name in ops:
        for call in calls_of(name):
            dtype = float32 if call.floating else call.dtype
            sizes = [x.size for x in call.inputs if x is not None]
            small = sizes and 0 not in sizes and call.label != LARGE
            if small and len(OPS[name].outputs) == 1 and is_required(call, dtype):
                yield Case(call, dtype)
                break


def required_kernels(ops: Iterable[str]) -> Iterator[tuple[str, DType]]:
    """Yield each primitive with each dtype in which every backend has to have it."""
    for name in ops:
        for dtype in sorted(REQUIRED[name], key=str):
            yield name, dtype
