"""Calibration: how far activations go, by core's executor, for graphs of the same ops."""

from __future__ import annotations

import math

import numpy as np
import pytest

import neurenix
from neurenix import Tensor, nn
from neurenix.errors import PrecisionError
from neurenix.graph import Graph, GraphError, Precision, TensorMeta, calibrate, optimize, trace
from neurenix.graph.passes import lower_mapped


def network() -> nn.Module:
    neurenix.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(16, 5),
    ).eval()  # fmt: skip


def graph_of(module: nn.Module, *shape: int) -> Graph:
    return optimize(trace(module, TensorMeta(shape, neurenix.float32)))


def by_op(graph: Graph, ranges: dict[object, float]) -> dict[str, float]:
    return {node.op.name: ranges[node.outputs[0]] for node in graph.nodes}


def test_ranges_are_the_largest_absolute_values_over_all_calibration_inputs() -> None:
    module = network()
    graph = graph_of(module, 2, 3, 6, 6)
    inputs = [neurenix.randn((2, 3, 6, 6)) * scale for scale in (0.5, 3.0, 1.0)]
    ranges = calibrate(graph, [[x] for x in inputs]).ranges(graph)

    def largest(of: nn.Module) -> float:
        with neurenix.no_grad():
            return max(float(np.abs(of(x).numpy()).max()) for x in inputs)

    found = by_op(graph, dict(ranges))
    assert list(found) == ["conv2d", "relu", "max_pool2d", "reshape", "linear"]
    assert ranges[graph.inputs[0]] == max(float(np.abs(x.numpy()).max()) for x in inputs)
    assert found["conv2d"] == pytest.approx(largest(module[:2]), rel=1e-5)
    assert found["relu"] == pytest.approx(largest(module[:3]), rel=1e-5)
    assert found["reshape"] == found["max_pool2d"]
    assert found["linear"] == pytest.approx(largest(module), rel=1e-5)


def test_one_calibration_serves_other_sizes_of_batch_and_picture() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval()
    small, large = graph_of(module, 1, 3, 6, 6), graph_of(module, 8, 3, 9, 9)
    calibration = calibrate(small, [[neurenix.randn((1, 3, 6, 6))]])
    assert by_op(small, dict(calibration.ranges(small))) == by_op(
        large, dict(calibration.ranges(large))
    )
    other = graph_of(nn.Sequential(nn.Conv2d(3, 4, 3), nn.GELU()).eval(), 1, 3, 6, 6)
    with pytest.raises(PrecisionError, match="other ops"):
        calibration.ranges(other)


def test_joined_calibrations_are_that_of_all_inputs() -> None:
    graph = graph_of(network(), 1, 3, 6, 6)
    first, second = [neurenix.randn((1, 3, 6, 6))], [neurenix.randn((1, 3, 6, 6))]
    both = calibrate(graph, [first, second])
    joined = calibrate(graph, [first]).joined(calibrate(graph, [second]))
    assert joined == both
    assert joined.digest == both.digest
    assert joined.digest != calibrate(graph, [first]).digest


class Masked(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return neurenix.softmax(neurenix.where(x > 0, x, -math.inf), axis=-1)


def test_values_that_are_not_finite_have_no_range() -> None:
    graph = graph_of(Masked(), 2, 3)
    ranges = calibrate(graph, [[neurenix.Tensor([[1.0, -1.0, 2.0], [1.0, 2.0, 4.0]])]]).ranges(
        graph
    )
    assert ranges[graph.inputs[0]] == 4.0
    masked = next(node.outputs[0] for node in graph.nodes if node.op.name == "where")
    assert masked not in ranges
    assert ranges[graph.outputs[0]] <= 1.0
    assert all(value.dtype == neurenix.float32 for value in ranges)


def test_what_cannot_be_calibrated_says_why() -> None:
    graph = graph_of(network(), 1, 3, 6, 6)
    with pytest.raises(PrecisionError, match="without inputs"):
        calibrate(graph, [])
    for bad in (math.nan, math.inf):
        with pytest.raises(PrecisionError, match="its input x holds values that are not finite"):
            calibrate(graph, [[neurenix.full((1, 3, 6, 6), bad)]])
    training = trace(network().train(), TensorMeta((2, 3, 6, 6), neurenix.float32))
    with pytest.raises(GraphError, match="its runs change something"):
        calibrate(training, [[neurenix.randn((2, 3, 6, 6))]])


def test_measuring_changes_nothing_of_the_graph_that_is_measured() -> None:
    graph = graph_of(network(), 1, 3, 6, 6)
    before = str(graph)
    calibrate(graph, [[neurenix.randn((1, 3, 6, 6))]])
    assert str(graph.validate()) == before


def test_ranges_follow_their_values_into_a_lowered_graph() -> None:
    graph = graph_of(nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)).eval(), 2, 4)
    ranges = calibrate(graph, [[neurenix.randn((2, 4))]]).ranges(graph)
    lowered, values = lower_mapped(graph, lambda op, inputs, attrs: op.name == "linear")
    assert len(lowered.nodes) > len(graph.nodes)
    carried = Precision("int8", ranges).mapped(values).ranges
    assert carried[lowered.inputs[0]] == ranges[graph.inputs[0]]
    assert carried[lowered.outputs[0]] == ranges[graph.outputs[0]]
    assert {*carried} <= {*lowered.inputs, *(v for node in lowered.nodes for v in node.outputs)}
