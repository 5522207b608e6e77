"""The tensor."""

from neurenix.tensor.host import from_dlpack, from_numpy
from neurenix.tensor.tensor import Tensor

__all__ = ["Tensor", "from_dlpack", "from_numpy"]
