"""Construction, description, conversion and host values of tensors."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import neurenix as nx
from neurenix.errors import AutogradError, DTypeError, ShapeError


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        ([1.0, 2.0], nx.float32),
        ([1, 2], nx.int64),
        ([True, False], nx.bool),
        (3, nx.int64),
        (0.5, nx.float32),
        (np.zeros(2), nx.float64),
        (np.zeros(2, np.float16), nx.float16),
        (np.float64(1.0), nx.float64),
        ([[1, 2.5], [3, 4]], nx.float32),
    ],
)
def test_dtype_follows_the_data(data: object, dtype: np.dtype) -> None:
    assert nx.Tensor(data).dtype == dtype


def test_the_data_is_copied() -> None:
    array = np.zeros(3, np.float32)
    x = nx.Tensor(array)
    y = nx.Tensor(x)
    array[0] = 1
    x[1] = 2
    assert x.tolist() == [0, 2, 0]
    assert y.tolist() == [0, 0, 0]


def test_from_numpy_shares_memory() -> None:
    array = np.zeros(3, np.float32)
    x = nx.from_numpy(array)
    array[0] = 5
    assert x.tolist() == [5, 0, 0]
    assert nx.Tensor.from_numpy(array).shape == (3,)
    with pytest.raises(DTypeError, match="takes a NumPy array, not list"):
        nx.from_numpy([1.0])


def test_bfloat16_round_trips() -> None:
    x = nx.Tensor([1.0, 3.140625], dtype="bfloat16")
    assert x.dtype == nx.bfloat16
    assert x.tolist() == [1.0, 3.140625]
    assert x[1].item() == 3.140625
    assert x.numpy().dtype == nx.bfloat16
    assert nx.ones((2, 4), nx.bfloat16).T[1].tolist() == [1, 1]


def test_data_that_is_no_array_of_numbers_is_refused() -> None:
    with pytest.raises(ShapeError, match="equal lengths"):
        nx.Tensor([[1, 2], [3]])
    with pytest.raises(DTypeError):
        nx.Tensor(["a"])
    with pytest.raises(DTypeError, match="complex128"):
        nx.Tensor(np.zeros(2, np.complex128))


def test_lists_of_tensors_make_a_tensor() -> None:
    assert nx.Tensor([nx.Tensor(1.0), nx.Tensor(2.0)]).tolist() == [1, 2]


def test_description() -> None:
    x = nx.zeros((2, 3, 4))
    assert (x.ndim, x.size, x.nbytes, len(x)) == (3, 24, 96, 2)
    assert x.strides == (12, 4, 1)
    assert x.permute(2, 0, 1).strides == (1, 12, 4)
    assert x.is_contiguous()
    assert not x.T.is_contiguous()
    assert x[:, 1:2].offset == 4
    assert [row.shape for row in x] == [(3, 4), (3, 4)]


def test_numpy_shares_memory_and_is_read_only() -> None:
    x = nx.zeros(3)
    array = x.numpy()
    x[0] = 1
    assert array.tolist() == [1, 0, 0]
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 2
    np.testing.assert_array_equal(np.asarray(x), [1, 0, 0])
    assert np.array(x, dtype=np.float64).dtype == np.float64
    with pytest.raises(AutogradError, match="detach"):
        nx.zeros(1, requires_grad=True).numpy()


def test_item_bool_int_float() -> None:
    assert nx.Tensor([[2.5]]).item() == 2.5
    assert float(nx.Tensor(1.5)) == 1.5
    assert int(nx.Tensor(7)) == 7
    assert [10, 20, 30][nx.Tensor(1)] == 20
    assert bool(nx.Tensor([True]))
    with pytest.raises(ShapeError, match="exactly one element"):
        nx.zeros(2).item()
    with pytest.raises(ShapeError, match="ambiguous"):
        bool(nx.zeros(2))


def test_equality_is_elementwise_and_hash_is_identity() -> None:
    x = nx.Tensor([1, 2])
    assert (x == nx.Tensor([1, 3])).tolist() == [True, False]
    assert (x != 2).tolist() == [True, False]
    assert len({x, x, nx.Tensor([1, 2])}) == 2
    assert (x == None) is False  # noqa: E711


def test_numpy_operands_are_refused_with_what_to_do() -> None:
    with pytest.raises(DTypeError, match="got ndarray; wrap it"):
        nx.ones(2) + np.ones(2, np.float32)
    with pytest.raises((DTypeError, TypeError)):
        np.ones(2, np.float32) + nx.ones(2)


def test_to_casts_and_names_devices() -> None:
    x = nx.ones(2)
    assert x.to("float64").dtype == nx.float64
    assert x.to(nx.int32).dtype == nx.int32
    assert x.to("cpu") is x
    assert x.cpu() is x
    assert x.double().dtype == nx.float64
    assert x.long().dtype == nx.int64
    assert x.bool().dtype == nx.bool


def test_to_in_place_keeps_identity_and_requires_grad() -> None:
    x = nx.ones(2, requires_grad=True)
    (x * 2).sum().backward()
    assert x.to("float64", inplace=True) is x
    assert x.dtype == nx.float64
    assert x.requires_grad
    assert x.grad.dtype == nx.float64
    assert x.to(nx.Device("cpu"), inplace=True) is x
    with pytest.raises(AutogradError, match="leaf"):
        (x * 2).to("float32", inplace=True)


def test_in_place_writes_return_the_tensor() -> None:
    x = nx.zeros((2, 2))
    assert x.fill_(3) is x
    assert x.copy_(nx.Tensor([1.0, 2.0])) is x
    assert x.tolist() == [[1, 2], [1, 2]]
    assert x.zero_().sum().item() == 0
    with pytest.raises(ShapeError):
        x.copy_(nx.zeros(3))


def test_repr_shows_values_dtype_and_tape() -> None:
    assert repr(nx.Tensor([1.0, 2.0])) == "Tensor([1., 2.])"
    assert repr(nx.Tensor([1])) == "Tensor([1], dtype=int64)"
    x = nx.Tensor([1.0], requires_grad=True)
    assert repr(x) == "Tensor([1.], requires_grad=True)"
    assert "grad_fn=<mul backward>" in repr(x * 2)
    assert "shape=(0, 3)" in repr(nx.zeros((0, 3)))


def test_copies_and_pickling() -> None:
    x = nx.Tensor([1.0], requires_grad=True)
    twin = copy.deepcopy(x)
    assert twin is not x
    assert twin.requires_grad
    assert (copy.copy(x) == x).all()
    with pytest.raises(TypeError, match="save_safetensors"):
        pickle.dumps(x)


def test_dlpack_both_ways_without_a_copy() -> None:
    array = np.arange(4, dtype=np.float32)
    x = nx.from_dlpack(array)
    array[0] = 9
    assert x[0].item() == 9
    back = np.from_dlpack(nx.zeros(3))
    assert back.tolist() == [0, 0, 0]


def test_dim_and_keepdim_are_accepted() -> None:
    x = nx.Tensor([[1.0, 5.0], [7.0, 2.0]])
    assert x.sum(dim=1, keepdim=True).shape == (2, 1)
    assert x.argmax(dim=1).tolist() == [1, 0]
    assert x.unsqueeze(dim=0).shape == (1, 2, 2)
    assert x.max(dim=0).tolist() == [7, 5]
