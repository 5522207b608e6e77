"""Each pass: what it changes, and what it must leave as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

import neurenix
from neurenix import Tensor, nn
from neurenix.backends import Device
from neurenix.backends.kernel_table import KernelTable
from neurenix.backends.registry import host_device
from neurenix.graph import Graph, Plan, TensorMeta, optimize, passes, trace, trace_function

IMAGES = TensorMeta((2, 3, 6, 6), neurenix.float32)


def ops_of(graph: Graph) -> list[str]:
    return [node.op.name for node in graph.nodes]


class ConvBatchNorm(nn.Module):
    def __init__(self, bias: bool = True, shared: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, bias=bias)
        self.bn = nn.BatchNorm2d(4)
        self.shared = shared

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        y = self.conv(x)
        return (self.bn(y), y) if self.shared else self.bn(y)


# Batch norm ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm_is_folded(bias: bool, affine: bool, compare: Callable[..., Plan]) -> None:
    module = ConvBatchNorm(bias)
    if not affine:
        module.bn = nn.BatchNorm2d(4, affine=False)
    with neurenix.no_grad():
        module.bn.running_mean.copy_(neurenix.randn((4,)))
        module.bn.running_var.copy_(neurenix.rand((4,)) + 0.1)
    module.eval()
    assert ops_of(optimize(trace(module, IMAGES)).validate()) == ["conv2d"]
    compare(module, neurenix.randn(IMAGES.shape))


def test_batch_norm_after_linear_is_folded_in_two_dimensions_only() -> None:
    flat = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).eval()
    graph = trace(flat, TensorMeta((2, 3), neurenix.float32))
    assert ops_of(optimize(graph)) == ["linear"]
    # Here the channels of the norm are axis 1, those of the linear layer axis 2.
    deep = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(5)).eval()
    graph = trace(deep, TensorMeta((2, 5, 3), neurenix.float32))
    assert ops_of(optimize(graph)) == ["linear", "batch_norm_inference"]


def test_batch_norm_is_not_folded_where_it_would_be_wrong() -> None:
    shared = trace(ConvBatchNorm(shared=True).eval(), IMAGES)
    assert "batch_norm_inference" in ops_of(optimize(shared))
    training = trace(ConvBatchNorm(), IMAGES)
    assert "batch_norm_train" in ops_of(optimize(training))
    half = ConvBatchNorm().to(dtype=neurenix.float16).eval()
    narrow = trace(half, TensorMeta(IMAGES.shape, neurenix.float16))
    assert "batch_norm_inference" in ops_of(optimize(narrow))

    def weights_from_inputs(x: Tensor, weight: Tensor, stats: Tensor) -> Tensor:
        return neurenix.ops.batch_norm(neurenix.ops.conv2d(x, weight), stats, stats)

    weight, stats = TensorMeta((4, 3, 3, 3), neurenix.float32), TensorMeta((4,), neurenix.float32)
    graph = trace_function(weights_from_inputs, IMAGES, weight, stats)
    assert "batch_norm_inference" in ops_of(optimize(graph))


# Constants ----------------------------------------------------------------------------------------


def test_what_depends_on_parameters_alone_is_in_the_prelude() -> None:
    weight = nn.Parameter(neurenix.randn((3, 3)))

    def function(x: Tensor) -> Tensor:
        mask = neurenix.arange(3).unsqueeze(1) >= neurenix.arange(3)
        return x @ neurenix.where(mask, weight.T * 2, 0.0)

    graph = optimize(trace_function(function, TensorMeta((2, 3), neurenix.float32)).validate())
    assert ops_of(graph.validate()) == ["matmul"]
    assert "mul" in [node.op.name for node in graph.prelude]


def test_changed_weights_are_seen(assert_same: Callable[..., None]) -> None:
    module = ConvBatchNorm().eval()
    plan = Plan(trace(module, IMAGES))
    x = neurenix.randn(IMAGES.shape)
    other = ConvBatchNorm()
    with neurenix.no_grad():
        assert_same(plan(x), module(x))
        before = plan(x).numpy()
        module.load_state_dict(other.state_dict())
        assert_same(plan(x), module(x))
        assert not np.array_equal(plan(x).numpy(), before)
        module.bn.running_var.fill_(4.0)
        assert_same(plan(x), module(x))


def test_memory_that_was_lent_may_change_unseen(assert_same: Callable[..., None]) -> None:
    array = np.ones(4, np.float32)
    module = ConvBatchNorm().eval()
    module.bn.weight = nn.Parameter(neurenix.from_numpy(array))
    plan = Plan(trace(module, IMAGES))
    x = neurenix.randn(IMAGES.shape)
    with neurenix.no_grad():
        assert_same(plan(x), module(x))
        array *= 3.0
        assert_same(plan(x), module(x))


def test_constants_are_kept_while_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan(trace(ConvBatchNorm().eval(), IMAGES))
    x = neurenix.randn(IMAGES.shape)
    plan(x)
    monkeypatch.setattr(plan._constants, "_compute", lambda: pytest.fail("computed again"))
    plan(x)


def test_what_a_step_writes_is_no_constant() -> None:
    weight = neurenix.ones((2,))

    def step(x: Tensor) -> Tensor:
        doubled = weight * 2
        weight.copy_(weight + x)
        return doubled

    plan = Plan(trace_function(step, neurenix.ones((2,))))
    assert [plan(neurenix.ones((2,))).tolist()[0] for _ in range(3)] == [2.0, 4.0, 6.0]


# Fusion -------------------------------------------------------------------------------------------


class Joined(nn.Module):
    """A convolution whose result meets something else."""

    def __init__(self, join: Callable[[Tensor, Tensor], object]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.join = join

    def forward(self, x: Tensor) -> object:
        return self.join(self.conv(x), x)


@pytest.mark.parametrize(
    ("join", "expected"),
    [
        (lambda y, x: (y + x).relu(), ["conv2d_fused"]),
        (lambda y, x: (x + y).relu(), ["conv2d_fused"]),
        (lambda y, x: x + y, ["conv2d_fused"]),
        (lambda y, x: y.relu(), ["conv2d_fused"]),
        (lambda y, x: y.relu() + x, ["conv2d_fused", "add"]),
        (lambda y, x: (y + 1.0).relu(), ["conv2d", "add", "relu"]),
        (lambda y, x: (y + x[:1]).relu(), ["conv2d", "slice", "add", "relu"]),
        (lambda y, x: (y + y).relu(), ["conv2d", "add", "relu"]),
        (lambda y, x: (y.relu(), y), ["conv2d", "relu"]),
        (lambda y, x: (y + x.transpose(2, 3)).relu(), ["permute", "copy", "conv2d_fused"]),
    ],
)
def test_what_follows_a_convolution_is_fused(
    join: Callable[[Tensor, Tensor], object], expected: list[str], compare: Callable[..., Plan]
) -> None:
    plan = compare(Joined(join).eval(), neurenix.randn((2, 3, 5, 5)))
    assert ops_of(plan.graph) == expected


def test_of_two_convolutions_one_takes_the_other_as_residual(compare: Callable[..., Plan]) -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

        def forward(self, x: Tensor) -> Tensor:
            return (self.a(x) + self.b(x)).relu()

    plan = compare(Two().eval(), neurenix.randn((2, 3, 4, 4)))
    assert ops_of(plan.graph) == ["conv2d", "conv2d_fused"]


def test_a_write_between_keeps_a_convolution_in_its_place(compare: Callable[..., Plan]) -> None:
    conv = nn.Conv2d(1, 1, 1).eval()

    def function(x: Tensor) -> tuple[Tensor, Tensor]:
        y = x * 2
        out = conv(y)
        y[0] = 0.0
        return (out + x).relu(), y

    plan = compare(function, neurenix.randn((2, 1, 2, 2)))
    assert "conv2d_fused" not in ops_of(plan.graph)


def test_pooling_whose_places_are_read_is_kept() -> None:
    def gradient(x: Tensor) -> Tensor:
        (grad,) = neurenix.grad(neurenix.ops.max_pool2d(x, 2).sum(), [x])
        return grad

    graph = trace_function(gradient, neurenix.randn((1, 1, 4, 4)).requires_grad_())
    assert "max_pool2d" in ops_of(Plan(graph).graph)
    forward = trace_function(lambda x: neurenix.ops.max_pool2d(x, 2), IMAGES)
    assert ops_of(Plan(forward).graph) == ["max_pool2d_values"]


# Dead code, dense copies, lowering ------------------------------------------------------------


def test_dead_code_goes_and_effects_stay() -> None:
    state = neurenix.zeros((3,))

    def function(x: Tensor) -> Tensor:
        (x * 3).exp()
        scratch = x + 1
        scratch[0] = 5.0
        state.copy_(x * 2)
        return x - 1

    example = TensorMeta((3,), neurenix.float32)
    graph = passes.remove_dead_code(trace_function(function, example)).validate()
    assert ops_of(graph) == ["mul", "assign", "sub"]


def test_kernels_that_read_dense_inputs_get_them(compare: Callable[..., Plan]) -> None:
    conv = nn.Conv2d(2, 2, 3).eval()
    x = neurenix.randn((1, 5, 5, 2))
    plan = compare(lambda x: (conv(x.permute(0, 3, 1, 2)), conv(x.permute(0, 3, 1, 2)).relu()), x)
    assert ops_of(plan.graph).count("copy") == 1


@pytest.fixture
def bare() -> Iterator[Device]:
    """A device that has kernels for primitives alone."""
    host, device = host_device(), Device("primitives")
    native = {
        name: kernel
        for name, kernel in host.kernels.native.items()
        if neurenix.ops.op.OPS[name].decomposition is None
    }
    device.backend, device.kernels, device.empty = host.backend, KernelTable(native), host.empty
    yield device
    device.backend = None


def test_composites_without_kernels_are_decomposed(
    bare: Device, assert_same: Callable[..., None]
) -> None:
    module = (
        nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(36, 5),
            nn.LayerNorm(5),
            nn.GELU(),
            nn.Softmax(-1),
        )
        .eval()
        .to(bare)
    )
    x = neurenix.randn(IMAGES.shape).to(bare)
    plan = Plan(trace(module, x).validate())
    plan.graph.validate()
    native = {*bare.kernels.native, "assign"}
    computed = {node.op.name for node in plan.graph.nodes if not node.op.view}
    assert computed <= native
    with neurenix.no_grad():
        assert_same(plan(x), module(x))


def test_a_result_that_is_written_in_parts_is_read_after_them(
    bare: Device, assert_same: Callable[..., None]
) -> None:
    def joined(x: Tensor) -> Tensor:
        return neurenix.concat([x * 2.0, x + 1.0], 1)  # decomposed: two writes, and a view of both

    x = neurenix.randn(IMAGES.shape).to(bare)
    graph = passes.lower(trace_function(joined, x)).validate()
    assert ops_of(graph)[-1] == "as_strided"
    assert_same(Plan(graph)(x), joined(x))


def test_a_training_step_runs_on_primitives(bare: Device, assert_same: Callable[..., None]) -> None:
    modules = [nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).to(bare) for _ in range(2)]
    modules[1].load_state_dict(modules[0].state_dict())
    x = neurenix.randn((5, 3)).to(bare)

    def step_of(module: nn.Module) -> Callable[[Tensor], Tensor]:
        optimizer = neurenix.optim.AdamW(module.parameters(), lr=0.1)

        def step(x: Tensor) -> Tensor:
            optimizer.zero_grad()
            loss = (module(x) ** 2).mean()
            loss.backward()
            optimizer.step()
            return loss.detach()

        step(x)
        return step

    ours, theirs = map(step_of, modules)
    plan = Plan(trace_function(ours, x).validate())
    plan.graph.validate()
    for _ in range(2):
        assert_same(plan(x), theirs(x))
    for a, b in zip(*(m.state_dict().values() for m in modules), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-6)
