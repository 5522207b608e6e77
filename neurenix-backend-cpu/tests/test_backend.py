"""The engine as a device: how it is found, opened and described, its memory, its errors."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest

import neurenix as nx
from neurenix.errors import TraceError

RunPython = Callable[..., CompletedProcess[str]]


def test_it_serves_the_device_cpu() -> None:
    backend = nx.Device("cpu").backend or nx.zeros((1,)).device.backend
    assert type(backend).__name__ == "CpuBackend"
    numpy = nx.zeros((1,), device="cpu@neurenix-core").device.backend
    assert type(numpy).__name__ == "NumpyBackend"


def test_importing_neurenix_does_not_load_it(run_python: RunPython) -> None:
    code = "import sys, neurenix; print([m for m in sys.modules if 'backend_cpu' in m])"
    assert run_python(code).stdout == "[]\n"


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("NEURENIX_CPU_ISA", "sse9", "'sse9'|\"sse9\""),
        ("NEURENIX_NUM_THREADS", "many", "many"),
        ("NEURENIX_NUM_THREADS", "0", "0"),
        ("NEURENIX_CPU_CACHE_BYTES", "a lot", "a lot"),
    ],
)
def test_nonsense_in_a_variable_is_named(
    run_python: RunPython, variable: str, value: str, said: str
) -> None:
    code = "import neurenix as nx; nx.zeros((2,), device='cpu@neurenix-backend-cpu')"
    done = run_python(code, **{variable: value})
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert variable in last, done.stderr
    assert any(word in last for word in said.split("|")), done.stderr


def test_a_tensor_and_numpy_share_memory() -> None:
    x = nx.zeros((300, 40))
    array = np.asarray(x)
    assert np.shares_memory(array, x.buffer)
    x[3, 4] = 5.0
    assert array[3, 4] == 5.0


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (5000,), (17, 65, 33)])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int64", "bool", "float64", "uint8"])
def test_buffers_have_shape_and_dtype(shape: tuple[int, ...], dtype: str) -> None:
    from neurenix_backend_cpu import _native

    wanted = nx.dtypes.as_dtype(dtype)
    array = _native.allocate(shape, wanted)
    assert (array.shape, array.dtype) == (shape, wanted)
    assert array.flags.c_contiguous
    assert array.flags.writeable
    if array.nbytes >= 4096:
        assert array.ctypes.data % 64 == 0


def test_freed_memory_is_used_again() -> None:
    from neurenix_backend_cpu import _native

    gc.collect()
    first = _native.allocate((1 << 20,), np.dtype(np.float32))
    place = first.ctypes.data
    in_use = _native.memory_statistics()[0]
    del first
    assert _native.memory_statistics()[0] <= in_use - 4 * (1 << 20)
    assert _native.allocate((1 << 20,), np.dtype(np.float32)).ctypes.data == place
    _native.trim_memory()
    assert _native.memory_statistics()[1] == 0


def test_too_much_memory_is_an_error_with_the_figures() -> None:
    with pytest.raises(MemoryError, match=r"in use"):
        nx.empty((1 << 46,))
    assert nx.ones((4,)).sum().item() == 4.0


def test_too_many_axes_are_an_error() -> None:
    with pytest.raises(ValueError, match="16 axes"):
        nx.ones((1,) * 17)


FORK = """
import os, sys
import neurenix as nx
from neurenix.errors import TraceError
x = nx.randn((1 << 20,), generator=nx.Generator(0))
total = x.exp().sum().item()
child = os.fork()
if child == 0:
    same = x.exp().sum().item() == total
    grandchild = os.fork()
    if grandchild == 0:
        os._exit(0 if x.exp().sum().item() == total else 1)
    ended = os.waitpid(grandchild, 0)[1]
    os._exit(0 if same and ended == 0 else 1)
sys.exit(1 if os.waitpid(child, 0)[1] else 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_goes_on_computing(run_python: RunPython) -> None:
    done = run_python(FORK)
    assert done.returncode == 0, done.stderr


def test_two_threads_get_the_bits_of_one() -> None:
    a, b = (nx.randn((256, 256), generator=nx.Generator(seed)) for seed in (1, 2))
    wanted = (a @ b).numpy().tobytes()
    found: list[bytes] = []

    def work() -> None:
        found.extend((a @ b).numpy().tobytes() for _ in range(20))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 60
    assert set(found) == {wanted}


def test_arrays_and_weights_come_to_the_engine_without_a_copy(tmp_path: Path) -> None:
    array = np.arange(6, dtype=np.float32)
    x = nx.from_numpy(array)
    assert (x + nx.ones((6,))).tolist() == [1, 2, 3, 4, 5, 6]
    x[0] = 9.0
    assert array[0] == 9.0
    path = tmp_path / "weights.safetensors"
    nx.io.save_safetensors(path, {"x": x})
    (loaded,) = nx.io.load_safetensors(path).values()
    assert loaded.device is nx.ones((1,)).device
    assert (loaded * 2).tolist() == [18, 2, 4, 6, 8, 10]


def test_tensors_of_a_trace_say_what_they_are() -> None:
    kept = []

    def leaves(x: nx.Tensor) -> nx.Tensor:
        kept.append(x)
        return x + 1

    nx.graph.trace_function(leaves, nx.ones((2,)))
    with pytest.raises(TraceError, match="made in a trace"):
        kept[0] + nx.ones((2,))
