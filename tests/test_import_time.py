"""What `import neurenix` loads. How long it takes is printed by benchmarks/import_time.py."""

from __future__ import annotations

import subprocess
import sys

import pytest

OPTIONAL = ["PIL", "huggingface_hub", "rich", "typer", "matplotlib", "sklearn", "tqdm"]
# Read only when a device or a command is asked for: these are what reads entry points.
ENTRY_POINT_READERS = ["importlib_metadata", "importlib.metadata", "pkg_resources"]
# Parts that one uses on purpose, and that would make every import slower.
LATER = [
    "neurenix_transfer",
    "neurenix.transfer",
    "neurenix.cli",
    "neurenix.testing",
    "safetensors",
]


def loaded_by(code: str) -> set[str]:
    """Return the modules that a fresh interpreter loads for the code, beyond those of NumPy."""
    script = (
        "import sys, numpy\n"
        "before = set(sys.modules)\n"
        f"{code}\n"
        "print(*sorted(set(sys.modules) - before), sep='\\n')\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    return loaded_by("import neurenix")


@pytest.mark.parametrize("name", OPTIONAL + ENTRY_POINT_READERS + LATER)
def test_import_leaves_out(loaded: set[str], name: str) -> None:
    assert not [module for module in loaded if module == name or module.startswith(name + ".")]


def test_import_gives_the_tensor(loaded: set[str]) -> None:
    assert "neurenix.tensor" in loaded


def test_import_opens_no_backend() -> None:
    """No kernel is loaded, not even NumPy's, until a device is asked for."""
    opened = "any(name.startswith('neurenix.backends.numpy.') for name in sys.modules)"
    loaded_by(
        f"import neurenix\nassert not {opened}\nneurenix.ones((2,)).sum().item()\nassert {opened}"
    )


def test_parts_are_reachable_without_an_import_of_their_own() -> None:
    loaded_by(
        "import neurenix\n"
        "neurenix.nn.Linear, neurenix.optim.SGD, neurenix.data.transforms.Normalize\n"
        "neurenix.models.resnet18, neurenix.io.load_safetensors, neurenix.graph.trace\n"
    )
