"""What a compiled function sees of the Python around it, and where it runs itself instead."""

from __future__ import annotations

import functools
import random
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import neurenix
from neurenix import Tensor, nn
from neurenix.errors import TraceError
from neurenix.graph import TensorMeta

SCALE = 2.0


def scaled(x: Tensor) -> Tensor:
    return x * SCALE


def helper(x: Tensor) -> Tensor:
    return scaled(x) + 1.0


@pytest.fixture
def scale() -> Iterator[Callable[[float], None]]:
    """Set the global that `scaled` reads, and put it back."""
    before = SCALE

    def change(value: float) -> None:
        globals()["SCALE"] = value

    yield change
    change(before)


X = neurenix.ones((2,))


def repeated(function: Callable[..., Any], count: int) -> list[Any]:
    found = [function(X) for _ in range(count)]
    return [out.tolist() for out in found if out is not None]


def test_globals_are_seen_through_functions(scale: Callable[[float], None]) -> None:
    compiled = neurenix.compile(helper, fallback="error")
    assert repeated(compiled, 2) == [[3.0] * 2] * 2
    scale(5.0)
    assert repeated(compiled, 2) == [[6.0] * 2] * 2
    scale(2.0)
    assert compiled(X).tolist() == [3.0] * 2
    assert "2 plans" in repr(compiled)


def test_variables_around_a_function_are_seen() -> None:
    factor, table, options = 2.0, [1.0, 10.0], {"shift": 0.0}
    weight = neurenix.ones((2,))

    def function(x: Tensor) -> Tensor:
        return x * factor * table[1] * weight + options["shift"]

    compiled = neurenix.compile(function, fallback="error")
    assert compiled(X).tolist() == [20.0] * 2
    factor = 3.0
    assert compiled(X).tolist() == [30.0] * 2
    table[1] = 1.0
    assert compiled(X).tolist() == [3.0] * 2
    options["shift"] = 0.5
    assert compiled(X).tolist() == [3.5] * 2
    weight.fill_(2.0)
    assert compiled(X).tolist() == [6.5] * 2
    weight = neurenix.full((2,), 3.0)
    assert compiled(X).tolist() == [9.5] * 2


@dataclass
class Trainer:
    module: nn.Module
    rate: float = 1.0
    seen: int = 0

    def step(self, x: Tensor) -> Tensor:
        return self.scaled(self.module(x))

    def scaled(self, x: Tensor) -> Tensor:
        return x * self.rate

    def counting(self, x: Tensor) -> Tensor:
        self.seen += 1
        return x * 1.0


def test_attributes_that_the_code_names_are_seen() -> None:
    trainer = Trainer(nn.ReLU())
    compiled = neurenix.compile(trainer.step, fallback="error")
    assert compiled(X).tolist() == [1.0] * 2
    trainer.rate = 4.0
    assert compiled(X).tolist() == [4.0] * 2
    trainer.module = nn.Identity()
    assert compiled(-X).tolist() == [-4.0] * 2
    before = repr(compiled)
    for _ in range(20):
        trainer.seen += 1  # the step does not name it
        compiled(X)
    assert repr(compiled) == before


def test_a_count_in_python_is_no_part_of_a_plan() -> None:
    trainer = Trainer(nn.ReLU())
    compiled = neurenix.compile(trainer.counting)
    with pytest.warns(RuntimeWarning, match="changes 'seen' of the Trainer, which") as caught:
        assert repeated(compiled, 5) == [[1.0] * 2] * 5
    assert trainer.seen == 5  # traces count for nothing
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert compiled.reasons == [
        "it changes 'seen' of the Trainer, which a plan would not; do that outside of the function"
    ]


def test_what_is_made_at_the_first_call_is_made_by_the_first_call() -> None:
    made: dict[str, Tensor] = {}

    def function(x: Tensor) -> Tensor:
        if "start" not in made:
            made["start"] = x.clone()
        return x - made["start"]

    compiled = neurenix.compile(function, fallback="error")
    assert compiled(X).tolist() == [0.0] * 2
    assert made["start"].tolist() == [1.0] * 2
    assert compiled(X * 3).tolist() == [2.0] * 2
    assert "1 plans" in repr(compiled)


def test_a_list_that_grows_is_no_part_of_a_plan() -> None:
    losses: list[Tensor] = []

    def function(x: Tensor) -> Tensor:
        losses.append(x.sum())
        return x * 1.0

    compiled = neurenix.compile(function)
    with pytest.warns(RuntimeWarning, match="changes the variable 'losses'"):
        repeated(compiled, 4)
    assert [loss.item() for loss in losses] == [2.0] * 4


def test_a_scheduler_inside_a_step_is_no_part_of_a_plan() -> None:
    weight = nn.Parameter(neurenix.ones((2,)))
    optimizer = neurenix.optim.SGD([weight], lr=1.0)
    scheduler = neurenix.optim.StepLR(optimizer, step_size=1, gamma=0.5)

    def step(x: Tensor) -> None:
        optimizer.zero_grad()
        (weight * x).sum().backward()
        optimizer.step()
        scheduler.step()

    compiled = neurenix.compile(step)
    with pytest.warns(RuntimeWarning, match="which a plan would not"):
        repeated(compiled, 3)
    assert weight.tolist() == [1.0 - 1.0 - 0.5 - 0.25] * 2
    assert scheduler.last_step == 3


def test_an_iterator_gives_something_else_each_time() -> None:
    batches = iter([neurenix.full((2,), float(number)) for number in range(4)])

    def function(x: Tensor) -> Tensor:
        return x * next(batches)

    compiled = neurenix.compile(function)
    with pytest.warns(RuntimeWarning, match="takes from an iterator, the variable 'batches'"):
        assert [compiled(X).tolist()[0] for _ in range(4)] == [0.0, 1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("draw", "whose"),
    [(random.random, "Python's"), (lambda: np.random.rand(), "NumPy's")],  # noqa: NPY002
)
def test_other_random_numbers_than_ours(draw: Callable[[], float], whose: str) -> None:
    compiled = neurenix.compile(lambda x: x * draw())
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    expected = [draw(), draw()]
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    with pytest.warns(RuntimeWarning, match=f"draws from {whose} random numbers"):
        found = [compiled(neurenix.ones((1,), dtype=neurenix.float64)).item() for _ in range(2)]
    assert found == expected


def test_random_numbers_of_neurenix_go_on_as_eagerly() -> None:
    stream = neurenix.Generator(5)

    def function(x: Tensor) -> Tensor:
        return neurenix.rand(x.shape) + neurenix.rand(x.shape, generator=stream)

    neurenix.manual_seed(2)
    expected = [function(X).numpy() for _ in range(3)]
    stream.manual_seed(5)
    neurenix.manual_seed(2)
    compiled = neurenix.compile(function, fallback="error")
    np.testing.assert_array_equal([compiled(X).numpy() for _ in range(3)], expected)


def test_values_that_only_a_run_has() -> None:
    def function(x: Tensor) -> Tensor:
        return x * x.sum().item()

    with pytest.warns(RuntimeWarning, match=r"runs eagerly: .*x\.sum\(\)\.item\(\)"):
        compiled = neurenix.compile(function, X)
    assert compiled(X * 3).tolist() == [18.0] * 2
    with pytest.raises(TraceError, match="cannot run as a plan"):
        neurenix.compile(function, fallback="error")(X)
    quiet = neurenix.compile(function, fallback="silent")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert quiet(X).tolist() == [2.0] * 2
    assert len(quiet.reasons) == 1


def test_the_value_of_a_weight_is_no_number_of_the_plan() -> None:
    scale = neurenix.full((), 2.0)
    with pytest.warns(RuntimeWarning, match="reads the value of"):
        compiled = neurenix.compile(lambda x: x * scale.item(), X)
    scale.fill_(5.0)
    assert compiled(X).tolist() == [5.0] * 2


def test_a_result_on_the_tape_stays_there() -> None:
    module = nn.Linear(2, 2)
    compiled = neurenix.compile(lambda x: module(x).sum())
    with pytest.warns(RuntimeWarning, match="a plan leaves no tape: call backward"):
        loss = compiled(X)
    loss.backward()
    assert module.weight.grad is not None
    with neurenix.no_grad():
        assert not compiled(X).requires_grad
    assert "1 plans" in repr(compiled)
    x = neurenix.ones((2,), requires_grad=True)
    with pytest.warns(RuntimeWarning, match="an argument requires a gradient"):
        compiled(x).backward()
    assert x.grad is not None


def test_hooks_see_every_call() -> None:
    module, calls = nn.Linear(2, 2), []
    compiled = neurenix.compile(lambda x: module(x).detach(), fallback="silent")
    compiled(X)
    assert not compiled.reasons
    handle = module.register_forward_hook(lambda *given: calls.append(1))
    compiled(X)
    compiled(X)
    assert len(calls) == 2
    assert compiled.reasons == ["a Linear has forward hooks, which see every call"]
    handle.remove()
    compiled(X)
    assert len(calls) == 2


def test_hooks_of_gradients_see_every_call() -> None:
    weight, seen = nn.Parameter(neurenix.ones((2,))), []
    weight.register_hook(lambda grad: seen.append(grad))

    def step(x: Tensor) -> None:
        weight.grad = None
        (weight * x).sum().backward()

    compiled = neurenix.compile(step, fallback="silent")
    for _ in range(3):
        compiled(X)
    assert [grad.tolist() for grad in seen] == [[1.0] * 2] * 3
    assert compiled.reasons == ["a tensor has hooks, which see every gradient"]


def test_a_setting_that_is_another_at_each_call() -> None:
    trainer = Trainer(nn.ReLU())
    compiled = neurenix.compile(trainer.step)

    def change_and_call(x: Tensor) -> Tensor:
        trainer.rate += 1.0
        return compiled(x)

    with pytest.warns(RuntimeWarning, match="'rate' of the Trainer is another one at each call"):
        found = repeated(change_and_call, 20)
    assert found == [[number + 2.0] * 2 for number in range(20)]
    assert len(compiled._tables) <= 17


def test_arguments_of_all_kinds() -> None:
    def function(xs: list[Tensor], *, by: float = 1.0, how: str = "sum") -> dict[str, Any]:
        return {"all": sum(xs[1:], xs[0]) * by, "how": how}

    compiled = neurenix.compile(function, [X, X], fallback="error")
    assert compiled([X, X])["all"].tolist() == [2.0] * 2
    assert compiled([X, X], by=3.0, how="?")["how"] == "?"
    assert compiled([X], by=2)["all"].tolist() == [2.0] * 2
    module = nn.Linear(2, 1)
    applied = neurenix.compile(lambda module, x: module(x).detach(), fallback="error")
    for each in (module, nn.Linear(2, 1), module):
        np.testing.assert_array_equal(applied(each, X).numpy(), each(X).detach().numpy())
    module.register_forward_hook(lambda module, args, out: out * 2)
    with pytest.raises(TraceError, match="forward hooks"):
        applied(module, X)
    partial = neurenix.compile(functools.partial(function, by=5.0), fallback="error")
    assert partial([X])["all"].tolist() == [5.0] * 2
    described = neurenix.compile(scaled, TensorMeta((2,), neurenix.float32), fallback="error")
    assert "1 plans" in repr(described)
    assert described(X).tolist() == [2.0] * 2
    with pytest.raises(TraceError, match=r"can be hashed|can be tensors"):
        described(np.ones(2))


def test_an_error_of_the_function_is_its_own() -> None:
    compiled = neurenix.compile(lambda x: x @ neurenix.ones((3, 3)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            with pytest.raises(neurenix.errors.ShapeError):
                compiled(X)


def test_an_optimizer_of_ones_own() -> None:
    """State in symbols and rates as numbers: nothing of an optimizer is taken for granted."""

    class Plain(neurenix.optim.Optimizer):
        def _update(self, group: Any, params: Any) -> None:
            for param in params:
                state = self.state.setdefault(param, {})
                if not state:
                    state["sum"] = neurenix.zeros_like(param)
                state["sum"].copy_(state["sum"] + param.grad)
                param.copy_(param - state["sum"] * group["lr"])

    results = []
    for compiling in (True, False):
        weight = nn.Parameter(neurenix.ones((2,)))
        optimizer = Plain([weight], {"lr": 0.5})

        def step(x: Tensor, weight: Any = weight, optimizer: Any = optimizer) -> None:
            optimizer.zero_grad()
            (weight * x).sum().backward()
            optimizer.step()

        run = neurenix.compile(step, fallback="error") if compiling else step
        for rate in (0.5, 0.5, 0.5, 0.25, 0.25):
            optimizer.param_groups[0]["lr"] = rate
            run(X)
        results.append(weight.tolist())
        assert isinstance(optimizer.state[weight]["sum"].numpy(), np.ndarray)
    assert results[0] == results[1]


def test_threads_share_a_compiled_function() -> None:
    compiled = neurenix.compile(helper, fallback="error")
    found: list[list[float]] = []

    def work(value: float) -> None:
        for _ in range(20):
            found.append(compiled(neurenix.full((2,), value)).tolist())  # noqa: PERF401

    threads = [threading.Thread(target=work, args=(float(n),)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted([n * 2.0 + 1.0] * 2 for n in range(4) for _ in range(20))


def test_a_trace_leaves_python_as_it_was() -> None:
    trainer, weight = Trainer(nn.ReLU()), nn.Parameter(neurenix.ones((2,)))
    kept = neurenix.full((2,), 9.0)
    weight.grad = kept

    def function(x: Tensor) -> Tensor:
        trainer.seen += 1
        trainer.module.extra = x  # type: ignore[assignment]
        weight.grad = None
        (weight * x).sum().backward()
        return x * x.sum().item()

    with pytest.raises(TraceError):
        neurenix.compile(function, X, fallback="error")
    assert trainer.seen == 0
    assert not hasattr(trainer.module, "extra")
    assert weight.grad is kept


def test_an_optimizer_that_counts_its_steps() -> None:
    rates: list[float] = []

    class Noting(neurenix.optim.SGD):
        count = 0

        def step(self, closure: Any = None) -> Any:
            rates.append(self.param_groups[0]["lr"])
            self.count += 1
            return super().step(closure)

    weight = nn.Parameter(neurenix.ones((2,)))
    optimizer = Noting([weight], lr=0.5)

    def step(x: Tensor) -> None:
        optimizer.zero_grad()
        (weight * x).sum().backward()
        optimizer.step()

    compiled = neurenix.compile(step, fallback="silent")
    repeated(compiled, 4)
    assert rates == [0.5] * 4
    assert optimizer.count == 4
    assert weight.tolist() == [-1.0] * 2
    assert len(compiled.reasons) == 1
