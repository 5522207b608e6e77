"""What `grad` holds: memory of the leaf's own, in its dtype, and never a gradient that is not."""

from __future__ import annotations

import numpy as np
import pytest

import neurenix as nx
from neurenix.errors import AutogradError


def leaf(*values: float) -> nx.Tensor:
    return nx.Tensor([float(value) for value in values], requires_grad=True)


def test_leaves_that_receive_one_gradient_do_not_share_it() -> None:
    a, b, seed = leaf(1, 2), leaf(3, 4), nx.Tensor([1.0, 10.0])
    (a + b).backward(seed)
    a.grad.zero_()
    assert b.grad.tolist() == [1, 10]
    assert seed.tolist() == [1, 10]
    b.grad.zero_()
    assert seed.tolist() == [1, 10]


def test_views_of_one_gradient_do_not_share_it() -> None:
    a, b = leaf(1, 2), leaf(3, 4)
    out = nx.concat([a.reshape((2, 1)), b.reshape((2, 1))], 0) * 2
    (out + out.reshape((4, 1))).sum().backward()
    total = a + b.reshape((2,))
    a.grad.zero_()
    assert b.grad.tolist() == [4, 4]
    total.backward(nx.ones(2))
    b.grad.zero_()
    assert a.grad.tolist() == [1, 1]


def test_a_gradient_is_dense_and_can_be_written() -> None:
    x = nx.ones((2, 3), requires_grad=True)
    x.sum().backward()
    assert x.grad.is_contiguous()
    x.grad[0, 0] = 5
    assert x.grad.tolist() == [[5, 1, 1], [1, 1, 1]]


def test_a_gradient_that_a_hook_keeps_is_not_written() -> None:
    x = leaf(1, 2)
    seen: list[nx.Tensor] = []
    y = x + leaf(0, 0)
    y.register_hook(seen.append)
    x.register_hook(seen.append)
    (y * 3).sum().backward()
    x.grad.zero_()
    assert [gradient.tolist() for gradient in seen] == [[3, 3], [3, 3]]


def test_a_gradient_kept_from_before_is_not_written_by_the_next_backward() -> None:
    x = leaf(1)
    (x * 2).sum().backward()
    first = x.grad
    (x * 3).sum().backward()
    assert (first.item(), x.grad.item()) == (2, 5)


def test_no_gradient_flows_through_integers() -> None:
    x = leaf(1.7, -2.6)
    whole = x.long()
    assert not whole.requires_grad
    assert not whole.float().requires_grad
    (whole.float() * x).sum().backward()
    assert x.grad.tolist() == [1, -2]


def test_mixed_dtypes_give_gradients_of_their_own_dtypes() -> None:
    a, b = nx.ones(2, nx.float16, requires_grad=True), nx.ones((3, 2), nx.float64)
    b.requires_grad = True
    (a * b * nx.arange(2)).sum().backward()
    assert (a.grad.dtype, a.grad.tolist()) == (nx.float16, [0, 3])
    assert (b.grad.dtype, b.grad.tolist()) == (nx.float64, [[0, 1]] * 3)


def test_a_leaf_that_is_moved_between_forward_and_backward_is_noticed() -> None:
    x = leaf(1.1, 2.2)
    out = (x * x).sum()
    x.to("float16", inplace=True)
    with pytest.raises(AutogradError, match=r"'mul' needs.*changed in place"):
        out.backward()


def test_grad_runs_the_hooks_of_the_inputs() -> None:
    x = leaf(1, 2)
    y = x * 2
    x.register_hook(lambda gradient: gradient * 10)
    y.register_hook(lambda gradient: gradient * 100)
    dx, dy = nx.grad(y.sum(), [x, y])
    assert dy.tolist() == [100, 100]
    assert dx.tolist() == [2000, 2000]


def test_grad_of_an_intermediate_that_is_used_twice() -> None:
    x = leaf(2)
    y = x * x
    z = y * 3
    dz, dy, dx = nx.grad((z * y).sum(), [z, y, x], retain_graph=True)
    assert (dz.item(), dy.item(), dx.item()) == (4, 24, 96)
    (again,) = nx.grad((z * y).sum(), [y], grad_outputs=nx.Tensor(2.0))
    assert again.item() == 48


def test_create_graph_keeps_the_tape_and_retain_graph_can_free_it() -> None:
    x = leaf(3)
    out = (x**3).sum()
    (first,) = nx.grad(out, x, create_graph=True)
    (second,) = nx.grad(first.sum(), x)
    assert (first.item(), second.item()) == (27, 18)
    nx.grad(out, x, retain_graph=False, create_graph=True)
    with pytest.raises(AutogradError, match="freed"):
        nx.grad(out, x)


def test_second_derivatives_through_a_value_written_in_place_are_refused() -> None:
    x = leaf(2)
    (first,) = nx.grad((x * x * x).sum(), x, create_graph=True)
    x.detach().fill_(0)
    with pytest.raises(AutogradError, match="changed in place"):
        nx.grad(first.sum(), x)


def test_views_of_views_give_gradients_at_their_places() -> None:
    base = nx.Tensor(np.zeros((4, 6), np.float32), requires_grad=True)
    view = base[1:].T[::2].reshape((9,))[3:].unsqueeze(0).expand((2, 6))
    (view * nx.arange(6)).sum().backward()
    expected = np.zeros((4, 6), np.float32)
    place = expected[1:].T[::2]
    place[...] = np.array([0, 0, 0, 0, 2, 4, 6, 8, 10]).reshape(3, 3)
    np.testing.assert_array_equal(base.grad.numpy(), expected)


def test_the_standard_deviation_of_equal_values_has_a_finite_gradient() -> None:
    x = nx.ones(3, requires_grad=True)
    x.std().backward()
    assert x.grad.tolist() == [0, 0, 0]
