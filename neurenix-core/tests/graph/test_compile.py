"""neurenix.compile: when a plan runs, which one, and when the module itself."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import neurenix
from neurenix import Tensor, nn
from neurenix.backends import Device
from neurenix.errors import PlanError, TraceError
from neurenix.graph import Compiled, Graph, Plan, TensorMeta


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten()).eval()


def test_a_compiled_module_gives_what_the_module_gives(assert_same: Callable[..., None]) -> None:
    module = network()
    x = neurenix.randn((2, 3, 5, 5))
    plan = neurenix.compile(module, x)
    assert isinstance(plan, Compiled)
    assert "1 plans" in repr(plan)
    with neurenix.no_grad():
        assert_same(plan(x), module(x))
    assert not plan(x).requires_grad


def test_an_example_may_be_a_description() -> None:
    plan = neurenix.compile(network(), TensorMeta((2, 3, 5, 5), neurenix.float32))
    plan(neurenix.randn((2, 3, 5, 5)))
    assert "1 plans" in repr(plan)


def test_other_shapes_are_traced_when_they_come(assert_same: Callable[..., None]) -> None:
    module = network()
    plan = neurenix.compile(module)
    with neurenix.no_grad():
        for batch in (1, 2, 3, 2, 1):
            x = neurenix.randn((batch, 3, 5, 5))
            assert_same(plan(x), module(x))
    assert "3 plans" in repr(plan)
    for batch in range(1, 30):
        plan(neurenix.randn((batch, 3, 5, 5)))
    assert "16 plans" in repr(plan)


def test_keyword_arguments_and_nesting() -> None:
    class Scales(nn.Module):
        def forward(self, xs: Sequence[Tensor], *, by: float = 1.0) -> dict[str, Tensor]:
            return {"sum": sum(x * by for x in xs)}  # type: ignore[dict-item]

    plan = neurenix.compile(Scales(), fallback="error")
    xs = [neurenix.ones((2,)), neurenix.ones((2,))]
    assert plan(xs)["sum"].tolist() == [2.0, 2.0]
    assert plan(xs, by=3.0)["sum"].tolist() == [6.0, 6.0]
    assert plan(xs, by=3)["sum"].tolist() == [6.0, 6.0]
    assert plan(xs[:1])["sum"].tolist() == [1.0, 1.0]


def test_a_module_in_training_runs_itself_and_says_so_once() -> None:
    module = network().train()
    x = neurenix.randn((2, 3, 5, 5))
    plan = neurenix.compile(module)
    with pytest.warns(RuntimeWarning, match="trainable parameters and autograd is on") as caught:
        out = plan(x)
    assert caught[0].filename == __file__
    out.sum().backward()
    assert module[0].weight.grad is not None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plan(x)
        plan(x)


def test_batch_statistics_are_updated_by_the_module_itself() -> None:
    module = network().train()
    plan = neurenix.compile(module, fallback="silent")
    x = neurenix.randn((2, 3, 5, 5)) + 3.0
    with neurenix.no_grad():
        plan(x)
    assert module[1].num_batches_tracked.item() == 1


def test_dropout_in_training_mode_runs_eagerly() -> None:
    module = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5))
    plan = neurenix.compile(module)
    x = neurenix.randn((2, 8))
    with neurenix.no_grad(), pytest.warns(RuntimeWarning, match="differ from run to run"):
        first = plan(x)
    with neurenix.no_grad():
        assert not np.array_equal(first.numpy(), plan(x).numpy())
        module.eval()
        np.testing.assert_array_equal(plan(x).numpy(), plan(x).numpy())


def test_an_input_that_requires_a_gradient_gets_one() -> None:
    plan = neurenix.compile(network(), fallback="silent")
    x = neurenix.randn((2, 3, 5, 5)).requires_grad_()
    plan(x).sum().backward()
    assert x.grad is not None
    with neurenix.no_grad():
        assert not plan(x).requires_grad


class Branches(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum().item() > 0 else -x


def test_what_cannot_be_traced_runs_eagerly() -> None:
    with pytest.warns(RuntimeWarning, match=r"runs eagerly: .*x\.sum\(\)\.item\(\)"):
        plan = neurenix.compile(Branches(), neurenix.ones((2,)))
    assert plan(neurenix.full((2,), -3.0)).tolist() == [3.0, 3.0]


def test_the_fallback_can_be_an_error() -> None:
    with pytest.raises(TraceError, match="cannot run as a plan"):
        neurenix.compile(Branches(), neurenix.ones((2,)), fallback="error")
    with pytest.raises(ValueError, match="'warn', 'silent' or 'error'"):
        neurenix.compile(Branches(), fallback="maybe")  # type: ignore[arg-type]
    plan = neurenix.compile(network().train(), fallback="error")
    with pytest.raises(TraceError, match="autograd is on"):
        plan(neurenix.randn((2, 3, 5, 5)))
    with pytest.raises(TraceError, match=r"x\.sum\(\)"):
        neurenix.compile(Branches(), fallback="silent").executable(neurenix.ones((2,)))


def test_what_cannot_be_called_is_refused() -> None:
    for given in (3, nn.Linear):
        with pytest.raises(TypeError, match="a module or a function of tensors"):
            neurenix.compile(given)  # type: ignore[call-overload]


def test_a_change_of_weights_parts_and_modes_is_seen(assert_same: Callable[..., None]) -> None:
    module = network()
    plan = neurenix.compile(module, fallback="error")
    x = neurenix.randn((2, 3, 5, 5))
    changes: list[Callable[[], Any]] = [
        lambda: module[0].weight.fill_(0.5),
        lambda: module.load_state_dict(network().state_dict()),
        lambda: setattr(module[0], "bias", nn.Parameter(neurenix.randn((4,)))),
        lambda: module.__setitem__(2, nn.Tanh()),
        lambda: module.requires_grad_(False),
        lambda: module[2].register_forward_hook(lambda module, args, out: out * 2),
        lambda: setattr(module[0].weight, "grad", None),
    ]
    with neurenix.no_grad():
        assert_same(plan(x), module(x))
        for change in changes:
            change()
            assert_same(plan(x), module(x))
        module.to(dtype=neurenix.float64)
        assert_same(plan(x.double()), module(x.double()))


def test_a_module_follows_to_another_device(twin: Device, assert_same: Callable[..., None]) -> None:
    module = network()
    plan = neurenix.compile(module, fallback="error")
    x = neurenix.randn((2, 3, 5, 5))
    with neurenix.no_grad():
        expected = module(x)
        plan(x)
        module.to(twin)
        found = plan(x.to(twin))
    assert found.device is twin
    assert_same(found.cpu(), expected)


def test_a_compiled_part_of_a_traced_module_is_recorded() -> None:
    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(3, 3)
            object.__setattr__(self, "fast", neurenix.compile(self.inner))

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.fast(x).relu()
            return out

    graph = neurenix.graph.trace(Outer().eval(), TensorMeta((2, 3), neurenix.float32))
    assert [node.op.name for node in graph.nodes] == ["linear", "relu"]


def test_plans_run_in_several_threads_at_once() -> None:
    module = nn.Sequential(nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 64)).eval()
    plan = neurenix.compile(module, TensorMeta((32, 64), neurenix.float32))
    inputs = [neurenix.randn((32, 64)) for _ in range(4)]
    with neurenix.no_grad():
        expected = [module(x).numpy() for x in inputs]
    right: list[bool] = []

    def work(number: int) -> None:
        for _ in range(50):
            found = plan(inputs[number]).numpy()
            right.append(np.allclose(found, expected[number], atol=1e-5))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert right == [True] * 200


def test_a_failing_kernel_leaves_the_plan_usable() -> None:
    plan = neurenix.compile(nn.Embedding(5, 3).eval(), fallback="error")
    with pytest.raises(IndexError, match="index 7"):
        plan(Tensor([1, 7]))
    assert plan(Tensor([1, 2])).shape == (2, 3)


def test_a_plan_checks_its_inputs(twin: Device) -> None:
    plan = Plan(neurenix.graph.trace(nn.Linear(3, 2), TensorMeta((2, 3), neurenix.float32)))
    with pytest.raises(neurenix.errors.ShapeError, match=r"\(2, 3\), but got \(4, 3\)"):
        plan(neurenix.randn((4, 3)))
    with pytest.raises(neurenix.errors.DTypeError, match="float32, not float64"):
        plan(neurenix.randn((2, 3)).double())
    with pytest.raises(neurenix.errors.DeviceError, match="runs on cpu"):
        plan(neurenix.randn((2, 3)).to(twin))


def test_a_parameter_that_changed_its_shape_is_an_error() -> None:
    module = nn.Linear(3, 2)
    plan = Plan(neurenix.graph.trace(module, TensorMeta((2, 3), neurenix.float32)))
    module.to(dtype=neurenix.float64)
    with pytest.raises(neurenix.graph.GraphError, match=r"weight was float32.* trace again"):
        plan(neurenix.randn((2, 3)))


def test_the_backend_is_asked_first(twin: Device) -> None:
    taken: list[Graph] = []

    class Ones:
        def run(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
            return [neurenix.ones((2, 36), device=twin)]

    class Compiling:
        def __getattr__(self, name: str) -> Any:
            return getattr(neurenix.default_device().backend, name)

        def compile(self, graph: Graph) -> Ones | None:
            taken.append(graph)
            return Ones() if graph.inputs[0].shape[0] == 2 else None

    twin.backend = Compiling()
    module = network().to(twin)
    plan = neurenix.compile(module, fallback="error")
    assert plan(neurenix.randn((2, 3, 5, 5)).to(twin)).sum().item() == 72.0
    assert [node.op.name for node in taken[0].nodes] == ["conv2d", "relu", "reshape"]
    assert len(taken[0].prelude) > 0
    assert plan(neurenix.randn((1, 3, 5, 5)).to(twin)).shape == (1, 36)
    assert isinstance(plan.executable(TensorMeta((1, 3, 5, 5), neurenix.float32)), Plan)


def test_why_the_backend_has_no_plan_is_told(
    twin: Device, caplog: pytest.LogCaptureFixture
) -> None:
    class Refusing:
        def __getattr__(self, name: str) -> Any:
            return getattr(neurenix.default_device().backend, name)

        def compile(self, graph: Graph) -> None:
            raise PlanError(f"it has no code for {graph.nodes[-1].op.name} of a refusing device")

    twin.backend = Refusing()
    plan = neurenix.compile(network().to(twin), fallback="error")
    meta = TensorMeta((1, 3, 5, 5), neurenix.float32)
    reason = "it has no code for reshape of a refusing device"
    executable = plan.executable(meta)
    assert isinstance(executable, Plan)
    assert reason in repr(executable)
    first, *calls = executable.describe().splitlines()
    assert reason in first
    assert len(calls) == sum(not node.op.view for node in executable.graph.nodes)
    assert reason in caplog.text
    plan.executable(TensorMeta((2, 3, 5, 5), neurenix.float32))
    assert caplog.text.count(reason) == 1, "said once"
