"""The conformance kit: NumPy and the example pass all of it, and each mutant is caught by name."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from plugin_installer import BROKEN, install, run_with

RunKit = Callable[..., dict[str, Any]]
EXAMPLE = Path(__file__).parent / "neurenix-backend-example"
LEVELS = ["L0", "L1", "L2", "L3", "L4", "L5"]

# Broken plugin to the ops that are looked at, and to what fails: tests, and what they say.
MUTANTS: dict[str, tuple[str, dict[str, str]]] = {
    "missing-primitive": (
        "maximum,minimum",
        {
            "test_l1_primitives.py::test_every_primitive_has_a_kernel[maximum-float32]": (
                "has no kernel 'maximum' for float32"
            ),
            "test_l1_primitives.py::test_values[maximum-float32-(2, 3), (2, 3)]": "is compulsory",
        },
    ),
    "wrong-result": (
        "mul,div",
        {"test_l1_primitives.py::test_values[mul-float32-(2, 3), (2, 3)]": "elements are wrong"},
    ),
    "wrong-dtype": (
        "exp,log",
        {"test_l1_primitives.py::test_values[exp-float32-wide]": "puts another buffer"},
    ),
    "writes-outside": (
        "neg,sub,add",
        {
            "test_l1_primitives.py::test_values[neg-float32-wide]": "writes outside its output 0",
            "test_l1_primitives.py::test_values[sub-float32-equal]": "writes to its input 0",
        },
    ),
}
BLAMED = {
    "missing-primitive": {"maximum"},
    "wrong-result": {"mul"},
    "wrong-dtype": {"exp"},
    "writes-outside": {"neg", "sub"},
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example and the mutants, installed."""
    folder = tmp_path_factory.mktemp("site")
    install(EXAMPLE, folder)
    install(Path(__file__).parent / "faulty-examples", folder)
    for name in MUTANTS:
        install(BROKEN / name, folder)
    return folder


def ops_of(failures: list[str]) -> set[str]:
    """Return the ops that the ids of tests at the levels L1 to L3 name."""
    return {name.partition("[")[2].partition("-")[0] for name in failures}


@pytest.mark.parametrize("name", MUTANTS)
def test_every_mutant_is_caught_by_name(name: str, site: Path, run_kit: RunKit) -> None:
    ops, wanted = MUTANTS[name]
    module = "neurenix.testing.conformance.test_l1_primitives"
    found = run_kit(site, name.replace("-", "_"), f"--neurenix-ops={ops}", module=module)
    assert found["code"] == 1, found["output"]
    for test, message in wanted.items():
        assert test in found["failures"]
        assert message in found["output"]
    assert ops_of(found["failures"]) == BLAMED[name]


# Faults of the example's variants: the module of the kit, the ops that are looked at, and a test
# that fails.
FAULTS: dict[str, tuple[str, str, str]] = {
    "late_source": ("l0_storage", "slice", "test_the_source_may_be_reused_at_once"),
    "early_release": ("l0_storage", "slice", "test_release_is_ordered_with_the_queue"),
    "hoarder": ("l0_storage", "slice", "test_buffers_are_released"),
    "stride_blind": ("l0_storage", "slice", "test_views_are_read[permuted-float32]"),
    "offset_blind": ("l1_primitives", "tanh", "test_layouts[tanh-float32-(3, 4)-offset]"),
    "lazy_writer": ("l1_primitives", "exp,log", "test_values[exp-float32-wide]"),
    "no_broadcast": ("l1_primitives", "add,sub", "test_values[add-float32-(2, 1), (3,)]"),
    "guessed_scales": (
        "l4_compile",
        "add",
        "test_a_narrow_plan_is_close_to_float32[perceptron-int8]",
    ),
    "own_randomness": ("l5_plugin", "add", "test_random_numbers_are_the_same_on_every_device"),
    "mixed_up_devices": ("l5_plugin", "add", "test_devices_of_one_backend_are_apart"),
    "false_claim": ("l5_plugin", "add", "test_batch_invariance"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_real_backends_are_found(fault: str, site: Path, run_kit: RunKit) -> None:
    level, ops, test = FAULTS[fault]
    module = f"neurenix.testing.conformance.test_{level}"
    found = run_kit(site, fault, f"--neurenix-ops={ops}", module=module)
    assert found["code"] == 1, found["output"]
    assert f"test_{level}.py::{test}" in found["failures"]
    if level == "l1_primitives":
        assert ops_of(found["failures"]) == {ops.partition(",")[0]}
    elif fault not in {"early_release", "late_source", "stride_blind", "guessed_scales"}:
        # Those spoil more.
        assert found["failures"] == [f"test_{level}.py::{test}"]


@pytest.mark.slow
@pytest.mark.parametrize("device", ["cpu@neurenix-core", "example"])
def test_the_whole_kit_passes(device: str, site: Path, run_kit: RunKit) -> None:
    found = run_kit(site, device)
    assert found["code"] == 0, found["output"][-4000:]
    assert found["failures"] == []
    assert sorted(found["levels"]) == LEVELS
    ways = {op: its["float32"] for op, its in found["ops"].items() if "float32" in its}
    assert len(ways) > 80
    assert "fallback" not in ways.values()
    if device == "example":
        assert found["distribution"] == "neurenix-backend-example"
        assert ways["conv2d"] == ways["batch_norm_train"] == "decomposed"
        assert ways["matmul"] == "native"
        assert found["ops"]["matmul"]["float16"] == "fallback"
    else:
        assert ways["conv2d"] == found["ops"]["conv2d"]["bfloat16"] == "native"
    speeds = {speed["op"]: speed for speed in found["speed"]}
    assert {"conv2d", "matmul", "add", "adam_step"} <= set(speeds)
    assert all(speed["ratio"] > 0 for speed in speeds.values())


RESNET = """
import neurenix as nx
from neurenix.transfer import fine_tune

nx.manual_seed(0)
model = nx.models.resnet18(num_classes=2)
for name, parameter in model.named_parameters():
    parameter.requires_grad = name.startswith(("layer4", "fc"))
x = nx.randn((8, 3, 32, 32), device="cpu@neurenix-core")
y = nx.Tensor([0, 1] * 4, device="cpu@neurenix-core")
x[1::2] = x[1::2] + 1.0
model.to("example")
optimizer = nx.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.01)
history = fine_tune(model, optimizer, x, y, epochs=3, batch_size=4, verbose=0)
devices = {str(p.device) for p in model.parameters()}
losses = history["train_loss"]
assert devices == {"example"}, devices
assert losses[-1] < losses[0], losses
print(*losses)
"""


@pytest.mark.slow
def test_the_example_fine_tunes_a_resnet_18(site: Path) -> None:
    pytest.importorskip("neurenix_transfer")
    variables = {"NEURENIX_HOST_FALLBACK": "error", "OPENBLAS_NUM_THREADS": "1"}
    run_with(site, "-W", "error", "-c", RESNET, **variables)


def test_the_example_says_why_it_is_not_there(site: Path) -> None:
    program = "import neurenix as nx; nx.ones(1, device='example')"
    done = run_with(site, "-W", "ignore", "-c", program, check=False, EXAMPLE_ABSENT="1")
    assert "EXAMPLE_ABSENT is set. To install: unset EXAMPLE_ABSENT" in done.stderr


def test_errors_of_the_queue_come_where_the_host_waits(site: Path) -> None:
    program = (
        "import neurenix as nx\n"
        "x = nx.ones((3,), device='example')\n"
        "y = nx.gather(x, nx.Tensor([7], device='example'), 0)\n"
        "try:\n    y.tolist()\n"
        "except IndexError as error:\n    print(error)\n"
        "print((x + x).tolist())\n"
    )
    done = run_with(site, "-c", program)
    assert done.stdout == "an index is outside of the axis, which has 3 elements\n[2.0, 2.0, 2.0]\n"


NEG = "test_l1_primitives.py::test_values[neg-float32-wide]"


def overridden(path: Path, *names: str) -> str:
    lines = ["[expected_failures]", *(f'"{name}" = "a known fault of neg"' for name in names)]
    path.write_text("\n".join(lines), encoding="utf-8")
    return f"--neurenix-overrides={path}"


def test_expected_failures_are_strict(site: Path, run_kit: RunKit, tmp_path: Path) -> None:
    module = "neurenix.testing.conformance.test_l1_primitives"
    file = overridden(tmp_path / "overrides.toml", NEG)
    only = "--neurenix-ops=neg"
    broken = run_kit(site, "writes_outside", only, file, module=module)
    assert NEG in broken["expected_failures"]
    assert NEG not in broken["failures"]
    whole = run_kit(site, "cpu@neurenix-core", only, file, module=module)
    assert whole["failures"] == [NEG]
    assert "[XPASS(strict)] a known fault of neg" in whole["output"]


def test_an_override_of_no_test_is_an_error(site: Path, run_kit: RunKit, tmp_path: Path) -> None:
    name = "test_l4_compile.py::test_a_plan_equals_the_eager_run[transformer]"
    file = overridden(tmp_path / "overrides.toml", name)
    found = run_kit(site, "example", file, module="neurenix.testing.conformance.test_l4_compile")
    assert found["code"] == 4
    assert "there is no such test" in found["output"]


def test_a_device_that_is_not_there_is_an_error(site: Path, run_kit: RunKit) -> None:
    found = run_kit(site, "abacus")
    assert found["code"] == 4
    assert "no backend for the device 'abacus' is installed" in found["output"]


def test_other_runs_of_pytest_do_not_import_neurenix(tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text(
        "import sys\n\n"
        "def test_nothing_is_imported():\n"
        "    assert 'neurenix_pytest' in sys.modules\n"
        "    assert not {'neurenix', 'numpy'} & set(sys.modules)\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "neurenix_pytest", "--rootdir=."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
