"""Constructors of tensors that stand on the class: ``Tensor.zeros((2, 3))``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neurenix import random
from neurenix.ops import creation

if TYPE_CHECKING:
    from neurenix.tensor import Tensor


class Creators:
    """The creation functions of `neurenix`, as static methods."""

    __slots__ = ()

    zeros = staticmethod(creation.zeros)
    ones = staticmethod(creation.ones)
    full = staticmethod(creation.full)
    empty = staticmethod(creation.empty)
    arange = staticmethod(creation.arange)
    linspace = staticmethod(creation.linspace)
    eye = staticmethod(creation.eye)
    rand = staticmethod(random.rand)
    randn = staticmethod(random.randn)
    randint = staticmethod(random.randint)
    randperm = staticmethod(random.randperm)
    zeros_like = staticmethod(creation.zeros_like)
    ones_like = staticmethod(creation.ones_like)
    full_like = staticmethod(creation.full_like)
    empty_like = staticmethod(creation.empty_like)
    rand_like = staticmethod(random.rand_like)
    randn_like = staticmethod(random.randn_like)

    @staticmethod
    def from_numpy(array: Any) -> Tensor:
        """Return a tensor over a NumPy array; see `neurenix.from_numpy`."""
        from neurenix.tensor.host import from_numpy

        return from_numpy(array)
