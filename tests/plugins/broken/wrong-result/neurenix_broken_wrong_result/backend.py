"""NumPy's kernels, but a product that is wrong in its third digit."""

import numpy as np

from neurenix.backends import Kernel
from neurenix.backends.numpy.backend import NumpyBackend
from neurenix.backends.numpy.table import view
from neurenix.dtypes import float32


def mul(out, x, y):
    np.multiply(view(x), view(y), out=view(out))
    np.multiply(view(out), 1.001, out=view(out), casting="unsafe")


class WrongResult(NumpyBackend):
    def kernels(self):
        return {**super().kernels(), "mul": Kernel(mul, frozenset([float32]), strided=True)}


def open_backend():
    return WrongResult()
