"""The run-time part of the engine, on the emulated GPU: memory, faults, forks, several devices."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

RunPython = Callable[..., CompletedProcess[str]]

HEAD = """
import gc
import numpy as np
import neurenix as nx
from neurenix.errors import *
device = "gpu_emulated"
x = nx.ones((1000,), device=device)
from phynexus_gpu_emulated.phynexus_gpu import _native
def statistics(index=0):
    gc.collect()
    _native.synchronize(index)
    return _native.memory_statistics(index)
"""


def output(run_python: RunPython, code: str, **variables: str) -> str:
    done = run_python("-W", "error", "-c", HEAD + code, **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_freed_memory_is_used_again_and_joined(run_python: RunPython) -> None:
    code = """
del x
before = statistics()[0]
parts = [nx.empty((1 << 20,), device=device) for _ in range(4)]
places = [part.buffer.address for part in parts]
held = statistics()[0] - before
assert held == 4 * (4 << 20), held
del parts[1], parts[1]
half = nx.empty((2 << 20,), device=device)
print(half.buffer.address in places or "apart")
del parts, half
in_use, cached, peak = statistics()
assert in_use == before and cached >= held and peak >= held
_native.trim_memory(0)
assert statistics()[1] < cached
"""
    assert output(run_python, code) == "apart\n"  # each part is a segment of its own


def test_small_requests_share_a_segment(run_python: RunPython) -> None:
    code = """
many = [nx.empty((10,), device=device) for _ in range(1000)]
in_use, cached, _ = statistics()
assert in_use + cached == 2 << 20, (in_use, cached)
addresses = {t.buffer.address for t in many}
assert len(addresses) == 1000 and all(a % 512 == 0 for a in addresses)
del many
joined = nx.empty((1 << 18,), device=device)
print(sum(statistics()[:2]) >> 20)
"""
    assert output(run_python, code) == "2\n"


def test_what_is_small_and_lives_long_leaves_large_blocks_whole(run_python: RunPython) -> None:
    code = """
large = nx.empty((8 << 18,), device=device)
place = large.buffer.address
del large
small = nx.empty((10,), device=device)
large = nx.empty((8 << 18,), device=device)
print(large.buffer.address == place)
"""
    assert output(run_python, code) == "True\n"


def test_out_of_memory_names_the_figures_and_the_process_goes_on(run_python: RunPython) -> None:
    code = """
kept = nx.ones((1 << 20,), device=device)
for shape in ((3 << 20,), (1 << 62, 8)):
    try:
        nx.empty(shape, device=device)
    except MemoryError as error:
        print(error)
kept = kept + 1
print(kept.sum().item() / 2**20)
"""
    printed = output(run_python, code, PHYNEXUS_EMULATED_MEMORY=str(16 << 20)).splitlines()
    assert printed[0].startswith("12.0 MiB asked for, 4.0 MiB in use, ")
    assert printed[0].endswith(" MiB cached")
    assert "asked for" in printed[1]
    assert printed[2] == "2.0"


def test_memory_that_a_kernel_lacks_is_reported_with_the_op(run_python: RunPython) -> None:
    code = """
x = nx.ones((1 << 21,), device=device)
try:
    nx.sort(x)
except MemoryError as error:
    print(error)
print((x + x).sum().item() / 2**20)
"""
    reason, total = output(run_python, code, PHYNEXUS_EMULATED_MEMORY=str(48 << 20)).splitlines()
    assert re.fullmatch(r"sort: 32.0 MiB asked for, \d+\.\d MiB in use, \d+\.\d MiB cached", reason)
    assert total == "4.0"


def test_a_tensor_may_have_more_than_2_to_the_31_elements(run_python: RunPython) -> None:
    code = """
size = (1 << 31) + 64
x = np.zeros(size, np.uint8)
marked = [3, (1 << 31) - 1, 1 << 31, size - 1]
x[marked] = [1, 2, 3, 4]
on_device = nx.Tensor(x, device=device)
del x
print(nx.gather(on_device, nx.Tensor([0, *marked], device=device), 0).tolist())
print(on_device[:: 1 << 30].astype(nx.int32).tolist(), on_device[(1 << 31) + 60 :].tolist())
try:
    nx.gather(on_device, nx.Tensor([size], device=device), 0).tolist()
except IndexError as error:
    print(error)
"""
    assert output(run_python, code) == (
        "[0, 1, 2, 3, 4]\n[0, 0, 3] [0, 0, 0, 4]\n"
        "gather got the index 2147483712, which is out of range\n"
    )


def test_what_is_cached_is_given_back_before_memory_runs_out(run_python: RunPython) -> None:
    code = """
for size in (3, 5, 7, 9, 11):
    y = nx.full((size << 18,), 1.0, device=device)
    print(y.sum().item() == size << 18)
    del y
"""
    assert output(run_python, code, PHYNEXUS_EMULATED_MEMORY=str(15 << 20)) == "True\n" * 5


def test_an_index_out_of_range_names_the_op_and_the_process_goes_on(run_python: RunPython) -> None:
    code = """
for index in (1000, -2000):
    y = nx.gather(x, nx.Tensor([3, index], device=device), 0)
    try:
        y.tolist()
    except IndexError as error:
        print(error)
print((x + x).sum().item())
"""
    assert output(run_python, code) == (
        "gather got the index 1000, which is out of range\n"
        "gather got the index -2000, which is out of range\n2000.0\n"
    )


def test_a_fork_is_refused_with_the_reason(run_python: RunPython) -> None:
    code = """
import os
if os.fork() == 0:
    try:
        x + x
    except RuntimeError as error:
        print(error)
        os._exit(0)
    os._exit(1)
assert os.wait()[1] == 0
print((x + x).sum().item())
"""
    printed = output(run_python, code, PYTHONUNBUFFERED="1").splitlines()
    assert "forked" in printed[0]
    assert "spawn" in printed[0]
    assert printed[1] == "2000.0"


def test_devices_have_memory_of_their_own(run_python: RunPython) -> None:
    code = """
y = nx.ones((5 << 18,), device="gpu_emulated:1")
print(y.buffer.index, statistics(1)[0] >> 20, statistics(0)[0] >> 20)
z = y.to("gpu_emulated:0")
print(z.buffer.index, z.sum().item() == 5 << 18)
"""
    assert output(run_python, code) == "1 5 0\n0 True\n"


def test_a_process_may_have_the_engines_of_two_vendors(
    run_python: RunPython, tmp_path: Path
) -> None:
    code = f"""
import shutil
from importlib.util import module_from_spec, spec_from_file_location
copy = shutil.copy(_native.__file__, {str(tmp_path)!r})
spec = spec_from_file_location("other._native", copy)
other = module_from_spec(spec)
spec.loader.exec_module(other)
print(other.Buffer is not _native.Buffer, len(other.KERNELS) == len(_native.KERNELS))
print((x + x).sum().item())
"""
    assert output(run_python, code) == "True True\n2000.0\n"


def test_tensors_have_up_to_16_axes(run_python: RunPython) -> None:
    code = """
y = nx.arange(65536, device=device).reshape((2,) * 16).permute(tuple(range(15, -1, -1)))
expected = np.arange(65536).reshape((2,) * 16).T
print(np.array_equal((y + 0).numpy(), expected))
try:
    nx.ones((1,) * 17, device=device)
except ValueError as error:
    print(error)
"""
    assert output(run_python, code) == "True\na tensor has at most 16 axes on a GPU, not 17\n"


def test_nonsense_in_a_variable_is_named(run_python: RunPython) -> None:
    for variable, value in [("WARP", "16"), ("WARP", "64"), ("ORDER", "sideways")]:
        done = run_python("-c", HEAD + "x.tolist()", **{f"PHYNEXUS_EMULATED_{variable}": value})
        assert done.returncode == 1
        assert value in done.stderr or variable in done.stderr


def test_an_upload_does_not_wait_for_the_queue(run_python: RunPython) -> None:
    code = """
seen = np.zeros(1, np.float32)
watched = nx.from_dlpack(seen, device=device)   # the device's memory, for us to look into
for size in (1000, 1 << 20, 3 << 20):
    seen[0] = 0.0
    watched[...] = watched + 1.0
    source = np.arange(size, dtype=np.float32)
    y = nx.Tensor(source, device=device)
    waited = seen[0] != 0.0
    expected = source.copy()
    source[:] = -1.0   # may be reused at once
    print(waited, np.array_equal(y.numpy(), expected), seen[0])
"""
    assert output(run_python, code) == "False True 1.0\n" * 3


def test_uploads_that_fill_the_ring_wait_for_the_oldest(run_python: RunPython) -> None:
    code = """
rng = np.random.default_rng(0)
sources = [rng.standard_normal(n).astype(np.float32) for n in (7, 9 << 20, 11, 12 << 20, 5)]
tensors = [nx.Tensor(source, device=device) for source in sources]   # 84 MiB through 64
print([np.array_equal(t.numpy(), source) for t, source in zip(tensors, sources)])
"""
    assert output(run_python, code) == "[True, True, True, True, True]\n"
