"""NumPy's kernels, but `sub` writes to its input, and `neg` past the end of its output.

The results themselves are right. What lies past the end is there only where the output is a part
of a larger buffer.
"""

import numpy as np

from neurenix.backends import Kernel
from neurenix.backends.numpy.backend import NumpyBackend
from neurenix.backends.numpy.table import view
from neurenix.dtypes import float32


def sub(out, x, y):
    np.subtract(view(x), view(y), out=view(out))
    if x.size:
        view(x).flat[0] = 7


def neg(out, x):
    np.negative(view(x), out=view(out))
    end = out.offset + out.size
    out.buffer.reshape(-1)[end : end + 1] = 7


class WritesOutside(NumpyBackend):
    def kernels(self):
        floats = frozenset([float32])
        mine = {"sub": Kernel(sub, floats, strided=True), "neg": Kernel(neg, floats, strided=True)}
        return {**super().kernels(), **mine}


def open_backend():
    return WritesOutside()
