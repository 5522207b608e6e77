"""DLPack both ways, without a copy: on the emulated GPU, whose memory is the host's."""

from __future__ import annotations

from collections.abc import Callable
from subprocess import CompletedProcess

import pytest

RunPython = Callable[..., CompletedProcess[str]]

HEAD = """
import gc
import numpy as np
import neurenix as nx
from neurenix.errors import *
device = "gpu_emulated"
from phynexus_gpu_emulated.phynexus_gpu import _native
"""


def output(run_python: RunPython, code: str) -> str:
    done = run_python("-W", "error", "-c", HEAD + code)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_what_is_lent_is_the_same_memory(run_python: RunPython) -> None:
    code = """
x = nx.arange(6, device=device).reshape(2, 3).T   # strides too
assert x.__dlpack_device__() == (1, 0)
array = np.from_dlpack(x)
assert array.__array_interface__["data"][0] == x.buffer.address
print(array.tolist(), array.strides)
part = np.from_dlpack(nx.arange(6, device=device)[2:5])
print(part.tolist())
x[0, 0] = 7
nx.sum(x).item()   # waits
print(array[0, 0])
used = _native.memory_statistics(0)[0]
del x
gc.collect()
assert _native.memory_statistics(0)[0] == used   # the borrower keeps it
print(array.sum())
del array, part
gc.collect()
print(_native.memory_statistics(0)[0] < used)
"""
    printed = output(run_python, code).splitlines()
    assert printed == ["[[0, 3], [1, 4], [2, 5]] (8, 24)", "[2, 3, 4]", "7", "22", "True"]


def test_what_is_borrowed_is_the_same_memory(run_python: RunPython) -> None:
    code = """
array = np.arange(12, dtype=np.float32).reshape(3, 4)
x = nx.from_dlpack(array, device=device)
assert x.buffer.address == array.__array_interface__["data"][0]
x[...] = x + 1.0
x.sum().item()
print(array[0].tolist())
y = nx.from_dlpack(array.T[1:], device=device)   # strides, and another first element
print(np.array_equal((y * 1.0).numpy(), array.T[1:]), y.shape)
array[0, 1] = 50.0
print(y.tolist()[0][0])
z = x * 2.0   # queued: the owner has to be kept until it is done
expected = array.sum() * 2
del x, y, array
gc.collect()
print(z.sum().item() == expected)
"""
    assert output(run_python, code).splitlines() == [
        "[1.0, 2.0, 3.0, 4.0]",
        "True (3, 3)",
        "50.0",
        "True",
    ]


def test_every_dtype_goes_both_ways(run_python: RunPython) -> None:
    code = """
for name in ("float32", "float64", "float16", "int64", "int32", "int16", "int8", "uint8", "bool"):
    x = nx.ones((3,), dtype=getattr(nx, name, None) or nx.bool, device=device)
    array = np.from_dlpack(x)
    assert array.dtype.name == name and array.all(), name
    back = nx.from_dlpack(array, device=device)
    assert back.dtype == x.dtype and back.buffer.address == x.buffer.address, name
x = nx.ones((3,), dtype=nx.bfloat16, device=device)
back = nx.from_dlpack(x, device=device)
print(back.dtype, back.device, back.tolist())
"""
    assert output(run_python, code) == "bfloat16 gpu_emulated [1.0, 1.0, 1.0]\n"


def test_what_cannot_be_is_refused(run_python: RunPython) -> None:
    code = """
taken = nx.ones((3,), device=device).__dlpack__()
borrowed = _native.from_dlpack(taken, 0)
for make in (
    lambda: nx.from_dlpack(np.arange(4, dtype=np.float32)[::-1], device=device),
    lambda: nx.from_dlpack(np.ones(3, np.complex64), device=device),
    lambda: nx.ones((3,), device=device).__dlpack__(dl_device=(2, 0)),
    lambda: _native.from_dlpack(taken, 0),
):
    try:
        make()
    except BufferError as error:
        print(error)
class Elsewhere:
    def __dlpack_device__(self):
        return (2, 0)
try:
    nx.from_dlpack(Elsewhere())
except DeviceError as error:
    print(error)
copied = np.from_dlpack(nx.ones((3,), device=device), copy=True)
print(copied.tolist())
"""
    printed = output(run_python, code).splitlines()
    assert "below zero" in printed[0]
    assert "no dtype" in printed[1]
    assert "cannot be lent on (2, 0)" in printed[2]
    assert "nobody has taken yet" in printed[3]
    assert "name the device that has it" in printed[4]
    assert printed[5] == "[1.0, 1.0, 1.0]"


def test_pytorch_shares_memory(run_python: RunPython) -> None:
    pytest.importorskip("torch")
    code = """
import torch
x = nx.arange(6, device=device, dtype=nx.float32).reshape(2, 3)
theirs = torch.from_dlpack(x)
theirs += 1
print(x.tolist(), theirs.data_ptr() == x.buffer.address)
ours = nx.from_dlpack(theirs.T, device=device)
print(ours.tolist(), ours.buffer.address == x.buffer.address)
"""
    assert output(run_python, code).splitlines() == [
        "[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]] True",
        "[[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]] True",
    ]
