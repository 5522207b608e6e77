"""Graphs: traced computations, the passes that improve them, and plans that run them.

    graph = trace(module, TensorMeta((1, 3, 224, 224), neurenix.float32))
    print(graph)
    plan = Plan(graph)

`compile` does this for modules and training steps, as calls come in. Graphs are data: `passes` are
functions from graph to graph, `frozen_nodes` finds what training leaves as it is, `subgraph` cuts
parts out.
"""

from neurenix.graph.compile import (
    Compiled,
    compile,  # noqa: A004  (the name that the field gives it)
)
from neurenix.graph.compiled_function import CompiledFunction
from neurenix.graph.constants import Constants
from neurenix.graph.executable import (
    Executable,
    available_precisions,
    check_precision,
    make_executable,
    make_narrow_executable,
)
from neurenix.graph.frozen import FrozenPart, dependents, frozen_nodes, subgraph
from neurenix.graph.graph import Graph, GraphError, Node, RandomKey, Storage, Value
from neurenix.graph.plan import Plan, check_inputs, optimize
from neurenix.graph.precision import (
    PRECISIONS,
    Calibration,
    Precision,
    PrecisionName,
    RangeMeter,
    calibrate,
)
from neurenix.graph.recorded_plan import KernelCall, Operand, PlanMemory, RecordedPlan, Recording
from neurenix.graph.trace import trace, trace_function
from neurenix.ops.op import TensorMeta

__all__ = [
    "PRECISIONS",
    "Calibration",
    "Compiled",
    "CompiledFunction",
    "Constants",
    "Executable",
    "FrozenPart",
    "Graph",
    "GraphError",
    "KernelCall",
    "Node",
    "Operand",
    "Plan",
    "PlanMemory",
    "Precision",
    "PrecisionName",
    "RandomKey",
    "RangeMeter",
    "RecordedPlan",
    "Recording",
    "Storage",
    "TensorMeta",
    "Value",
    "available_precisions",
    "calibrate",
    "check_inputs",
    "check_precision",
    "compile",
    "dependents",
    "frozen_nodes",
    "make_executable",
    "make_narrow_executable",
    "optimize",
    "subgraph",
    "trace",
    "trace_function",
]
