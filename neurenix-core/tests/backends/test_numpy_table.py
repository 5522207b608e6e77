"""Kernels within kernels: what a signal handler or a finalizer does at any time."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import neurenix as nx
from neurenix.backends.numpy.table import quiet


def test_ops_within_a_kernel_work_and_stay_quiet() -> None:
    x = nx.Tensor([1.0, 0.0])
    results: list[nx.Tensor] = []

    def handler() -> None:
        results.extend([1.0 / x, -x, nx.sigmoid(x), nx.softmax(x)])

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quiet.run(handler)
    assert results[0].tolist() == [1, np.inf]
    assert results[1].tolist() == [-1, 0]
    assert [r.shape for r in results[2:]] == [(2,), (2,)]


def test_a_runtime_error_of_a_kernels_own_is_not_taken_for_nesting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x = nx.ones(2)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("out of luck")

    monkeypatch.setattr(quiet, "run", fail)
    with pytest.raises(RuntimeError, match="out of luck"):
        x + x
