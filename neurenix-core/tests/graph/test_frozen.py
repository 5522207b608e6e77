"""The frozen part of a graph, and graphs of parts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import neurenix
from neurenix import Tensor, nn
from neurenix.graph import (
    FrozenPart,
    Graph,
    GraphError,
    Plan,
    TensorMeta,
    frozen_nodes,
    subgraph,
    trace,
    trace_function,
)

IMAGES = TensorMeta((2, 3, 32, 32), neurenix.float32)


def frozen_of(module: nn.Module, *frozen: str) -> tuple[Graph, FrozenPart]:
    for name in frozen:
        module.get_submodule(name).requires_grad_(False)
    module.when_frozen = "eval"
    graph = trace(module, IMAGES, allow_random=True).validate()
    return graph, frozen_nodes(graph)


def ops_of(part: FrozenPart) -> list[str]:
    return [node.op.name for node in part.nodes]


def test_the_cut_of_a_resnet_lies_before_its_head() -> None:
    model = neurenix.models.resnet18(num_classes=2)
    model.requires_grad_(False)
    model.fc.requires_grad_(True)
    graph, part = frozen_of(model)
    assert part.nodes == graph.nodes[:-1]
    assert [str(value) for value in part.boundary] == ["float32[2, 512]"]


def test_the_cut_lies_where_the_first_trainable_layer_reads() -> None:
    model = neurenix.models.resnet18(num_classes=2)
    model.requires_grad_(False)
    model.layer4.requires_grad_(True)
    model.fc.requires_grad_(True)
    _, part = frozen_of(model)
    assert [str(value) for value in part.boundary] == ["float32[2, 256, 2, 2]"]


def test_a_boundary_may_have_several_values() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, 4, 3)
            self.left, self.right = nn.Conv2d(4, 4, 3), nn.Conv2d(3, 4, 5)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            y = self.stem(x)
            return self.left(y.relu()) + y[:, :, 1:-1, 1:-1], self.right(x)

    graph, part = frozen_of(Two(), "stem")
    assert [value.shape for value in part.boundary] == [
        (2, 4, 30, 30),
        (2, 4, 28, 28),
        (2, 3, 32, 32),
    ]
    assert part.boundary[-1] is graph.inputs[0]


def test_everything_may_be_frozen_and_nothing() -> None:
    graph, part = frozen_of(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten()), "0")
    assert part.nodes == graph.nodes
    assert part.boundary == graph.outputs
    graph, part = frozen_of(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten()))
    assert part.nodes == ()
    assert part.boundary == graph.inputs


def test_random_draws_end_the_frozen_part() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout(0.5), nn.Conv2d(4, 4, 3), nn.Flatten())
    _, part = frozen_of(module, "0")
    assert ops_of(part)[0] == "conv2d"
    assert "random_bits" not in ops_of(part)
    assert ops_of(part).count("conv2d") == 1
    assert part.boundary[0].shape == (2, 4, 30, 30)


def test_statistics_of_the_batch_end_the_frozen_part() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))
    module.requires_grad_(False)
    module[2].requires_grad_(True)
    module.when_frozen = "train"
    graph = trace(module, IMAGES)
    part = frozen_nodes(graph)
    assert "batch_norm_train" in [node.op.name for node in graph.nodes]
    assert ops_of(part) == ["conv2d"]
    # In eval mode, as what is frozen runs in transfer learning, the norm is frozen too.
    module.when_frozen = "eval"
    assert ops_of(frozen_nodes(trace(module, IMAGES))) == ["conv2d", "batch_norm_inference"]


def test_the_trainable_tensors_can_be_named() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 2)).eval()
    graph = trace(module, TensorMeta((2, 3), neurenix.float32))
    assert len(frozen_nodes(graph, [module[1].bias]).nodes) == 1
    assert len(frozen_nodes(graph, [module[2].weight.detach()]).nodes) == 2
    assert frozen_nodes(graph, []).nodes == graph.nodes


def test_masks_are_frozen_but_no_boundary() -> None:
    weight = nn.Parameter(neurenix.ones((4,)))

    def function(x: Tensor) -> Tensor:
        mask = neurenix.arange(4) > 1
        return neurenix.where(mask, (x * 2) * weight, 0.0)

    graph = trace_function(function, TensorMeta((2, 4), neurenix.float32))
    part = frozen_nodes(graph)
    assert ops_of(part) == ["iota", "gt", "mul"]
    assert [value.shape for value in part.boundary] == [(2, 4)]


def test_a_write_by_the_thawed_part_thaws_what_it_writes() -> None:
    weight = nn.Parameter(neurenix.ones((4,)))

    def function(x: Tensor) -> Tensor:
        y = x * 2
        z = y + 1
        with neurenix.no_grad():
            y[0] = weight.detach()
        return z * y

    graph = trace_function(function, TensorMeta((2, 4), neurenix.float32))
    part = frozen_nodes(graph, [weight])
    assert "mul" not in ops_of(part)
    assert part.boundary[0].name == "x"


@pytest.mark.parametrize("layer", ["fc", "layer4", "layer2"])
def test_both_parts_together_are_the_network(layer: str, assert_same: Callable[..., None]) -> None:
    model = neurenix.models.resnet18(num_classes=3)
    model.requires_grad_(False)
    model.get_submodule(layer).requires_grad_(True)
    graph = trace(model.eval(), IMAGES)
    part = frozen_nodes(graph)
    frozen = subgraph(graph, graph.inputs, part.boundary).validate()
    rest = subgraph(graph, part.boundary, graph.outputs, effects=True).validate()
    assert len(frozen.nodes) + len(rest.nodes) == len(graph.nodes)
    x = neurenix.randn(IMAGES.shape)
    features = Plan(frozen).run([x])
    (out,) = Plan(rest).run(features)
    with neurenix.no_grad():
        assert_same(out, model(x), rtol=1e-4)


def test_a_part_needs_all_that_it_reads() -> None:
    def function(x: Tensor, y: Tensor) -> Tensor:
        return (x + 1) * y

    meta = TensorMeta((2,), neurenix.float32)
    graph = trace_function(function, meta, meta)
    with pytest.raises(GraphError, match="depend on x1"):
        subgraph(graph, graph.inputs[:1], graph.outputs)
    part = subgraph(graph, graph.inputs[:1], [graph.nodes[0].outputs[0]])
    assert [node.op.name for node in part.nodes] == ["add"]


def test_a_boundary_that_is_a_view_is_given_dense(assert_same: Callable[..., None]) -> None:
    def function(x: Tensor) -> Tensor:
        y = (x * 2).T
        return y.reshape((6,)) + y[1:].transpose(0, 1).sum()

    x = neurenix.randn((2, 3))
    graph = trace_function(function, x).validate()
    view = graph.nodes[1].outputs[0]
    assert not view.is_dense
    rest = subgraph(graph, [view], graph.outputs).validate()
    (out,) = Plan(rest).run([(x * 2).T.contiguous()])
    assert_same(out, function(x))


def test_effects_belong_to_the_rest() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    model[0].requires_grad_(False)
    graph = trace(model, TensorMeta((5, 3), neurenix.float32))
    part = frozen_nodes(graph)
    assert ops_of(part) == ["linear"]
    frozen = subgraph(graph, graph.inputs, part.boundary)
    assert frozen.is_pure
    rest = subgraph(graph, part.boundary, graph.outputs, effects=True).validate()
    assert not rest.is_pure
    (features,) = Plan(frozen).run([neurenix.randn((5, 3))])
    Plan(rest).run([features])
    assert model[1].num_batches_tracked.item() == 1
