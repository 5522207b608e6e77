"""Every op, and its gradients, in 16-bit floats: as exact as these are, for they compute wider."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import neurenix as nx
from neurenix.ops.op import OPS
from neurenix.testing import Sample, samples, samples_movement, samples_nn, samples_of

NAMES = sorted(op.name for op in OPS.values() if op.rules and op.name != "to_device")
EPSILON = {nx.float16: 2.0**-11, nx.bfloat16: 2.0**-8}


def results(sample: Sample, dtype: np.dtype) -> list[np.ndarray]:
    leaves = [
        # Numbers that both 16-bit dtypes hold.
        nx.Tensor(x).astype(nx.bfloat16).astype(nx.float16).astype(dtype)
        for x in sample.inputs
    ]
    for leaf in leaves:
        leaf.requires_grad = True
    out = sample.function(*leaves)
    seed = nx.ones_like(out.detach())
    found = nx.grad(out, leaves, grad_outputs=seed, allow_unused=True)
    tensors = [out.detach(), *(g for g in found if g is not None)]
    assert all(tensor.dtype == dtype for tensor in tensors)
    return [tensor.numpy().astype(np.float64) for tensor in tensors]


@pytest.mark.parametrize("dtype", EPSILON, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_values_and_gradients(name: str, dtype: np.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(chosen: np.dtype) -> list[list[np.ndarray]]:
        def constant(value: Any) -> nx.Tensor:
            tensor = nx.Tensor(np.asarray(value))
            return tensor.astype(chosen) if tensor.dtype == nx.float64 else tensor

        for module in (samples, samples_movement, samples_nn):
            monkeypatch.setattr(module, "constant", constant)
        return [results(sample, chosen) for sample in samples_of(name)]

    tolerance = 2 * EPSILON[dtype]
    for halves, doubles in zip(run(dtype), run(nx.float64), strict=True):
        for ours, theirs in zip(halves, doubles, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)
