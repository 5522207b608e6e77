"""L1: the primitives. Every backend has a kernel for each; everything else is made of them."""

from __future__ import annotations

import numpy as np
import pytest

from neurenix.backends import Device
from neurenix.dtypes import DType
from neurenix.ops import dispatch
from neurenix.ops.op import OPS
from neurenix.testing import cases
from neurenix.testing.calls import calls_of
from neurenix.testing.cases import Case
from neurenix.testing.checks import check_values
from neurenix.testing.conformance.reporter import chosen_ops
from neurenix.testing.layouts import place
from neurenix.testing.references import expected
from neurenix.testing.running import has_kernel
from neurenix.testing.tolerances import difference


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test of every call."""
    ops = cases.names("primitive", chosen_ops(metafunc.config))
    makers = {
        "test_values": cases.value_cases,
        "test_layouts": cases.layout_cases,
        "test_results_in_the_place_of_an_input": cases.in_place_cases,
    }
    name = metafunc.function.__name__
    if name in makers:
        metafunc.parametrize("case", list(makers[name](ops)), ids=str)
    else:
        pairs = list(cases.required_kernels(ops))
        metafunc.parametrize(("op", "dtype"), pairs, ids=[f"{o}-{d}" for o, d in pairs])


def test_every_primitive_has_a_kernel(op: str, dtype: DType, device: Device) -> None:
    """The device has a kernel of its own for a primitive, in a dtype that is compulsory."""
    if OPS[op].name == "copy":  # it moves bytes, whatever its dtypes
        assert "copy" in device.kernels.native
        return
    made = [call.cast(dtype) for call in calls_of(op) if dtype in call.dtypes()]
    call = next(c for c in made if c.attrs.get("dtype", dtype) == dtype)
    tensors = [None if x is None else place(x, device) for x in call.inputs]
    assert has_kernel(call, tensors, device), (
        f"{device} has no kernel {op!r} for {dtype}: a primitive has no decomposition, and "
        "without a kernel the host has to help out"
    )


def test_values(case: Case, device: Device, request: pytest.FixtureRequest) -> None:
    """A primitive gives what NumPy gives, from dense inputs."""
    check_values(case, device, request)


def test_layouts(case: Case, device: Device, request: pytest.FixtureRequest) -> None:
    """A primitive gives the same from inputs at an offset, with gaps, transposed, repeated."""
    check_values(case, device, request)


def test_results_in_the_place_of_an_input(case: Case, device: Device) -> None:
    """A kernel that says so may write its result into the very buffer of an input."""
    kernel = device.kernels.native.get(case.call.op.name)
    if kernel is None or not kernel.in_place or case.dtype not in kernel.dtypes:
        pytest.skip(f"the kernel {case.call.op.name!r} does not offer it")
    call = case.call.cast(case.dtype)
    meta = call.op.meta(*call.inputs, **call.attrs)
    fits = [
        i
        for i, x in enumerate(call.inputs)
        if x is not None and x.shape == meta.shape and x.dtype == meta.dtype
    ]
    wanted = expected(case.call, case.dtype)[0]
    for i in fits:
        tensors = [None if x is None else place(x, device) for x in call.inputs]
        target = tensors[i]
        assert target is not None
        out = dispatch.make(target.buffer, meta.dtype, meta.shape, device)
        kernel.function(out, *tensors, **call.attrs)
        wrong = difference(call.op, case.dtype, np.array(out.numpy()), wanted)
        assert wrong is None, f"into the place of input {i}: {wrong}"
