"""Plans that are recorded once and repeated on the emulated GPU, where a graph is a list."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

RunPython = Callable[..., CompletedProcess[str]]

HEAD = """
import gc
import threading
import numpy as np
import neurenix as nx
from neurenix import nn, optim
from neurenix.graph import RecordedPlan, TensorMeta, make_executable, trace, trace_function
from neurenix.errors import *
device = "gpu_emulated"
nx.manual_seed(3)
from neurenix.graph import KernelCall
from phynexus_gpu_emulated.phynexus_gpu import _native
def network(*, dropout=0.0):
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(dropout), nn.Linear(4 * 16, 5),
    ).to(device)
def draw(n=3):
    return nx.randn((n, 1, 8, 8), device="cpu@neurenix-core").to(device)
def plan_of(module, x):
    return make_executable(trace(module, TensorMeta(x.shape, x.dtype)))
"""


@pytest.fixture
def output(run_python: RunPython) -> Callable[..., str]:
    """Return a function that runs code with the emulated GPU and gives what it prints."""

    def run(code: str, **variables: str) -> str:
        done = run_python("-W", "error", "-c", HEAD + code, **variables)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_a_run_repeats_the_work_and_calls_no_kernel(output: Callable[..., str]) -> None:
    code = """
model = network().eval()
x = draw()
run = nx.compile(model)
with nx.no_grad():
    first = run(x)
    inputs = (x, x * 2.0, x + 1.0)
    expected = [model(y).numpy() for y in inputs]
    def refuse(*_):
        raise AssertionError("a kernel is called")
    KernelCall.__call__ = refuse
    for y, value in zip(inputs, expected):
        assert np.allclose(run(y).numpy(), value, 1e-5, 1e-5)
    assert np.allclose(first.numpy(), expected[0], 1e-5, 1e-5)  # it was not written again
print("same")
"""
    assert output(code) == "same\n"


def test_weights_are_read_where_they_are(output: Callable[..., str]) -> None:
    code = """
model = nn.Linear(4, 2).to(device)
x = nx.ones((3, 4), device=device)
run = nx.compile(model)
with nx.no_grad():
    before = run(x).numpy()
    model.weight.copy_(model.weight * 2.0)
    model.bias.copy_(model.bias * 2.0)
    assert np.allclose(run(x).numpy(), before * 2)
    other = nn.Linear(4, 2).to(device)
    model.load_state_dict(other.state_dict())
    assert np.allclose(run(x).numpy(), other(x).numpy())
print("done")
"""
    assert output(code) == "done\n"


def test_captured_memory_that_is_replaced_is_recorded_anew(output: Callable[..., str]) -> None:
    code = """
w = nx.full((4,), 2.0, device=device)
class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(w)
    def forward(self, x):
        return x * self.w
module = Scale().to(device)
x = nx.ones((4,), device=device)
plan = plan_of(module, x)
assert isinstance(plan, RecordedPlan), plan
made = plan._recording
assert plan.run([x])[0].tolist() == [2.0] * 4
module.w.buffer = nx.full((4,), 3.0, device=device).buffer
assert plan.run([x])[0].tolist() == [3.0] * 4
assert plan._recording is not made
print("anew")
"""
    assert output(code) == "anew\n"


TRAINING = """
def losses(compiled, make):
    nx.manual_seed(7)
    model = network(dropout=0.25)
    model.train()
    optimizer = make(model.parameters())
    def step(x, y):
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()
    run = nx.compile(step) if compiled else step
    rng = np.random.default_rng(1)
    found = []
    for _ in range(6):
        x = nx.Tensor(rng.standard_normal((4, 1, 8, 8)).astype(np.float32), device=device)
        y = nx.Tensor(rng.integers(0, 5, 4), device=device)
        found.append(run(x, y).item())
    return found, [p.detach().numpy() for p in model.parameters()], run
"""


@pytest.mark.parametrize(
    "make",
    [
        "lambda p: optim.SGD(p, lr=0.1)",
        "lambda p: optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=1e-3)",
        "lambda p: optim.AdamW(p, lr=0.01)",
    ],
)
def test_a_training_step_is_repeated(output: Callable[..., str], make: str) -> None:
    code = (
        TRAINING
        + f"""
eager, expected, _ = losses(False, {make})
planned, weights, run = losses(True, {make})
assert np.allclose(eager, planned, 1e-4, 1e-5), (eager, planned)
for a, b in zip(weights, expected):
    assert np.allclose(a, b, 1e-3, 1e-4)
again = losses(True, {make})
assert again[0] == planned and all(np.array_equal(a, b) for a, b in zip(again[1], weights))
print("same")
"""
    )
    assert output(code) == "same\n"


def test_the_steps_of_all_parameters_are_one_launch(output: Callable[..., str]) -> None:
    code = (
        TRAINING
        + """
many = []
true_many = _native.run_many
def counted(name, calls, attrs):
    many.append((name, len(calls)))
    true_many(name, calls, attrs)
_native.run_many = counted
losses(True, lambda p: optim.AdamW(p, lr=0.01))
print(sorted(set(many)))
"""
    )
    assert output(code) == "[('adam_step', 6)]\n"


def test_more_steps_than_fit_one_launch(output: Callable[..., str]) -> None:
    code = """
rng = np.random.default_rng(2)
def make():
    parts = [rng.standard_normal(1 + 97 * i).astype(np.float32) for i in range(40)]
    return [nx.Tensor(part, device=device) for part in parts]
params, grads = make(), make()
rate = nx.Tensor(0.5, device=device)
calls = [(p, (p, g, rate)) for p, g in zip(params, grads)]
expected = [p.numpy() - 0.5 * (g.numpy() + 0.25 * p.numpy()) for p, g in zip(params, grads)]
_native.run_many("sgd_step", calls, {"weight_decay": 0.25})
for p, value in zip(params, expected):
    np.testing.assert_allclose(p.numpy(), value, 1e-6, 1e-6)
try:
    _native.run_many("add", calls, {})
except ValueError as error:
    print(error)
"""
    assert output(code) == "no op that is run for many at a time: add\n"


def test_new_shapes_and_inputs_of_any_layout(output: Callable[..., str]) -> None:
    code = """
model = nn.Linear(4, 2).to(device)
run = nx.compile(model)
with nx.no_grad():
    for n in (1, 3, 5, 3):
        x = nx.randn((n, 4), device=device)
        assert np.allclose(run(x).numpy(), model(x).numpy(), 1e-5, 1e-6)
    x = nx.randn((4, 6), device=device)
    assert np.allclose(run(x.T).numpy(), model(x.T).numpy(), 1e-5, 1e-6)
    assert np.allclose(run(x.T[1:4]).numpy(), model(x.T[1:4]).numpy(), 1e-5, 1e-6)
print("same")
"""
    assert output(code) == "same\n"


def test_scratch_memory_stays_with_the_recording(output: Callable[..., str]) -> None:
    code = """
a = nx.randn((8, 4096), device=device)
b = nx.randn((4096, 8), device=device)   # a long sum: parts of it are kept in scratch memory
metas = [TensorMeta(t.shape, t.dtype) for t in (a, b)]
plan = make_executable(trace_function(lambda x, y: x @ y, *metas, device=a.device))
held = plan._recording.reserved_bytes
assert held >= 8 * 8 * 4 * 2, held
expected = (a @ b).numpy()
others = [nx.zeros((64,), device=device) for _ in range(200)]   # would get it, were it free
assert np.array_equal(plan.run([a, b])[0].numpy(), expected)
assert all(not t.numpy().any() for t in others)
in_use = _native.memory_statistics(0)[0]
del plan
gc.collect()
assert _native.memory_statistics(0)[0] <= in_use - held
print("kept")
"""
    assert output(code) == "kept\n"


def test_every_device_has_plans_and_libraries_of_its_own(
    output: Callable[..., str], emulated: Path
) -> None:
    code = """
for name in ("gpu_emulated:1", "gpu_emulated:0"):
    model = network().to(name).eval()
    x = draw().to(name)
    plan = plan_of(model, x)
    with nx.no_grad():
        y = plan.run([x])[0]
        assert np.allclose(y.numpy(), model(x).numpy(), 1e-5, 1e-5)
    print(type(plan).__name__, y.device, y.buffer.index, plan._recording.reserved_bytes > 0)
"""
    library = emulated / "phynexus_gpu_emulated" / "libstand_in_cublaslt.so"
    printed = output(code, NEURENIX_GPU_CUBLASLT=str(library)).splitlines()
    assert printed == [
        "RecordedPlan gpu_emulated:1 1 True",
        "RecordedPlan gpu_emulated 0 True",
    ]


def test_two_threads_run_one_plan(output: Callable[..., str]) -> None:
    code = """
model = network().eval()
xs = [draw() for _ in range(8)]
with nx.no_grad():
    expected = [model(x).numpy() for x in xs]
plan = plan_of(model, xs[0])
wrong = []
def work(number):
    for _ in range(5):
        found = plan.run([xs[number]])[0].numpy()
        if not np.allclose(found, expected[number], 1e-5, 1e-5):
            wrong.append(number)
threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
[t.start() for t in threads]
[t.join() for t in threads]
print(wrong)
"""
    assert output(code) == "[]\n"


def test_a_thread_records_while_another_computes(output: Callable[..., str]) -> None:
    code = """
x = nx.ones((64,), device=device)
out = nx.zeros((64,), device=device)
recording = _native.Recording(0)
found = []
thread = threading.Thread(target=lambda: found.append((x + x).sum().item()))
thread.start()
thread.join()
try:
    _native.Recording(0)
except RuntimeError as error:
    print(error)
kernel = x.device.backend.kernels()["add"].function
kernel(out, x, x)
recording.end()
assert found == [128.0]
assert not out.numpy().any()   # recorded, and not done
recording.repeat()
print(out.numpy().sum())
"""
    assert output(code) == "this thread records already\n128.0\n"


def test_what_fails_while_it_is_recorded_leaves_the_device_usable(
    output: Callable[..., str], emulated: Path
) -> None:
    code = """
model = nn.Linear(64, 64).to(device)
x = nx.ones((3, 64), device=device)
with nx.no_grad():
    plan = plan_of(model, x)
    print(type(plan).__name__)
    print((x + x).sum().item())
"""
    library = str(emulated / "phynexus_gpu_emulated" / "libstand_in_cublaslt.so")
    variables = {
        "NEURENIX_GPU_CUBLASLT": library,
        "PHYNEXUS_STAND_IN_FAILS": "cublasLtMatmul=13",
    }
    assert output(code, **variables) == "Plan\n384.0\n"


def test_libraries_are_recorded_too(output: Callable[..., str], emulated: Path) -> None:
    folder = emulated / "phynexus_gpu_emulated"
    code = (
        TRAINING
        + """
eager, expected, _ = losses(False, lambda p: optim.AdamW(p, lr=0.01))
planned, weights, _ = losses(True, lambda p: optim.AdamW(p, lr=0.01))
assert np.allclose(eager, planned, 1e-4, 1e-5), (eager, planned)
print("same")
"""
    )
    variables = {
        f"NEURENIX_GPU_{name.upper()}": str(folder / f"libstand_in_{name}.so")
        for name in ("cublaslt", "cudnn")
    }
    assert output(code, **variables) == "same\n"
