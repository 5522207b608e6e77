"""Views and moves against NumPy: what shares memory, and what errors say."""

from __future__ import annotations

import numpy as np
import pytest

import neurenix as nx
from neurenix.errors import DeviceError, ShapeError

X = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


def shares(view: nx.Tensor, source: nx.Tensor) -> bool:
    return np.shares_memory(view.numpy(), source.numpy())


@pytest.mark.parametrize("shape", [(24,), (6, 4), (2, -1), (1, 2, 1, 12), (3, 2, 4)])
def test_reshape_of_a_dense_tensor_is_a_view(shape: tuple[int, ...]) -> None:
    x = nx.Tensor(X)
    out = x.reshape(shape)
    np.testing.assert_array_equal(out.numpy(), X.reshape(shape))
    assert shares(out, x)


def test_reshape_of_a_permuted_tensor_copies_only_where_it_must() -> None:
    x = nx.Tensor(X).permute(1, 0, 2)
    split = x.reshape(3, 2, 2, 2)
    assert shares(split, x)
    np.testing.assert_array_equal(split.numpy(), X.transpose(1, 0, 2).reshape(3, 2, 2, 2))
    merged = x.reshape(6, 4)
    assert not shares(merged, x)
    np.testing.assert_array_equal(merged.numpy(), X.transpose(1, 0, 2).reshape(6, 4))


def test_reshape_of_every_small_view_equals_numpy() -> None:
    source = np.arange(36).reshape(6, 6)
    views = [np.s_[:], np.s_[::2], np.s_[:, 1:4], np.s_[1:2], np.s_[::3, ::2]]
    for key in views:
        expected = source[key]
        for shape in [(-1,), (2, -1), (-1, 3), (1, -1, 1), expected.T.shape]:
            if expected.size % max(1, -int(np.prod(shape))) == 0:
                ours = nx.Tensor(source)[key].reshape(shape)
                np.testing.assert_array_equal(ours.numpy(), expected.reshape(shape))


def test_impossible_reshapes_are_named() -> None:
    for shape in [(5, 5), (-1, 5), (-1, -1), (-2, 12)]:
        with pytest.raises(ShapeError, match=r"shape \(2, 3, 4\), 24 elements, cannot take"):
            nx.Tensor(X).reshape(shape)


def test_permute_transpose_expand_squeeze_are_views() -> None:
    x = nx.Tensor(X)
    for view, expected in [
        (x.permute(2, 0, 1), X.transpose(2, 0, 1)),
        (x.transpose(0, -1), X.swapaxes(0, -1)),
        (x.T, X.T),
        (x[:, :1].expand(2, 5, 4), np.broadcast_to(X[:, :1], (2, 5, 4))),
        (x.unsqueeze(1), X[:, None]),
        (x[:, :1].squeeze(1), X[:, 0]),
        (x.flatten(1), X.reshape(2, 12)),
    ]:
        np.testing.assert_array_equal(view.numpy(), expected)
        assert shares(view, x)
    with pytest.raises(ShapeError, match="no permutation"):
        x.permute(0, 0, 1)
    with pytest.raises(ShapeError, match="cannot be expanded"):
        x.expand(2, 5, 4)
    with pytest.raises(ShapeError, match="squeeze needs axes of size 1"):
        x.squeeze(0)


def test_unfold_shows_overlapping_windows_without_a_copy() -> None:
    x = nx.arange(7)
    windows = nx.unfold(x, 0, 3, 2)
    assert windows.tolist() == [[0, 1, 2], [2, 3, 4], [4, 5, 6]]
    assert shares(windows, x)
    assert nx.unfold(x, 0, 2, 1, 3).tolist() == [[0, 3], [1, 4], [2, 5], [3, 6]]
    with pytest.raises(ShapeError, match="do not fit axis 0 of size 7"):
        nx.unfold(x, 0, 8)


def test_concat_stack_split_chunk_pad_flip_equal_numpy() -> None:
    x = nx.Tensor(X)
    np.testing.assert_array_equal(nx.concat([x, x], 1).numpy(), np.concatenate([X, X], 1))
    np.testing.assert_array_equal(nx.stack([x, x], -1).numpy(), np.stack([X, X], -1))
    assert [p.shape for p in x.split(2, 1)] == [(2, 2, 4), (2, 1, 4)]
    assert [p.shape for p in x.split([1, 3], 2)] == [(2, 3, 1), (2, 3, 3)]
    assert [p.shape for p in x.chunk(3, 2)] == [(2, 3, 2), (2, 3, 2)]
    widths = ((0, 1), (2, 0), (1, 1))
    np.testing.assert_array_equal(
        nx.pad(x, widths, 9).numpy(), np.pad(X, widths, constant_values=9)
    )
    np.testing.assert_array_equal(x.flip((0, 2)).numpy(), np.flip(X, (0, 2)))
    assert nx.concat([nx.ones(1), nx.arange(2)]).dtype == nx.float32


def test_joining_errors_name_the_tensor() -> None:
    with pytest.raises(ShapeError, match=r"tensor 1 has shape \(2, 4\)"):
        nx.concat([nx.zeros((2, 3)), nx.zeros((2, 4))], 0)
    with pytest.raises(ShapeError, match="tensor 2"):
        nx.stack([nx.zeros(2), nx.zeros(2), nx.zeros(3)])
    with pytest.raises(ShapeError, match="at least one tensor"):
        nx.concat([])
    with pytest.raises(ShapeError, match="do not add up"):
        nx.zeros(3).split([1, 1])
    with pytest.raises(ShapeError, match="a pair of non-negative widths for each of 2 axes"):
        nx.pad(nx.zeros((2, 2)), ((1, 1),))


def test_matmul_errors_and_shapes() -> None:
    assert (nx.ones((2, 1, 3, 4)) @ nx.ones((5, 4, 2))).shape == (2, 5, 3, 2)
    assert (nx.ones(3) @ nx.ones(3)).item() == 3
    with pytest.raises(ShapeError, match="must equal the second's last but one axis, 3"):
        nx.ones((2, 2)) @ nx.ones((3, 2))
    with pytest.raises(ShapeError, match="at least one axis"):
        nx.ones(()) @ nx.ones(2)
    with pytest.raises(ShapeError, match=r"expects \(\.\.\., 3\), but got \(2, 4\)"):
        nx.linear(nx.ones((2, 4)), nx.ones((5, 3)))


def test_creation_functions() -> None:
    assert nx.arange(5).tolist() == [0, 1, 2, 3, 4]
    assert nx.arange(5, 0, -2).tolist() == [5, 3, 1]
    assert nx.arange(0, 1, 0.25).tolist() == [0, 0.25, 0.5, 0.75]
    assert nx.arange(3, 3).shape == (0,)
    assert nx.linspace(0, 1, 3).tolist() == [0, 0.5, 1]
    assert nx.linspace(0, 0.1, 7)[-1].item() == np.float32(0.1)
    assert nx.eye(2, 3).tolist() == [[1, 0, 0], [0, 1, 0]]
    assert nx.full((2,), 1.5).dtype == nx.float32
    assert nx.full((2,), True).dtype == nx.bool
    assert nx.zeros_like(nx.arange(2)).dtype == nx.int64
    assert nx.ones_like(nx.zeros(2), nx.int32).tolist() == [1, 1]
    assert nx.empty((2, 3)).shape == (2, 3)
    assert nx.Tensor.zeros((2,), requires_grad=True).requires_grad
    with pytest.raises(ShapeError, match="no negative sizes"):
        nx.zeros((2, -1))
    with pytest.raises(ShapeError, match="sequence of integers"):
        nx.zeros(2.5)
    with pytest.raises(DeviceError, match="no backend for the device 'npu'"):
        nx.zeros(1, device="npu")


def test_sorting_is_stable_and_puts_nan_last() -> None:
    x = np.array([[3, 1, np.nan, 1], [0, -1, 5, -1]], np.float32)
    values, indices = nx.Tensor(x).sort()
    np.testing.assert_array_equal(values.numpy(), np.sort(x))
    np.testing.assert_array_equal(indices.numpy(), np.argsort(x, kind="stable"))
    assert nx.Tensor([1, 3, 3, 2]).argsort(descending=True).tolist() == [1, 2, 3, 0]
    top, places = nx.Tensor([1.0, 4.0, 2.0]).topk(2)
    assert (top.tolist(), places.tolist()) == ([4, 2], [1, 2])
    with pytest.raises(ShapeError, match="topk of 4 does not fit axis 0 of size 3"):
        nx.ones(3).topk(4)
