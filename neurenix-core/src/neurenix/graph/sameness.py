"""Whether two graphs compute the same, from the same tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from neurenix.graph.graph import Graph, Value
    from neurenix.tensor import Tensor


def same_graph(a: Graph, b: Graph) -> bool:
    """Whether one graph may run in the other's place.

    The tensors from outside must be the same objects; numbers in the code, which each trace makes
    anew, need the same values.
    """
    if (len(a.nodes), len(a.inputs), len(a.outputs), len(a.keys)) != (
        len(b.nodes),
        len(b.inputs),
        len(b.outputs),
        len(b.keys),
    ) or a.device is not b.device:
        return False
    twins: dict[Value, Value] = {}

    def alike(x: Value | None, y: Value | None) -> bool:
        if x is None or y is None:
            return x is y
        if x.tensor is not None and y.tensor is not None:
            return x.tensor is y.tensor or _same_number(x.tensor, y.tensor)
        return twins.get(x) is y

    def define(x: Value, y: Value) -> bool:
        twins[x] = y
        return (x.shape, x.dtype, x.strides, x.offset) == (y.shape, y.dtype, y.strides, y.offset)

    for one, other in zip(a.keys, b.keys, strict=True):
        if one.generator is not other.generator or not define(one.value, other.value):
            return False
    if not all(map(define, a.inputs, b.inputs)):
        return False
    for node, twin in zip(a.nodes, b.nodes, strict=True):
        if (
            node.op is not twin.op
            or len(node.inputs) != len(twin.inputs)
            or not _same_attrs(node.attrs, twin.attrs)
            or not all(map(alike, node.inputs, twin.inputs))
            or not all(map(define, node.outputs, twin.outputs))
        ):
            return False
    return all(map(alike, a.outputs, b.outputs))


def _same_number(a: Tensor, b: Tensor) -> bool:
    if a.ndim or b.ndim or a.dtype != b.dtype or a.requires_grad or b.requires_grad:
        return False
    return bool(np.array_equal(a.detach().numpy(), b.detach().numpy(), equal_nan=True))


def _same_attrs(a: dict[str, Any], b: dict[str, Any]) -> bool:
    if a.keys() != b.keys():
        return False
    for name, value in a.items():
        other = b[name]
        if type(value) is not type(other) or not (value == other or value is other):
            return False
    return True
