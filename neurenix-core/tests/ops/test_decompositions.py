"""Every composite's decomposition against its NumPy kernel, on the op's own samples."""

from __future__ import annotations

import numpy as np
import pytest

from neurenix import no_grad
from neurenix.backends.kernel_table import KernelTable
from neurenix.backends.registry import host_device
from neurenix.ops.op import OPS
from neurenix.tensor import Tensor
from neurenix.testing import Sample, samples_of
from neurenix.testing.samples import constants_on

HOST = host_device()
COMPOSITES = sorted(
    op.name
    for op in OPS.values()
    if op.decomposition is not None and op.name in HOST.kernels.native
)
with constants_on(HOST):
    SAMPLES = [sample for name in COMPOSITES if OPS[name].rules for sample in samples_of(name)]


@pytest.fixture
def without_kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    name: str = request.param
    left = {key: kernel for key, kernel in HOST.kernels.native.items() if key != name}
    monkeypatch.setattr(HOST, "kernels", KernelTable(left))
    return name


@pytest.mark.parametrize(
    ("without_kernel", "sample"), [(s.op, s) for s in SAMPLES], indirect=["without_kernel"], ids=str
)
def test_decomposition_equals_kernel(
    without_kernel: str, sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    decomposed = _value(sample)
    table = HOST.kernels
    assert all(table[key] is None for key in table if key[0].name == without_kernel)
    monkeypatch.undo()
    kernel = _value(sample)
    np.testing.assert_allclose(decomposed, kernel, rtol=1e-9, atol=1e-12)
    assert decomposed.dtype == kernel.dtype


def _value(sample: Sample) -> np.ndarray:
    with no_grad(), constants_on(HOST):
        return sample.function(*[Tensor(x, device=HOST) for x in sample.inputs]).numpy()
