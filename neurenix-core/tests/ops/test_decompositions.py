"""Every composite's decomposition against its NumPy kernel, on the op's own samples."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from neurenix import default_device, no_grad
from neurenix.ops.op import OPS
from neurenix.tensor import Tensor
from neurenix.testing import Sample, samples_of

KERNELS = default_device().kernels
COMPOSITES = sorted(
    op.name for op in OPS.values() if op.decomposition is not None and op.name in KERNELS.native
)
SAMPLES = [sample for name in COMPOSITES if OPS[name].rules for sample in samples_of(name)]


@pytest.fixture
def without_kernel(request: pytest.FixtureRequest) -> Iterator[str]:
    name = request.param
    kernel = KERNELS.native.pop(name)
    KERNELS.clear()
    yield name
    KERNELS.native[name] = kernel
    KERNELS.clear()


@pytest.mark.parametrize(
    ("without_kernel", "sample"), [(s.op, s) for s in SAMPLES], indirect=["without_kernel"], ids=str
)
def test_decomposition_equals_kernel(without_kernel: str, sample: Sample) -> None:
    with no_grad():
        tensors = [Tensor(x) for x in sample.inputs]
        decomposed = sample.function(*tensors).numpy()
    key = (OPS[without_kernel],)
    assert all(KERNELS[k] is None for k in KERNELS if k[:1] == key)
    kernel = _with_kernel(sample, without_kernel)
    np.testing.assert_allclose(decomposed, kernel, rtol=1e-9, atol=1e-12)
    assert decomposed.dtype == kernel.dtype


def _with_kernel(sample: Sample, name: str) -> np.ndarray:
    import neurenix.backends.numpy.table as table

    KERNELS.native[name] = table.KERNELS[name]
    KERNELS.clear()
    try:
        with no_grad():
            return sample.function(*[Tensor(x) for x in sample.inputs]).numpy()
    finally:
        del KERNELS.native[name]
        KERNELS.clear()
