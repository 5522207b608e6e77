"""Indexing against NumPy, reading and writing."""

from __future__ import annotations

import numpy as np
import pytest

import neurenix as nx
from neurenix.backends.numpy.table import view
from neurenix.backends.protocol import Kernel
from neurenix.errors import AutogradError, DTypeError, ShapeError

BASE = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
MASK = BASE[:, :, 0] % 3 == 0
KEYS = {
    "integer": np.s_[1],
    "negative integer": np.s_[-1, 2],
    "slices": np.s_[:, 1:3, ::2],
    "slice past the end": np.s_[1:99],
    "empty slice": np.s_[2:1],
    "ellipsis": np.s_[..., 3],
    "ellipsis in the middle": np.s_[1, ..., 2],
    "new axes": np.s_[None, :, None, 2],
    "everything": np.s_[...],
    "list": np.s_[[2, 0]],
    "negative list": np.s_[:, [-1, 0]],
    "two lists": np.s_[[0, 2], [1, 3]],
    "two lists apart": np.s_[[0, 2], :, [1, 3]],
    "lists that broadcast": np.s_[:, [[0], [1]], [2, 3, 4]],
    "list and slice": np.s_[1:, [0, 0, 3], 1],
    "empty list": np.s_[[]],
    "mask of all axes": BASE > 30,
    "mask of two axes": MASK,
    "mask of the last axis": np.s_[..., np.array([True, False, True, False, True])],
    "mask of nothing": np.zeros((3, 4, 5), bool),
    "array": np.s_[np.array([[0, 1], [2, 2]])],
}


@pytest.mark.parametrize("label", KEYS)
def test_reading_equals_numpy(label: str) -> None:
    key = KEYS[label]
    np.testing.assert_array_equal(nx.Tensor(BASE)[key].numpy(), BASE[key])


@pytest.mark.parametrize("label", KEYS)
def test_writing_a_scalar_equals_numpy(label: str) -> None:
    key, expected, ours = KEYS[label], BASE.copy(), nx.Tensor(BASE)
    expected[key] = -1
    ours[key] = -1
    np.testing.assert_array_equal(ours.numpy(), expected)


@pytest.mark.parametrize("label", KEYS)
def test_writing_values_equals_numpy(label: str) -> None:
    key, expected, ours = KEYS[label], BASE.copy(), nx.Tensor(BASE)
    value = np.random.default_rng(0).random(BASE[key].shape, np.float32)
    expected[key] = value
    ours[key] = nx.Tensor(value)
    np.testing.assert_array_equal(ours.numpy(), expected)


@pytest.mark.parametrize("label", KEYS)
def test_gradient_of_reading_counts_each_use(label: str) -> None:
    key = KEYS[label]
    x = nx.Tensor(BASE, requires_grad=True)
    x[key].sum().backward()
    expected = np.zeros_like(BASE)
    np.add.at(expected, key, 1)
    np.testing.assert_array_equal(x.grad.numpy(), expected)


def test_negative_steps_read_backwards() -> None:
    np.testing.assert_array_equal(nx.Tensor(BASE)[::-1, ::-2].numpy(), BASE[::-1, ::-2])
    with pytest.raises(ShapeError, match="negative step"):
        nx.Tensor(BASE)[::-1] = 0


def test_index_tensors_work_as_keys() -> None:
    x = nx.Tensor(BASE)
    index = nx.Tensor([2, 0])
    np.testing.assert_array_equal(x[index].numpy(), BASE[[2, 0]])
    np.testing.assert_array_equal(x[x > 50].numpy(), BASE[BASE > 50])
    assert x[nx.Tensor(1), nx.Tensor(2), nx.Tensor(3)].item() == BASE[1, 2, 3]


def test_writing_broadcasts_and_refuses_what_does_not_fit() -> None:
    x = nx.zeros((3, 4))
    x[:, 1:3] = nx.Tensor([[1.0], [2.0], [3.0]])
    assert x[:, 2].tolist() == [1, 2, 3]
    with pytest.raises(ShapeError, match=r"\(2,\) cannot be written to \(3, 4\)"):
        x[...] = nx.Tensor([1.0, 2.0])


def test_writing_to_a_view_writes_to_its_source() -> None:
    x = nx.zeros((2, 3))
    x[1][0] = 5
    x.T[2, 0] = 7
    assert x.tolist() == [[0, 0, 7], [5, 0, 0]]


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (np.s_[3], "index 3 is out of range for axis 0"),
        (np.s_[:, [4]], "index 4 is out of range for an axis of size 4"),
        (np.s_[0, 0, 0, 0], "4 indices are too many for a tensor of 3 axes"),
        (np.s_[..., ...], "at most one Ellipsis"),
        (np.zeros(3, bool)[None], "does not fit the axes"),
    ],
)
def test_bad_indices_are_named(key: object, message: str) -> None:
    with pytest.raises(IndexError, match=message):
        nx.Tensor(BASE)[key]


def test_float_index_is_refused() -> None:
    with pytest.raises(DTypeError, match="integers or bools"):
        nx.Tensor(BASE)[nx.Tensor([0.5])]


def test_assignment_to_what_autograd_follows_is_refused() -> None:
    x = nx.zeros(3, requires_grad=True)
    with pytest.raises(AutogradError, match="would lose it"):
        x[0] = 1
    plain = nx.zeros(3)
    with pytest.raises(AutogradError, match="where"):
        plain[0] = x[0]
    with nx.no_grad():
        x[0] = 1
    assert x.tolist() == [1, 0, 0]


def test_writing_what_overlaps_its_source_needs_no_care_of_the_copy_kernel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def forwards(out: nx.Tensor, x: nx.Tensor) -> None:
        for i in range(len(out)):
            view(out)[i] = view(x)[i]

    x = nx.arange(5)
    native = x.device.kernels.native
    monkeypatch.setitem(native, "copy", Kernel(forwards, strided=True))
    x.device.kernels.clear()
    x[1:] = x[:-1]
    assert x.tolist() == [0, 0, 1, 2, 3]
    x[1:].copy_(x[:-1])
    assert x.tolist() == [0, 0, 0, 1, 2]
    x[[4, 3, 2]] = x[2:]
    assert x.tolist() == [0, 0, 2, 1, 0]
    x.device.kernels.clear()


def test_a_tuple_is_a_list_of_indices_within_a_key() -> None:
    np.testing.assert_array_equal(nx.Tensor(BASE)[(2, 0), 1].numpy(), BASE[(2, 0), 1])


def test_an_integer_goes_before_index_tensors_as_in_pytorch() -> None:
    np.testing.assert_array_equal(nx.Tensor(BASE)[0, :, [1, 2]].numpy(), BASE[0][:, [1, 2]])


@pytest.mark.parametrize("dtype", [nx.uint8, nx.int8, nx.int32, nx.int64])
def test_index_tensors_of_every_integer_dtype(dtype: np.dtype) -> None:
    index = nx.Tensor([2, 0], dtype)
    np.testing.assert_array_equal(nx.Tensor(BASE)[index].numpy(), BASE[[2, 0]])
    wide = nx.zeros((300, 2))
    if dtype != nx.uint8:
        assert wide[nx.Tensor([-1], dtype)].shape == (1, 2)
    with pytest.raises(IndexError, match="out of range for an axis of size 3"):
        nx.Tensor(BASE)[nx.Tensor([3], dtype)]
