"""Sizes beyond 32 bits, and what becomes of calls that cannot be carried out."""

from __future__ import annotations

import mmap

import numpy as np
import pytest

import neurenix as nx
from neurenix_backend_cpu import _native

# More elements than 32 bits count, in a mapping that takes memory where it is written only.
COUNT = (1 << 32) + 64
FUNCTIONS = {name: function for name, function, *_ in _native.KERNELS}


@pytest.fixture(scope="module")
def large() -> nx.Tensor:
    """A row of bytes; those around 0, 2^31 and 2^32 are not zero."""
    mapping = mmap.mmap(-1, COUNT)
    array = np.frombuffer(mapping, np.uint8)
    for start in (0, (1 << 31) - 8, (1 << 32) - 8):
        array[start : start + 16] = np.arange(1, 17)
    return nx.from_numpy(array)


@pytest.mark.parametrize("start", [(1 << 31) - 8, (1 << 32) - 8])
def test_elements_beyond_32_bits_are_read(large: nx.Tensor, start: int) -> None:
    window = large[start : start + 16]
    assert window.offset == start
    assert (window + 1).tolist() == list(range(2, 18))
    assert window.sum().item() == 136
    assert nx.concat([window, window[:2]]).tolist() == [*range(1, 17), 1, 2]


def test_steps_beyond_32_bits_are_taken(large: nx.Tensor) -> None:
    # A stride of 2^31 elements, twice, from the fourth element on.
    far = large[3 :: 1 << 31]
    assert far._strides == (1 << 31,)
    assert far.tolist() == [4, 12, 12]
    assert (far * 2).tolist() == [8, 24, 24]
    assert far.sum().item() == 28
    assert far.max().item() == 12


def test_elements_beyond_32_bits_are_written(large: nx.Tensor) -> None:
    last = (1 << 32) + 40
    large[last : last + 3] = nx.from_numpy(np.array([7, 8, 9], np.uint8))
    assert large[last - 1 : last + 4].tolist() == [0, 7, 8, 9, 0]


def test_more_elements_than_31_bits_count_are_reduced() -> None:
    x = nx.ones((1, 1), dtype=nx.bool).expand(((1 << 15) + 1, 1 << 16))  # one element in all places
    assert x.size > 1 << 31
    assert x.sum().item() == x.size


def test_what_no_memory_is_enough_for_is_an_error_that_names_it() -> None:
    with pytest.raises(MemoryError, match=str(4 << 44)):
        nx.empty((1 << 22, 1 << 22))
    with pytest.raises((MemoryError, ValueError), match=r"4611686018427387904"):
        _native.allocate((1 << 62, 16), np.dtype(np.float32))


def test_shapes_that_do_not_fit_are_named_by_the_kernel_itself() -> None:
    x, weight, out = nx.ones((1, 4, 5, 5)), nx.ones((6, 2, 3, 3)), nx.ones((1, 6, 3, 3))
    settings = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1)}
    for groups, result in ((1, out), (2, nx.ones((1, 6, 4, 3)))):
        with pytest.raises(ValueError, match=r"images \[1, 4, 5, 5\] and a weight \[6, 2, 3, 3\]"):
            FUNCTIONS["conv2d"](result, x, weight, None, groups=groups, **settings)
    FUNCTIONS["conv2d"](out, x, weight, None, groups=2, **settings)
    assert out.tolist() == [[[[18.0] * 3] * 3] * 6]
    for b in (nx.ones((5, 4)), nx.ones((3,)), nx.ones((7, 3, 4))):
        with pytest.raises(ValueError, match=r"\[2, 4\] is no product of \[2, 3\] and \["):
            FUNCTIONS["matmul"](nx.ones((2, 4)), nx.ones((2, 3)), b)


def test_a_panic_is_a_runtime_error_with_the_name_of_the_op() -> None:
    out, images = nx.ones((1, 4, 3, 3)), nx.ones((1, 4, 5, 5))
    settings = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "groups": 1}
    with pytest.raises(RuntimeError, match=r"native kernel .conv2d. failed.*defect"):
        FUNCTIONS["conv2d"](out, images[0], nx.ones((4, 4, 3, 3)), None, **settings)
