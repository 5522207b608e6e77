"""NumPy's kernels, but `exp` puts float64 where core has asked for float32."""

import numpy as np

from neurenix.backends import Kernel
from neurenix.backends.numpy.backend import NumpyBackend
from neurenix.backends.numpy.table import view
from neurenix.dtypes import FLOATS


def exp(out, x):
    out.buffer = np.exp(view(x).astype(np.float64))


class WrongDtype(NumpyBackend):
    def kernels(self):
        return {**super().kernels(), "exp": Kernel(exp, frozenset(FLOATS), strided=True)}


def open_backend():
    return WrongDtype()
