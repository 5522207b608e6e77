"""The tape: accumulation, freed values, in-place writes, hooks, modes, grad()."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest

import neurenix as nx
from neurenix.errors import AutogradError


def leaf(*values: float) -> nx.Tensor:
    return nx.Tensor([float(value) for value in values], requires_grad=True)


def test_gradients_accumulate_until_they_are_cleared() -> None:
    x = leaf(1, 2)
    (x * 3).sum().backward()
    (x * x).sum().backward()
    assert x.grad.tolist() == [5, 7]
    x.grad = None
    x.sum().backward()
    assert x.grad.tolist() == [1, 1]


def test_a_value_used_twice_gathers_both_gradients() -> None:
    x = leaf(2)
    y = x * x
    (y + y * x).sum().backward()
    assert x.grad.tolist() == [4 + 12]


def test_second_backward_through_a_freed_tape_says_so() -> None:
    x = leaf(1, 2)
    loss = (x * x).sum()
    loss.backward()
    with pytest.raises(AutogradError, match=r"freed.*retain_graph=True"):
        loss.backward()


def test_retain_graph_allows_a_second_backward() -> None:
    x = leaf(3)
    loss = (x * x).sum()
    loss.backward(retain_graph=True)
    loss.backward()
    assert x.grad.tolist() == [12]


def test_backward_from_a_non_scalar_needs_a_gradient() -> None:
    x = leaf(1, 2)
    with pytest.raises(AutogradError, match=r"shape \(2,\) needs the gradient"):
        (x * 2).backward()
    (x * 2).backward(nx.Tensor([1.0, 10.0]))
    assert x.grad.tolist() == [2, 20]
    with pytest.raises(AutogradError, match=r"shape \(3,\), but the tensor has \(2,\)"):
        (x * 2).backward(nx.ones(3))


def test_backward_from_what_is_not_followed_says_so() -> None:
    with pytest.raises(AutogradError, match="does not require a gradient"):
        nx.ones(1).sum().backward()


def test_in_place_write_to_a_saved_value_is_noticed() -> None:
    x, y = leaf(1, 2), nx.Tensor([3.0, 4.0])
    out = (x * y).sum()
    y.fill_(0)
    with pytest.raises(AutogradError, match=r"'mul' needs.*changed in place"):
        out.backward()


def test_in_place_write_through_a_view_is_noticed() -> None:
    x, y = leaf(1, 2), nx.Tensor([3.0, 4.0])
    out = (x * y).sum()
    y[0:1].zero_()
    with pytest.raises(AutogradError, match="changed in place"):
        out.backward()


def test_in_place_write_to_what_was_not_saved_is_free() -> None:
    x, y = leaf(1, 2), nx.Tensor([3.0, 4.0])
    out = (x + y).sum()
    y.fill_(0)
    out.backward()
    assert x.grad.tolist() == [1, 1]


def test_in_place_write_to_a_followed_tensor_is_refused() -> None:
    x = leaf(1, 2)
    with pytest.raises(AutogradError, match="no_grad"):
        x.copy_(nx.zeros(2))
    with pytest.raises(AutogradError):
        (x * 2).zero_()


def test_no_grad_and_enable_grad_nest_and_decorate() -> None:
    x = leaf(1)
    with nx.no_grad():
        assert not (x * 2).requires_grad
        with nx.enable_grad():
            assert (x * 2).requires_grad
        assert not nx.is_grad_enabled()
    assert nx.is_grad_enabled()

    @nx.inference_mode()
    def double(t: nx.Tensor) -> nx.Tensor:
        return t * 2

    assert not double(x).requires_grad
    assert double.__name__ == "double"


def test_no_grad_is_left_after_an_error() -> None:
    with pytest.raises(RuntimeError), nx.no_grad():
        raise RuntimeError
    assert nx.is_grad_enabled()


def test_modes_belong_to_a_thread() -> None:
    seen: list[bool] = []
    with nx.no_grad():
        thread = threading.Thread(target=lambda: seen.append(nx.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_detach_cuts_the_tape_and_shares_memory() -> None:
    x = leaf(1, 2)
    y = (x * 2).detach()
    assert not y.requires_grad
    (x * y).sum().backward()
    assert x.grad.tolist() == [2, 4]
    assert x.detach().numpy().base is not None
    assert np.shares_memory(x.detach().numpy(), x.detach().numpy())


def test_hooks_see_and_change_gradients() -> None:
    x = leaf(1, 2)
    y = x * 2
    seen: list[list[float]] = []
    y.register_hook(lambda grad: seen.append(grad.tolist()))
    remove = x.register_hook(lambda grad: grad * 10)
    y.sum().backward()
    assert seen == [[1, 1]]
    assert x.grad.tolist() == [20, 20]
    remove()
    x.grad = None
    (x * 1).sum().backward()
    assert x.grad.tolist() == [1, 1]
    with pytest.raises(AutogradError, match="hook needs"):
        nx.ones(1).register_hook(lambda grad: None)


def test_grad_returns_gradients_and_leaves_grad_alone() -> None:
    x, y = leaf(2), leaf(3)
    middle = x * y
    out = (middle * middle).sum()
    dx, dmiddle = nx.grad(out, [x, middle])
    assert dx.tolist() == [2 * 6 * 3]
    assert dmiddle.tolist() == [12]
    assert x.grad is None


def test_grad_of_unused_input() -> None:
    x, y = leaf(2), leaf(3)
    with pytest.raises(AutogradError, match="no output depends on input 1"):
        nx.grad((x * 2).sum(), [x, y])
    assert nx.grad((x * 2).sum(), [x, y], allow_unused=True)[1] is None
    with pytest.raises(AutogradError, match="input 0 of grad"):
        nx.grad((x * 2).sum(), [nx.ones(1)])


def test_grad_of_grad() -> None:
    x = leaf(2)
    (first,) = nx.grad((x**4).sum(), x, create_graph=True)
    (second,) = nx.grad(first.sum(), x, create_graph=True)
    (third,) = nx.grad(second.sum(), x)
    assert (first.item(), second.item(), third.item()) == (32, 48, 48)


def test_gradient_penalty_reaches_the_parameters() -> None:
    weight, x = leaf(0.5), leaf(2)
    out = (weight * x * x).sum()
    (slope,) = nx.grad(out, x, create_graph=True)
    (slope * slope).sum().backward()
    assert weight.grad.tolist() == [pytest.approx(2 * (2 * 0.5 * 2) * 4)]


def test_only_wanted_gradients_are_computed() -> None:
    frozen = nx.ones((3, 3))
    x = nx.ones((2, 3), requires_grad=True)
    out = x @ frozen
    assert [edge is not None for edge in out._node.edges] == [True, False]
    assert set(out._node.saved) == {("input", 1)}


def test_memory_is_freed_without_the_cycle_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        x = leaf(1, 2)
        y = x.exp()
        node = y._node
        buffer = weakref.ref(y)
        assert ("output", 0) in node.saved
        del y, node
        assert buffer() is None
    finally:
        gc.enable()


def test_a_long_chain_does_not_overflow_the_stack() -> None:
    x = leaf(1)
    y = x
    for _ in range(5000):
        y = y + 1
    y.sum().backward()
    assert x.grad.tolist() == [1]


def test_requires_grad_can_be_set_on_float_leaves_only() -> None:
    with pytest.raises(AutogradError, match="floating-point"):
        nx.arange(3).requires_grad = True
    y = leaf(1) * 2
    with pytest.raises(AutogradError, match="leaf"):
        y.requires_grad = False


def test_one_context_may_be_entered_by_several_threads_at_a_time() -> None:
    shared = nx.no_grad()
    inside, leave = threading.Event(), threading.Event()
    seen: list[bool] = []

    def work() -> None:
        with nx.no_grad():
            with shared:
                inside.set()
                leave.wait(5)
            seen.append(nx.is_grad_enabled())

    thread = threading.Thread(target=work)
    thread.start()
    inside.wait(5)
    with shared:
        leave.set()
        thread.join()
    assert seen == [False]
    assert nx.is_grad_enabled()
