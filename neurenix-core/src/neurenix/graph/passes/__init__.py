"""Passes: functions from a graph to a graph that computes the same with less work."""

from neurenix.graph.passes.constant_folding import constant_values, fold_constants
from neurenix.graph.passes.dead_code import remove_dead_code
from neurenix.graph.passes.dense import make_dense
from neurenix.graph.passes.fold_batch_norm import fold_batch_norm
from neurenix.graph.passes.fuse import fuse
from neurenix.graph.passes.lower import lower, lower_mapped
from neurenix.graph.passes.memory import MemoryPlan, plan_memory

__all__ = [
    "MemoryPlan",
    "constant_values",
    "fold_batch_norm",
    "fold_constants",
    "fuse",
    "lower",
    "lower_mapped",
    "make_dense",
    "plan_memory",
    "remove_dead_code",
]
