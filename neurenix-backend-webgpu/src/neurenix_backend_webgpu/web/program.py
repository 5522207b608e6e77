"""From a model to the program that the page carries out in plain JavaScript.

A program is data for JSON: tensors, each a constant or a place in a buffer, and steps that name an
op, its operands and its attributes. Every operand lies dense; what reads a view gets a copy of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neurenix.dtypes import bool_, float32, int32
from neurenix.graph import Constants, Graph, Node, TensorMeta, Value, optimize, trace
from neurenix.graph.passes import fold_constants, lower, plan_memory, remove_dead_code
from neurenix.ops.op import Op
from neurenix.ops.shapes import element_count
from neurenix_backend_webgpu.web.constants import constant_tensor, unused_name
from neurenix_backend_webgpu.web.dense import make_dense
from neurenix_backend_webgpu.web.errors import WebExportError

if TYPE_CHECKING:
    from neurenix import Tensor
    from neurenix.graph.trace import TracedModule

# The names in the table of `site/kernels/table.js`, which a test compares with these.
# fmt: off
JAVASCRIPT_OPS = frozenset(
    {
        "abs", "adaptive_avg_pool2d", "add", "avg_pool2d", "batch_norm_inference", "cast",
        "ceil", "concat", "conv2d", "copy", "cos", "div", "eq", "erf", "exp", "fill",
        "floor", "ge", "gelu", "gt", "layer_norm", "le", "leaky_relu", "linear", "log",
        "log_softmax", "logical_not", "lt", "matmul", "max", "max_pool2d", "maximum", "min",
        "minimum", "mul", "ne", "neg", "pad", "pow", "prod", "relu", "round", "sigmoid",
        "sign", "silu", "sin", "softmax", "sqrt", "sub", "sum", "tanh", "where",
    }
)
# fmt: on
_DTYPES = (float32, int32, bool_)


@dataclass(frozen=True)
class WebProgram:
    """A model as the page runs it in JavaScript.

    Attributes:
        steps: The program, for JSON.
        constants: The tensors that it names.
    """

    steps: dict[str, Any]
    constants: dict[str, Tensor]


def web_graph(model: TracedModule, input_shape: tuple[int, ...]) -> Graph:
    """Return the graph of a model in eval mode, its batch norms folded.

    Args:
        model: The model.
        input_shape: Of the one batch that the graph is for.
    """
    return optimize(trace(model, TensorMeta(input_shape, float32)))


def build_program(graph: Graph) -> WebProgram:
    """Return the program of a graph with one input and one output.

    Raises:
        WebExportError: There is no JavaScript for an op, or for a dtype.
    """
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise WebExportError(
            f"the page runs models of one input and one output; this one has {len(graph.inputs)} "
            f"and {len(graph.outputs)}"
        )
    lowered = remove_dead_code(lower(graph, _has_code))
    _check_code(graph, lowered)
    dense = make_dense(lowered, lambda node: node.op.name == "copy")
    if not all(value.is_dense for value in dense.outputs):
        raise WebExportError("the model's result is a view with gaps; return a copy of it")
    return _Builder(fold_constants(dense)).build()


def _has_code(op: Op, inputs: tuple[Any, ...], attrs: Mapping[str, Any]) -> bool:
    return op.name in JAVASCRIPT_OPS


def _check_code(graph: Graph, lowered: Graph) -> None:
    """Check that there is code for every op; the error names those that the model itself has."""
    # What is folded does not run in the page.
    for node in fold_constants(lowered).nodes:
        if node.op.view or (node.op.name in JAVASCRIPT_OPS and not node.op.donates):
            continue
        without = {each.op.name for each in graph.nodes if not each.op.view} - JAVASCRIPT_OPS
        names = ", ".join(map(repr, sorted(without))) or repr(node.op.name)
        raise WebExportError(
            f"the page cannot run the model's {names}: there is no JavaScript code for "
            f"{node.op.name!r}"
        )


class _Builder:
    """Numbers the tensors and buffers of a graph as its nodes name them."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._used = set(graph.outputs)
        self._used.update(value for node in graph.nodes for value in node.operands)
        self._memory = plan_memory(graph)
        folded = Constants(graph)
        folded.refresh()
        self._values = folded.values
        self._tensors: list[dict[str, Any]] = []
        self._numbers: dict[Value, int] = {}
        self._buffers: list[dict[str, Any]] = []
        self._places: dict[object, int] = {}
        self._constants: dict[str, Tensor] = {}

    def build(self) -> WebProgram:
        """Return the program."""
        (source,), (result,) = self._graph.inputs, self._graph.outputs
        first = self._number(source, "the input")
        steps = [self._step(node) for node in self._graph.nodes if not node.op.view]
        program = {
            "input": first,
            "output": self._number(result, "the result"),
            "buffers": self._buffers,
            "tensors": self._tensors,
            "steps": steps,
        }
        return WebProgram(program, self._constants)

    def _step(self, node: Node) -> dict[str, Any]:
        name = node.op.name
        # What only a gradient needs (places of maxima, statistics) is not computed.
        outputs = [v if n == 0 or v in self._used else None for n, v in enumerate(node.outputs)]
        if any(value is not None for value in outputs[1:]):
            raise WebExportError(
                f"the op {name!r} has JavaScript code for its result alone, and the model reads "
                "more of it"
            )
        return {
            "op": name,
            "inputs": [None if v is None else self._number(v, repr(name)) for v in node.inputs],
            "output": self._number(node.outputs[0], repr(name)),
            "attributes": {key: _for_json(value) for key, value in node.attrs.items()},
        }

    def _number(self, value: Value, what: str) -> int:
        found = self._numbers.get(value)
        if found is not None:
            return found
        if value.dtype not in _DTYPES:
            raise WebExportError(
                f"{what} is of {value.dtype}, for which there is no JavaScript code; there is for "
                f"{', '.join(map(str, _DTYPES))}"
            )
        entry: dict[str, Any] = {"dtype": str(value.dtype), "shape": list(value.shape)}
        constant = self._constant(value)
        if constant is not None:
            entry["constant"] = constant
        else:
            entry["buffer"] = self._buffer(value)
            if value.offset:
                entry["offset"] = value.offset
            if not value.is_dense:
                entry["strides"] = list(value.strides)
        self._numbers[value] = len(self._tensors)
        self._tensors.append(entry)
        return self._numbers[value]

    def _constant(self, value: Value) -> str | None:
        """Return the name of what no run changes; None for a value of the run."""
        tensor = constant_tensor(value, self._values)
        if tensor is None:
            return None
        name = unused_name(value.name, self._constants)
        self._constants[name] = tensor
        return name

    def _buffer(self, value: Value) -> int:
        """Return the number of the buffer that a value lies in."""
        slot = self._memory.slot_of.get(value.storage)
        place: object = value.storage if slot is None else slot
        found = self._places.get(place)
        if found is None:
            found = self._places[place] = len(self._buffers)
            size = value.size if slot is None else element_count(self._memory.slots[slot].shape)
            self._buffers.append({"dtype": str(value.dtype), "size": size})
        return found


def _for_json(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_for_json(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)  # a dtype
