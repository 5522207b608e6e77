"""What a device lives through: much memory, too little, forks, threads, exits, its own loss."""

from __future__ import annotations

import gc
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neurenix as nx
from neurenix import nn
from neurenix.backends import resolve
from neurenix.nn import functional as F

RunPython = Callable[..., subprocess.CompletedProcess[str]]

# A second adapter in software, which Debian's Chromium brings, beside Mesa's.
ADAPTERS = (
    Path("/usr/share/vulkan/icd.d/lvp_icd.x86_64.json"),
    Path("/usr/lib/chromium/vk_swiftshader_icd.json"),
)


@pytest.fixture
def device() -> Iterator[Any]:
    """The native device, with the memory that it had before."""
    backend: Any = resolve("webgpu").backend
    device = backend.device(0)
    yield device
    device.set_memory_budget(None)


def _in_use(device: Any) -> int:
    gc.collect()
    in_use: int = device.memory_statistics()[0]
    return in_use


# Memory -------------------------------------------------------------------------------------------


def test_ten_thousand_allocations_reuse_what_is_freed(device: Any) -> None:
    before = _in_use(device)
    device.set_cache_limit(0)
    device.set_cache_limit(1 << 30)
    rng = random.Random(2)
    kept: list[tuple[int, nx.Tensor]] = []
    used, taken = [], []
    for number in range(10_000):
        count = rng.randrange(1, 1 << rng.randrange(1, 17))
        kept.append((number % 251, nx.full((count,), number % 251, dtype="int32", device="webgpu")))
        if len(kept) > 50:
            value, tensor = kept.pop(rng.randrange(len(kept)))
            if number % 100 == 0:
                assert tensor[-1].item() == value
        in_use, cached, _ = device.memory_statistics()
        used.append(in_use)
        taken.append(in_use + cached)
    assert all(tensor[0].item() == value for value, tensor in kept)
    # Sizes have pools of their own, and are at their most at different times.
    assert max(taken) < 4 * max(used)
    assert max(taken[5000:]) < 1.2 * max(taken[:5000])
    del tensor
    kept.clear()
    assert _in_use(device) == before
    device.set_cache_limit(0)
    assert device.memory_statistics()[1] == 0
    device.set_cache_limit(1 << 30)


def test_a_model_larger_than_the_budget_is_refused_with_figures(device: Any) -> None:
    before = _in_use(device)
    device.set_memory_budget(before + (20 << 20))
    model = nn.Sequential(*[nn.Linear(1000, 1000, device="cpu") for _ in range(10)])
    with pytest.raises(MemoryError) as refused:
        model.to("webgpu")
    message = str(refused.value)
    assert "4000000 bytes were asked for" in message
    assert f"{before + (20 << 20)} may be taken in all" in message
    assert "NEURENIX_WEBGPU_MEMORY_BYTES" in message
    del model, refused
    assert _in_use(device) == before
    small = nn.Linear(1000, 1000, device="cpu").to("webgpu")
    assert small(nx.ones((2, 1000), device="webgpu")).shape == (2, 1000)


def test_what_is_cached_makes_room_within_the_budget(device: Any) -> None:
    before = _in_use(device)
    device.set_cache_limit(0)
    device.set_cache_limit(1 << 30)
    device.set_memory_budget(before + (12 << 20))
    for count in (1 << 20, 2 << 20, 1 << 20, 2 << 20):
        x = nx.ones((count,), device="webgpu")
        assert x[-1].item() == 1.0
        del x
    assert sum(device.memory_statistics()[:2]) <= before + (12 << 20)


def test_the_budget_comes_from_the_environment(run_python: RunPython) -> None:
    code = """
import neurenix
try:
    neurenix.ones((1 << 20,), device="webgpu")
except MemoryError as error:
    print(error)
print(neurenix.ones((1 << 10,), device="webgpu").sum().item())
"""
    done = run_python(code, NEURENIX_WEBGPU_MEMORY_BYTES="2000000")
    assert done.returncode == 0, done.stderr
    assert "4194304 bytes were asked for" in done.stdout
    assert "2000000 may be taken in all" in done.stdout
    assert "1024.0" in done.stdout
    wrong = run_python("import neurenix; neurenix.ones((1,), device='webgpu')",
                       NEURENIX_WEBGPU_MEMORY_BYTES="2GB")  # fmt: skip
    assert "NEURENIX_WEBGPU_MEMORY_BYTES is '2GB'" in wrong.stderr


def _train(steps: int, *, plans: bool) -> None:
    """Train a small network, eagerly or by a plan."""
    nx.manual_seed(3)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(8 * 16, 4),
    ).to("webgpu")  # fmt: skip
    optimizer = nx.optim.AdamW(model.parameters(), lr=0.01)
    images = nx.randn((6, 3, 8, 8), device="webgpu")
    labels = nx.Tensor(np.arange(6) % 4, device="webgpu")

    def step(x: nx.Tensor, target: nx.Tensor) -> nx.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), target)
        loss.backward()
        optimizer.step()
        return loss

    run = nx.compile(step) if plans else step
    losses = [run(images, labels).item() for _ in range(steps)]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("plans", [False, True], ids=["eager", "plan"])
def test_training_leaves_nothing_behind(plans: bool, device: Any) -> None:
    _train(3, plans=plans)
    before = _in_use(device)
    _train(6, plans=plans)
    assert _in_use(device) == before


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it asks /proc")
def test_the_process_does_not_grow_over_a_long_training(run_python: RunPython) -> None:
    code = """
import os, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from test_abuse import _train
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
for plans in (False, True):
    _train(150, plans=plans)
before = resident()
for plans in (False, True):
    _train(600, plans=plans)
print("grown by", (resident() - before) >> 20, "MiB")
sys.exit(resident() - before > 24 << 20)
"""
    done = run_python(code, str(Path(__file__).parent))
    assert done.returncode == 0, done.stdout + done.stderr


# Several at once ----------------------------------------------------------------------------------


def test_threads_share_a_device() -> None:
    failures: list[str] = []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(20):
            a, b = (rng.integers(-9, 9, (17, 17)).astype(np.float32) for _ in range(2))
            product = nx.Tensor(a, device="webgpu") @ nx.Tensor(b, device="webgpu")
            if not np.array_equal(product.numpy(), a @ b):
                failures.append(f"thread {seed}")

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_two_devices_in_one_process(run_python: RunPython) -> None:
    if not all(driver.is_file() for driver in ADAPTERS):
        pytest.skip("there are no two adapters: Mesa's and Chromium's software would be two")
    code = """
import numpy, neurenix
from neurenix.backends import resolve
names = [info.description for info in resolve("webgpu").backend.devices()]
print(names)
assert len(names) == 2
a = neurenix.arange(1000, dtype="float32", device="webgpu:0")
b = neurenix.arange(1000, dtype="float32", device="webgpu:1")
for _ in range(20):
    a, b = a * 0.5 + 1.0, b * 0.5 + 1.0
numpy.testing.assert_array_equal(a.numpy(), b.numpy())
numpy.testing.assert_array_equal(a.to("webgpu:1").numpy(), b.numpy())
assert (a.to("webgpu:1") - b).abs().max().item() == 0.0
try:
    a + b
except neurenix.errors.DeviceError as error:
    print(error)
"""
    drivers = ":".join(map(str, ADAPTERS))
    done = run_python(code, VK_ICD_FILENAMES=drivers, VK_DRIVER_FILES=drivers)
    assert done.returncode == 0, done.stderr
    assert "llvmpipe" in done.stdout
    assert "SwiftShader" in done.stdout
    assert "webgpu:1" in done.stdout


# Processes ----------------------------------------------------------------------------------------

forks = pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")


@forks
def test_a_fork_is_told_why_it_has_no_device(run_python: RunPython) -> None:
    code = """
import os, sys, neurenix
from neurenix.backends import resolve
x = neurenix.ones((4,), device="webgpu")
x.tolist()
uses = {
    "compute": lambda: x + x,
    "read": lambda: x.tolist(),
    "allocate": lambda: neurenix.empty((8,), device="webgpu"),
    "upload": lambda: neurenix.Tensor([1.0], device="webgpu"),
    "wait": lambda: resolve("webgpu").backend.synchronize(0),
}
child = os.fork()
if child == 0:
    for name, use in uses.items():
        try:
            use()
        except RuntimeError as error:
            print(name, error)
    print(neurenix.ones((2,), device="cpu").tolist())
    del x, uses
    sys.exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
print((x + x).tolist())
"""
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    for use in ("compute", "read", "allocate", "upload", "wait"):
        reason = next(line for line in done.stdout.splitlines() if line.startswith(use))
        assert "drivers of GPUs do not survive fork()" in reason
        assert "'spawn'" in reason
    assert "[1.0, 1.0]" in done.stdout
    assert "[2.0, 2.0, 2.0, 2.0]" in done.stdout


EXITS = {
    "at its end": "",
    "by an exception": "raise SystemExit(0)",
    "with a thread at work": """
import threading
def work(x=x):
    while True:
        x = x @ x
threading.Thread(target=work, daemon=True).start()
""",
    "with a plan at work": """
plan = neurenix.compile(lambda x: x @ x + x, x)
for _ in range(20):
    y = plan(x)
""",
}


@pytest.mark.parametrize("way", EXITS)
def test_the_interpreter_exits_with_work_in_flight(way: str, run_python: RunPython) -> None:
    code = f"""
import neurenix
x = neurenix.full((64, 64), 1 / 64, device="webgpu")
for _ in range(200):
    x = x @ x
{EXITS[way]}
"""
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_a_lost_device_is_an_exception(run_python: RunPython) -> None:
    code = """
import neurenix
from neurenix.backends import resolve
x = neurenix.ones((100, 100), device="webgpu")
y = x @ x
resolve("webgpu").backend.device(0).lose()
uses = {
    "read": lambda: y.tolist(),
    "compute": lambda: x + y,
    "allocate": lambda: neurenix.empty((8,), device="webgpu"),
    "wait": lambda: resolve("webgpu").backend.synchronize(0),
}
for name, use in uses.items():
    try:
        use()
    except RuntimeError as error:
        print(name, error)
print(neurenix.ones((2,), device="cpu").tolist())
"""
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    for use in ("read", "compute", "allocate", "wait"):
        reason = next(line for line in done.stdout.splitlines() if line.startswith(use))
        assert "is lost" in reason
        assert "restart the process" in reason
    assert "[1.0, 1.0]" in done.stdout
