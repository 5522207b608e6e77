"""A compiled training step does what the step does, step after step."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import neurenix
from neurenix import Tensor, nn
from neurenix.graph import Graph, Plan
from neurenix.nn import functional as F

Step = Callable[..., Any]


def convnet() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.25),
        nn.Linear(16, 3),
    )


def head() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Dropout(0.5), nn.Linear(5, 3))


OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "sgd": lambda params: neurenix.optim.SGD(params, lr=0.1),
    "momentum": lambda params: neurenix.optim.SGD(
        params, lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-3
    ),
    "dampening": lambda params: neurenix.optim.SGD(params, lr=0.1, momentum=0.9, dampening=0.5),
    "adam": lambda params: neurenix.optim.Adam(params, lr=0.01),
    "adamw": lambda params: neurenix.optim.AdamW(params, lr=0.01, weight_decay=0.1),
}


def step_of(module: nn.Module, optimizer: Any, clip: float | None = None) -> Step:
    def step(x: Tensor, target: Tensor) -> Tensor:
        loss = F.cross_entropy(module(x), target)
        optimizer.zero_grad()
        loss.backward()
        if clip is not None:
            neurenix.optim.clip_grad_norm_(module.parameters(), clip)
        optimizer.step()
        return loss

    return step


class Pair:
    """A module and its twin, the one trained by a compiled step, the other eagerly."""

    def __init__(
        self, make: Callable[[], nn.Module], optimizer: str = "adamw", clip: float | None = None
    ) -> None:
        neurenix.manual_seed(1)
        self.ours = make()
        self.theirs = copy.deepcopy(self.ours)
        self.modules = (self.ours, self.theirs)
        self.optimizers = [OPTIMIZERS[optimizer](m.parameters()) for m in self.modules]
        first, second = (
            step_of(m, o, clip) for m, o in zip(self.modules, self.optimizers, strict=True)
        )
        self.compiled = neurenix.compile(first, fallback="error")
        self.eager = second
        self.count = 0

    def both(self, change: Callable[[nn.Module, Any], Any]) -> None:
        for module, optimizer in zip(self.modules, self.optimizers, strict=True):
            change(module, optimizer)

    def run(self, count: int, batch: int = 6) -> None:
        """Take steps on both sides; everything is bitwise the same after each."""
        shape = (batch, 2, 4, 4) if isinstance(self.ours[0], nn.Conv2d) else (batch, 6)
        for _ in range(count):
            self.count += 1
            x, target = neurenix.randn(shape), neurenix.randint(0, 3, (batch,))
            neurenix.manual_seed(self.count)
            found = self.compiled(x, target)
            after = neurenix.random.default_generator().get_state()
            neurenix.manual_seed(self.count)
            expected = self.eager(x, target)
            assert neurenix.random.default_generator().get_state() == after
            assert not found.requires_grad
            np.testing.assert_array_equal(found.numpy(), expected.detach().numpy())
            self.compare()

    def compare(self) -> None:
        for a, b in zip(self.ours.parameters(), self.theirs.parameters(), strict=True):
            assert (a.grad is None) == (b.grad is None)
            if a.grad is not None and b.grad is not None:
                np.testing.assert_array_equal(a.grad.numpy(), b.grad.numpy())
        states = [module.state_dict() for module in self.modules]
        for name, value in states[0].items():
            np.testing.assert_array_equal(value.numpy(), states[1][name].numpy(), err_msg=name)
        kept = [list(optimizer.state.values()) for optimizer in self.optimizers]
        for ours, theirs in zip(*kept, strict=True):
            for name, value in ours.items():
                np.testing.assert_array_equal(value.numpy(), theirs[name].numpy(), err_msg=name)

    @property
    def plans(self) -> int:
        return int(repr(self.compiled).split(": ")[1].split()[0])


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("make", [convnet, head])
def test_compiled_steps_are_the_eager_steps(make: Callable[[], nn.Module], name: str) -> None:
    pair = Pair(make, name, clip=0.5)
    pair.run(4)
    assert pair.plans == 1


def test_each_shape_has_a_plan() -> None:
    pair = Pair(head)
    for batch in (6, 6, 3, 6, 3, 4):
        pair.run(1, batch)
    assert pair.plans == 3
    for batch in range(2, 20):
        pair.run(1, batch)
    assert pair.plans == 16


def test_learning_rates_need_no_new_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = Pair(head, "momentum")
    schedulers = [neurenix.optim.StepLR(o, step_size=1, gamma=0.5) for o in pair.optimizers]
    pair.run(3)
    traced: list[Any] = []
    monkeypatch.setattr(
        "neurenix.graph.compiled_function.trace_step", lambda *given: traced.append(given)
    )
    for _ in range(3):
        for scheduler in schedulers:
            scheduler.step()
        pair.run(1)
    assert not traced
    rates = [o.param_groups[0]["lr"] for o in pair.optimizers]
    assert rates[0] == rates[1] == 0.1 * 0.5**3


@pytest.mark.parametrize(
    "change",
    [
        lambda module, optimizer: module[0].weight.copy_(module[0].weight * 0.5),
        lambda module, optimizer: module.load_state_dict(
            {name: value * 0.5 for name, value in module.state_dict().items()}
        ),
        lambda module, optimizer: optimizer.load_state_dict(copy_of(optimizer.state_dict())),
        lambda module, optimizer: optimizer.param_groups[0].update(weight_decay=0.3),
        lambda module, optimizer: optimizer.param_groups[0].update(betas=(0.5, 0.9)),
        lambda module, optimizer: module[0].weight.requires_grad_(False),
        lambda module, optimizer: module[0].requires_grad_(False),
        lambda module, optimizer: module.eval(),
        lambda module, optimizer: setattr(module[2], "p", 0.9),
        lambda module, optimizer: module.__setitem__(1, nn.Tanh()),
        lambda module, optimizer: replace_last(module, optimizer),
        lambda module, optimizer: optimizer.zero_grad(),
        lambda module, optimizer: [p.grad.fill_(7.0) for p in module.parameters()],
        lambda module, optimizer: optimizer.state.clear(),
    ],
)
def test_changes_between_calls_show(change: Callable[[nn.Module, Any], Any]) -> None:
    pair = Pair(head)
    pair.run(3)
    with neurenix.no_grad():
        pair.both(change)
    pair.run(3)


def copy_of(state: Any) -> Any:
    return {
        "state": {
            number: {name: value.clone() for name, value in values.items()}
            for number, values in state["state"].items()
        },
        "param_groups": state["param_groups"],
    }


def replace_last(module: Any, optimizer: Any) -> None:
    module[3] = nn.Linear(5, 3)
    for param in module[3].parameters():
        param.fill_(0.1)
    optimizer.add_param_group({"params": list(module[3].parameters()), "lr": 0.05})


def test_frozen_layers_stay_and_thaw() -> None:
    pair = Pair(convnet, "momentum")
    pair.both(lambda module, optimizer: module[0].requires_grad_(False))
    frozen = pair.ours[0].weight.numpy().copy()
    pair.run(3)
    np.testing.assert_array_equal(pair.ours[0].weight.numpy(), frozen)
    assert pair.ours[0].weight.grad is None
    pair.both(lambda module, optimizer: module[0].requires_grad_(True))
    pair.run(3)
    assert not np.array_equal(pair.ours[0].weight.detach().numpy(), frozen)


@pytest.mark.parametrize("set_to_none", [True, False])
def test_gradients_add_up_where_the_step_lets_them(set_to_none: bool) -> None:
    """``grad`` is what an eager call would have left, whether it was read or not."""
    modules = [head().eval()]
    modules.append(copy.deepcopy(modules[0]))

    def add(module: nn.Module, x: Tensor) -> Tensor:
        loss = module(x).sum()
        loss.backward()
        return loss

    compiled = neurenix.compile(add, fallback="error")
    for call in range(6):
        x = neurenix.randn((2, 6))
        compiled(modules[0], x)
        add(modules[1], x)
        for a, b in zip(modules[0].parameters(), modules[1].parameters(), strict=True):
            assert a.grad is not None
            assert b.grad is not None
            np.testing.assert_array_equal(a.grad.numpy(), b.grad.numpy())
        if call == 2:
            for module in modules:
                module.zero_grad(set_to_none)
    assert "2 plans" in repr(compiled)


def test_zeroed_gradients_are_written_in_place() -> None:
    weight = nn.Parameter(neurenix.ones((3,)))
    optimizer = neurenix.optim.SGD([weight], lr=0.5)

    @neurenix.compile
    def step(x: Tensor) -> None:
        optimizer.zero_grad(set_to_none=False)
        (weight * x).sum().backward()
        optimizer.step()

    for _ in range(3):
        step(neurenix.full((3,), 2.0))
    assert weight.tolist() == [-2.0] * 3
    assert weight.grad is not None
    assert weight.grad.tolist() == [2.0] * 3
    assert step.__name__ == "step"


def test_an_example_makes_the_plan_if_the_optimizer_has_its_state() -> None:
    neurenix.manual_seed(0)
    module = head()
    optimizer = neurenix.optim.AdamW(module.parameters(), lr=0.1)
    step = step_of(module, optimizer)
    x, target = neurenix.randn((4, 6)), neurenix.randint(0, 3, (4,))
    early = neurenix.compile(step, x, target, fallback="error")
    assert "0 plans" in repr(early)
    assert not optimizer.state
    with pytest.raises(neurenix.errors.TraceError, match="call it once"):
        early.executable(x, target)
    step(x, target)
    before = [p.detach().numpy().copy() for p in module.parameters()]
    compiled = neurenix.compile(step, x, target, fallback="error")
    assert "1 plans" in repr(compiled)
    assert isinstance(compiled.executable(x, target), Plan)
    for was, param in zip(before, module.parameters(), strict=True):
        np.testing.assert_array_equal(was, param.detach().numpy())


def test_a_backend_that_compiles_graphs_gets_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Graph] = []

    def take(graph: Graph) -> Plan:
        given.append(graph.validate())
        return Plan(graph)

    pair = Pair(head)
    monkeypatch.setattr(
        type(pair.ours[0].weight.device.backend), "compile", staticmethod(take), raising=False
    )
    pair.run(4)
    # The first step's graph and the later ones' are the same, and are compiled once.
    assert len(given) == 1
    assert {"adam_step", "random_bits"} <= {node.op.name for node in given[0].nodes}
    assert not given[0].is_pure
    assert given[0].name == "step"


def test_nothing_is_traced_twice_and_nothing_piles_up(monkeypatch: pytest.MonkeyPatch) -> None:
    from neurenix.graph import compiled_function

    count = 0
    original = compiled_function.trace_step

    def counting(*given: Any) -> Any:
        nonlocal count
        count += 1
        return original(*given)

    monkeypatch.setattr(compiled_function, "trace_step", counting)
    pair = Pair(head)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pair.run(20)
    assert count == 2  # the step that makes the optimizer's state, and all others
    assert len(pair.compiled._tables) == 1
