"""Threefry-2x32 against the known answers published with it, and the layout of its stream."""

from __future__ import annotations

import numpy as np
import pytest

from neurenix.backends.numpy.threefry import random_bits, threefry2x32

# key, counter, result: from the file kat_vectors of the authors' library Random123, 20 rounds.
KNOWN_ANSWERS = [
    ((0x00000000, 0x00000000), (0x00000000, 0x00000000), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
    ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
]


@pytest.mark.parametrize(("key", "counter", "expected"), KNOWN_ANSWERS)
def test_known_answers(
    key: tuple[int, int], counter: tuple[int, int], expected: tuple[int, int]
) -> None:
    x0, x1 = (np.array([word], np.uint32) for word in counter)
    first, second = threefry2x32(*key, x0, x1)
    assert (int(first[0]), int(second[0])) == expected


def test_the_stream_of_a_key() -> None:
    key = np.array([-5, 7, 3], np.int32)
    bits = np.empty((3, 20001), np.int32)  # odd, and more than one block of counters
    random_bits(bits, key)
    words = bits.reshape(-1).view(np.uint32)
    for i in (0, 1, 16383, 16384, 30000):
        block = threefry2x32(2**32 - 5, 7, np.array([i], np.uint32), np.array([3], np.uint32))
        assert [int(words[2 * i]), int(words[2 * i + 1])] == [int(block[0][0]), int(block[1][0])]
    shorter = np.empty(7, np.int32)
    random_bits(shorter, key)
    np.testing.assert_array_equal(shorter, bits.reshape(-1)[:7])


def test_draws_and_keys_differ() -> None:
    streams = [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0)]
    bits = np.empty((4, 1000), np.int32)
    for row, key in zip(bits, streams, strict=True):
        random_bits(row, np.array(key, np.int32))
    assert len(np.unique(bits)) > 3990  # 4000 words of 32 bits collide about 0.002 times
    ones = np.unpackbits(bits.view(np.uint8)).mean()
    assert abs(ones - 0.5) < 5 * 0.5 / np.sqrt(bits.size * 32)
