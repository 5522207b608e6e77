"""Tracing: what is recorded, what is refused, and that nothing else changes."""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

import numpy as np
import pytest

import neurenix
from neurenix import Tensor, nn
from neurenix.backends import Device
from neurenix.errors import TraceError
from neurenix.graph import Plan, TensorMeta, trace, trace_function
from neurenix.ops.mode import mode


class Pair(NamedTuple):
    first: Tensor
    second: Tensor


class Nested(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)

    def forward(self, x: Tensor, others: dict[str, Any], factor: float = 2.0) -> Any:
        y = self.linear(x) * factor
        return {"pair": Pair(y, others["a"]), "list": [y + others["b"][0], None, 3], "x": x}


def test_a_graph_names_what_it_captures() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2, bias=False))
    graph = trace(module, TensorMeta((5, 3), neurenix.float32)).validate()
    assert [node.op.name for node in graph.nodes] == ["linear", "relu", "linear"]
    assert [value.name for value in graph.captured] == ["0.weight", "0.bias", "2.weight"]
    assert graph.captured[0].tensor is module[0].weight
    assert [str(value) for value in graph.outputs] == ["float32[5, 2]"]
    assert graph.is_pure


def test_a_graph_reads_like_code() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    text = str(trace(module, TensorMeta((5, 3), neurenix.float32)))
    assert text.splitlines()[0] == "graph Sequential(x: float32[5, 3]) on cpu:"
    assert "v0 = linear(x, 0.weight, 0.bias)" in text
    assert "v1 = relu(v0)" in text
    assert text.endswith("return v1")
    doubled = str(trace_function(lambda x: 2.5 * x, TensorMeta((2,), neurenix.float32)))
    assert "mul(2.5, x)" in doubled


def test_nothing_is_computed_and_no_parameter_changes() -> None:
    module = nn.BatchNorm1d(3)
    before = {name: value.numpy().copy() for name, value in module.state_dict().items()}
    graph = trace(module, TensorMeta((1 << 40, 3), neurenix.float32))
    assert graph.outputs[0].shape == (1 << 40, 3)
    assert not graph.is_pure
    for name, value in module.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])


def test_inputs_and_outputs_nest() -> None:
    module = Nested()
    x, a, b = (neurenix.randn(shape) for shape in ((4, 3), (2,), (4, 2)))
    others = {"a": a, "b": (b,)}
    plan = Plan(trace(module, x, others, 0.5).validate())
    found = plan(x, others, 0.5)
    assert isinstance(found["pair"], Pair)
    assert found["list"][1:] == [None, 3]
    assert found["x"] is x
    assert found["pair"].second is a
    with neurenix.no_grad():
        expected = module(x, others, 0.5)
    np.testing.assert_allclose(found["list"][0].numpy(), expected["list"][0].numpy(), rtol=1e-6)
    with pytest.raises(neurenix.errors.ShapeError, match="another structure"):
        plan(x, others, 0.75)


@pytest.mark.parametrize(
    "read",
    [
        lambda x: x.sum().item(),
        lambda x: bool((x > 0).all()),
        lambda x: float(x[0, 0]),
        lambda x: x.numpy(),
        lambda x: x.tolist(),
        lambda x: np.asarray(x),
        lambda x: x[x > 0],
        lambda x: x[x.argmax()],
    ],
    ids=["item", "bool", "float", "numpy", "tolist", "asarray", "mask", "index"],
)
def test_a_value_that_only_a_run_has_raises(read: Any) -> None:
    with pytest.raises(TraceError, match="value"):
        trace_function(read, TensorMeta((2, 3), neurenix.float32))
    assert mode.tracer is None


def test_nonzero_raises() -> None:
    with pytest.raises(TraceError, match="depends on values"):
        trace_function(lambda x: x.nonzero(), TensorMeta((3,), neurenix.float32))


def test_the_error_names_the_line() -> None:
    def branches(x: Tensor) -> Tensor:
        if x.sum() > 0:  # the line to be named
            return x
        return -x

    with pytest.raises(TraceError, match=r"test_trace\.py, line \d+: .*the line to be named"):
        trace_function(branches, TensorMeta((2,), neurenix.float32))


def test_the_value_of_a_parameter_is_not_frozen_into_the_graph() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(neurenix.full((), 3.0))

        def forward(self, x: Tensor) -> Tensor:
            return x * self.scale.item()

    with pytest.raises(TraceError, match=r"value of scale.*self\.scale\.item\(\)"):
        trace(Scaled(), TensorMeta((2,), neurenix.float32))
    constant = trace_function(lambda x: x * Tensor([2.0]).item(), neurenix.ones((2,)))
    assert Plan(constant)(neurenix.ones((2,))).tolist() == [2.0, 2.0]


def test_random_draws_raise_and_say_why() -> None:
    module = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5))
    example = TensorMeta((2, 3), neurenix.float32)
    with pytest.raises(TraceError, match="differ from run to run"):
        trace(module, example)
    assert [node.op.name for node in trace(module.eval(), example).nodes] == ["linear"]


def test_allowed_random_draws_are_those_of_eager_execution() -> None:
    module = nn.Sequential(nn.Dropout(0.5), nn.Linear(8, 8), nn.Dropout(0.3))
    x = neurenix.randn((4, 8))
    plan = Plan(trace(module, x, allow_random=True).validate())
    assert len(plan.graph.keys) == 2
    assert not plan.graph.is_pure
    neurenix.manual_seed(7)
    ours = [plan(x).numpy() for _ in range(2)]
    neurenix.manual_seed(7)
    with neurenix.no_grad():
        theirs = [module(x).numpy() for _ in range(2)]
    np.testing.assert_array_equal(ours, theirs)
    assert not np.array_equal(ours[0], ours[1])


def test_modes_are_restored_after_an_error_and_are_of_one_thread() -> None:
    seen: list[bool] = []

    def fails(x: Tensor) -> Tensor:
        assert mode.tracer is not None
        thread = threading.Thread(target=lambda: seen.append(mode.tracer is None and mode.grad))
        thread.start()
        thread.join()
        raise RuntimeError("from the traced code")

    with pytest.raises(RuntimeError, match="from the traced code"):
        trace_function(fails, TensorMeta((2,), neurenix.float32))
    assert seen == [True]
    assert mode.tracer is None
    assert mode.grad
    with neurenix.no_grad():
        trace_function(lambda x: x + 1, TensorMeta((2,), neurenix.float32))
        assert not mode.grad


def test_traces_do_not_nest() -> None:
    inner = TensorMeta((2,), neurenix.float32)
    with pytest.raises(TraceError, match="do not nest"):
        trace_function(lambda x: trace_function(lambda y: y + 1, inner) and x, inner)


def test_tensors_of_a_trace_cannot_leave_it() -> None:
    leaked: list[Tensor] = []

    def leaks(x: Tensor) -> Tensor:
        leaked.append(x + 1)
        return x

    trace_function(leaks, TensorMeta((2,), neurenix.float32))
    with pytest.raises(TraceError, match="made in a trace"):
        leaked[0] + 1
    with pytest.raises(TraceError, match="another trace"):
        trace_function(lambda x: x + leaked[0], TensorMeta((2,), neurenix.float32))
    assert "traced" in repr(leaked[0])


def test_a_graph_stays_on_one_device(twin: Device) -> None:
    x = neurenix.randn((2, 3))
    with pytest.raises(TraceError, match="cannot move from cpu to twin in a trace"):
        trace_function(lambda x: x.to(twin), x)
    other = neurenix.randn((2, 3)).to(twin)
    with pytest.raises(TraceError, match="one device"):
        trace_function(lambda x, y: (x + 1, y + 1), x, other)
    graph = trace(nn.Linear(3, 2).to(twin), TensorMeta((2, 3), neurenix.float32))
    assert graph.device is twin
    assert graph.outputs[0].device is twin


def test_results_that_are_no_tensors_raise() -> None:
    with pytest.raises(TraceError, match="a set is none of these"):
        trace_function(lambda x: {1, 2}, TensorMeta((2,), neurenix.float32))
    with pytest.raises(TraceError, match="of type object"):
        trace_function(lambda x: object(), TensorMeta((2,), neurenix.float32))


def test_tied_weights_are_one_value() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(3, 3, bias=False)
            self.second = nn.Linear(3, 3, bias=False)
            self.second.weight = self.first.weight

        def forward(self, x: Tensor) -> Tensor:
            return self.second(self.first(x)) + x @ self.first.weight.detach()

    graph = trace(Tied(), TensorMeta((2, 3), neurenix.float32)).validate()
    assert [value.name for value in graph.captured] == ["first.weight"]


def test_equal_views_are_one_value() -> None:
    def function(x: Tensor) -> Tensor:
        return x.T @ x + x.transpose(0, 1) @ x.detach()

    graph = trace_function(function, TensorMeta((3, 3), neurenix.float32))
    assert [node.op.name for node in graph.nodes].count("permute") == 1


def test_a_graph_that_is_wrong_is_found_out() -> None:
    from dataclasses import replace

    from neurenix.graph import GraphError

    graph = trace_function(lambda x: (x + 1) * 2, TensorMeta((2,), neurenix.float32)).validate()
    with pytest.raises(GraphError, match="before it is computed"):
        replace(graph, nodes=graph.nodes[::-1]).validate()
    with pytest.raises(GraphError, match="computed twice"):
        replace(graph, nodes=(*graph.nodes, graph.nodes[-1])).validate()
    with pytest.raises(GraphError, match="before it is computed"):
        replace(graph, nodes=()).validate()

    def writes(x: Tensor) -> Tensor:
        y = x + 1
        z = y * 2
        y[0] = 5.0
        return z + y

    graph = trace_function(writes, TensorMeta((2,), neurenix.float32)).validate()
    first, double, *rest = graph.nodes
    with pytest.raises(GraphError, match="after its storage was written"):
        replace(graph, nodes=(first, *rest[:-1], double, rest[-1])).validate()
