"""Random numbers from a counter: the same on every device, for a seed."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from functools import partial
from operator import index
from typing import TYPE_CHECKING, Any

import numpy as np

from neurenix.backends.device import DeviceLike
from neurenix.backends.registry import resolve
from neurenix.dtypes import as_dtype, bfloat16, float16, float32, int64
from neurenix.errors import ShapeError
from neurenix.ops import dispatch
from neurenix.ops import random as ops
from neurenix.ops.creation import ShapeLike, as_shape
from neurenix.ops.mode import mode

if TYPE_CHECKING:
    from neurenix.tensor import Tensor

_MASK = 0xFFFFFFFF


class Generator:
    """A stream of random numbers: a key of 64 bits, and the number of draws so far.

    A draw depends on the key and its number alone, neither on the device nor on what other
    generators did.

    Args:
        seed: Any integer; its low 64 bits are the key.
    """

    def __init__(self, seed: int = 0) -> None:
        self._lock = threading.Lock()
        self.manual_seed(seed)

    def manual_seed(self, seed: int) -> Generator:
        """Start over with a seed, and return the generator."""
        seed = index(seed)
        self.set_state((seed & _MASK, (seed >> 32) & _MASK, 0))
        return self

    def fork(self, *keys: int | str) -> Generator:
        """Return the generator of a stream of its own, named by keys.

        The same keys give the same stream, however much was drawn from this one.
        """
        # Plain numbers, since repr writes NumPy's in another way.
        plain = tuple(key if isinstance(key, str) else index(key) for key in keys)
        text = repr((self._key, plain)).encode()
        return Generator(int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little"))

    def get_state(self) -> tuple[int, int, int]:
        """Return the state: two words of key, and the number of draws."""
        with self._lock:
            return (*self._key, self._draws)

    def set_state(self, state: tuple[int, int, int]) -> None:
        """Go on from a state that `get_state` gave."""
        low, high, draws = state
        with self._lock:
            self._key, self._draws = (int(low), int(high)), int(draws)

    def __deepcopy__(self, memo: dict[int, Any]) -> Generator:
        twin = Generator()
        twin.set_state(self.get_state())
        memo[id(self)] = twin
        return twin

    def next_key(self, device: Any) -> Tensor:
        """Return the key of the next draw, for `neurenix.ops.random.random_bits`."""
        if mode.tracer is not None:
            return mode.tracer.random_key(self, device)
        with self._lock:
            low, high = self._key
            draw = self._draws
            self._draws += 1
        words = np.array([low, high, draw & _MASK], dtype=np.uint32).view(np.int32)
        buffer = device.backend.from_host(words, device.index)
        return dispatch.make(buffer, words.dtype, (3,), device)


_default = Generator(0)


def default_generator() -> Generator:
    """Return the generator that is used where none is given."""
    return _default


def manual_seed(seed: int) -> Generator:
    """Seed the default generator, and return it."""
    return _default.manual_seed(seed)


def _draw(
    make: Callable[[Tensor, tuple[int, ...]], Tensor],
    shape: ShapeLike,
    dtype: Any,
    device: DeviceLike | None,
    requires_grad: bool,
    generator: Generator | None,
) -> Tensor:
    key = (generator or _default).next_key(resolve(device))
    out = make(key, as_shape(shape)).astype(as_dtype(dtype))
    out.requires_grad = requires_grad
    return out


def rand(
    shape: ShapeLike,
    dtype: Any = float32,
    device: DeviceLike | None = None,
    requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Return numbers evenly distributed in [0, 1)."""
    # As many binary digits as the dtype has: with more, the largest would be rounded to 1.
    digits = {float16: 11, bfloat16: 8}.get(as_dtype(dtype), 24)
    make = partial(ops.uniform, digits=digits)
    return _draw(make, shape, dtype, device, requires_grad, generator)


def randn(
    shape: ShapeLike,
    dtype: Any = float32,
    device: DeviceLike | None = None,
    requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Return numbers of the standard normal distribution."""
    return _draw(ops.normal, shape, dtype, device, requires_grad, generator)


def randint(
    low: int,
    high: int,
    shape: ShapeLike,
    dtype: Any = int64,
    device: DeviceLike | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """Return integers from ``low`` to ``high - 1``.

    Raises:
        ShapeError: The range is empty or wider than 2^31.
    """
    if not 0 < high - low <= 2**31:
        raise ShapeError(f"randint needs low < high, at most 2^31 apart, got {low} and {high}")
    return _draw(
        lambda key, sizes: ops.integers(key, low, high, sizes),
        shape,
        dtype,
        device,
        False,
        generator,
    )


def randperm(
    n: int, device: DeviceLike | None = None, generator: Generator | None = None
) -> Tensor:
    """Return the integers from 0 to n - 1 in random order: the order of n random words."""
    from neurenix.ops.sort import argsort

    key = (generator or _default).next_key(resolve(device))
    return argsort(ops.random_bits(key, shape=as_shape(n)))


def rand_like(x: Tensor, generator: Generator | None = None) -> Tensor:
    """Return uniform numbers of another tensor's shape, dtype and device."""
    return rand(x.shape, x.dtype, x.device, generator=generator)


def randn_like(x: Tensor, generator: Generator | None = None) -> Tensor:
    """Return normal numbers of another tensor's shape, dtype and device."""
    return randn(x.shape, x.dtype, x.device, generator=generator)
