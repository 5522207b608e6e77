"""The tensor."""

from neurenix.tensor.tensor import Tensor, from_dlpack, from_numpy

__all__ = ["Tensor", "from_dlpack", "from_numpy"]
