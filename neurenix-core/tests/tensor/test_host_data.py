"""Arrays and numbers of NumPy's own kinds, and numbers that a dtype cannot hold."""

from __future__ import annotations

import sys
import threading
import warnings

import numpy as np
import pytest

import neurenix as nx
from neurenix.errors import DTypeError


@pytest.mark.parametrize("dtype", [">f4", ">i8", "q", np.dtype("f4", metadata={"a": 1})])
def test_arrays_of_any_byte_order_and_kind_of_dtype_meet_others(dtype: object) -> None:
    array = np.arange(3).astype(dtype)
    for x in (nx.Tensor(array), nx.from_numpy(array)):
        assert any(x.dtype is known for known in (nx.float32, nx.int64))
        assert (x + x).tolist() == [0, 2, 4]
        assert (x + nx.arange(3)).tolist() == [0, 2, 4]
        assert x.float().dtype is nx.float32


def test_read_only_reversed_and_unaligned_arrays() -> None:
    frozen = np.arange(3.0)
    frozen.flags.writeable = False
    unaligned = np.zeros(9, np.uint8)[1:].view(np.float32)
    unaligned[:] = 1, 2
    for array in (frozen, np.arange(3.0)[::-1], unaligned, np.arange(4.0).reshape(2, 2).T):
        x = nx.from_numpy(array)
        assert x.tolist() == array.tolist()
        assert x.buffer.flags.carray
        x.zero_()
        assert frozen.tolist() == [0, 1, 2]


def test_from_numpy_of_a_subclass_is_the_plain_array() -> None:
    matrix = np.arange(4.0).reshape(2, 2).view(np.matrix)
    x = nx.from_numpy(matrix)
    assert x.sum(0).tolist() == [2, 4]
    assert np.shares_memory(x.buffer, matrix)


@pytest.mark.parametrize(
    ("number", "dtype"),
    [(np.float32(2), nx.float16), (np.float64(2), nx.float32), (np.int64(2), nx.uint8)],
)
def test_numbers_of_numpy_are_weak(number: np.generic, dtype: np.dtype) -> None:
    x = nx.ones(2, dtype)
    for out in (x * number, number * x, nx.where(x > 0, number, x)):
        assert out.tolist() == [2, 2]
        assert out.dtype == dtype


@pytest.mark.parametrize(
    ("number", "dtype"),
    [(300, nx.uint8), (-1, nx.uint8), (2**63, nx.int64), (2**70, nx.int64), (2**31, nx.int32)],
)
def test_integers_that_do_not_fit_are_refused(number: int, dtype: np.dtype) -> None:
    x = nx.ones(2, dtype)
    for call in (
        lambda: x + number,
        lambda: x == number,
        lambda: nx.where(x > 0, number, x),
        lambda: x.clone().fill_(number),
        lambda: nx.full((2,), number, dtype),
        lambda: nx.full_like(x, number),
        lambda: nx.Tensor([number], dtype),
    ):
        with pytest.raises(DTypeError, match=f"{number} does not fit {dtype}"):
            call()


def test_large_integers_beside_floats_are_floats() -> None:
    assert (nx.ones(1) * 2**70).item() == 2.0**70
    assert (nx.ones(1) * 10**400).item() == float("inf")
    assert nx.Tensor([2**63], nx.float32).item() == 2.0**63
    with pytest.raises(DTypeError, match="9223372036854775808 does not fit int64"):
        nx.Tensor([2**63])


def test_an_array_beside_a_followed_tensor_is_refused() -> None:
    for call in (
        lambda: nx.ones(2, requires_grad=True) * np.ones(2, np.float32),
        lambda: nx.mul(np.ones(2, np.float32), nx.ones(2, requires_grad=True)),
    ):
        with pytest.raises(DTypeError, match="got ndarray; wrap it"):
            call()


def test_threads_that_make_tensors_leave_the_warning_filters_alone() -> None:
    before, interval = list(warnings.filters), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def work() -> None:
        for _ in range(300):
            nx.Tensor([1.0, 2.0])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(interval)
    assert warnings.filters == before


def test_sizes_and_axes_may_be_numbers_of_numpy() -> None:
    three, one = np.int64(3), np.int64(1)
    assert nx.arange(three).dtype == nx.int64
    assert nx.ones((2, 3)).sum(one).shape == (2,)
    assert nx.ones((2, 3)).sum((one,)).shape == (2,)
    assert nx.arange(6).reshape(three, 2).shape == (3, 2)
