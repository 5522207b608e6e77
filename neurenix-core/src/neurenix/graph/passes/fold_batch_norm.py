"""Batch normalisation by fixed statistics, folded into the layer before it.

``((W x + b) - mean) / sqrt(var + eps) * weight + bias`` is ``W' x + b'`` with
``s = weight / sqrt(var + eps)``, ``W' = s W`` and ``b' = (b - mean) s + bias``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from neurenix.dtypes import float32, float64
from neurenix.graph.passes.constant_folding import constant_values
from neurenix.graph.rewrite import rewrite
from neurenix.ops import elementwise as ew
from neurenix.ops import movement

if TYPE_CHECKING:
    from neurenix.graph.graph import Graph, Node
    from neurenix.graph.rewrite import Inputs, Rewriter
    from neurenix.tensor import Tensor

# Scaling weights of 16 bits would round them once more.
_DTYPES = (float32, float64)


def fold_batch_norm(graph: Graph) -> Graph:
    """Return the graph with batch norms folded into the convolution or linear layer before them.

    It is done where statistics, weights and biases are constants of the graph, and where nothing
    else reads what the layer gives.
    """
    constant = constant_values(graph)
    producers, counts = graph.producers(), graph.use_counts()

    def replace(node: Node, inputs: Inputs, rewriter: Rewriter) -> tuple[Tensor, ...] | None:
        source = node.inputs[0] if node.op.name == "batch_norm_inference" else None
        layer = None if source is None else producers.get(source)
        if source is None or layer is None:
            return None
        # The channels of a linear layer are its last axis: the one that is normalised in 2-d.
        if layer.op.name != "conv2d" and not (layer.op.name == "linear" and source.ndim == 2):
            return None
        parameters = [*layer.inputs[1:], *node.inputs[1:]]
        if counts[source] != 1 or not all(v is None or v in constant for v in parameters):
            return None
        if not all(v is None or v.dtype == source.dtype for v in parameters):
            return None
        if source.dtype not in _DTYPES:
            return None
        x, weight, bias = rewriter.operands(layer)
        folded = _folded(weight, bias, inputs, node.attrs["eps"])
        return layer.op.all(x, *folded, **layer.attrs)

    return rewrite(graph, replace)


def _folded(
    weight: Tensor | None, bias: Tensor | None, inputs: Inputs, eps: float
) -> tuple[Tensor, Tensor]:
    _, mean, var, scale, shift = inputs
    assert weight is not None
    assert mean is not None
    assert var is not None
    factor = 1.0 / ew.sqrt(var + eps)
    if scale is not None:
        factor = factor * scale
    centre = -mean if bias is None else bias - mean
    offset = centre * factor
    if shift is not None:
        offset = offset + shift
    column = movement.reshape(factor, (factor.size, *(1,) * (weight.ndim - 1)))
    return weight * column, offset
