"""The Python blocks of the specification run verbatim, each in a namespace of its own.

Some blocks only show how a function is called (`neurenix.transfer.freeze_layers(model, ...)`), or
go on with data that an earlier block made. What such a block reads and does not define itself is
given to it: see `GIVEN`. Nothing else is, and no block's text is touched.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from markdown_blocks import Block, python_blocks

import neurenix
from neurenix import nn, optim

pytestmark = [
    pytest.mark.slow,  # the tutorials train ResNet-18 on pictures of full size
    # One block joins one base twice, which is warned of, as it should be.
    pytest.mark.filterwarnings("default:this ResNet is the base of another TransferModel"),
]


def small_model() -> nn.Module:
    """A model that takes pictures, for the blocks that only show a call."""
    return nn.Sequential(
        nn.Conv2d(3, 4, kernel_size=7, stride=8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 10),
    )


def pictures(count: int) -> list[neurenix.Tensor]:
    return [neurenix.randn((3, 224, 224)) for _ in range(count)]


def labels(count: int) -> list[neurenix.Tensor]:
    return [neurenix.randint(0, 10, (1,)) for _ in range(count)]


SPEC = Path(
    os.environ.get(
        "NEURENIX_TEST_SPEC",
        Path(__file__).resolve().parents[3] / "shared" / "spec" / "transfer-learning.md",
    )
)
ABSENT = f"no specification at {SPEC}; NEURENIX_TEST_SPEC names the file"
BLOCKS = python_blocks(SPEC) if SPEC.is_file() else []

GIVEN: dict[str, Callable[[dict[str, Any]], Any]] = {
    "neurenix": lambda given: neurenix,
    "base_model": lambda given: small_model()[:4],
    "new_layers": lambda given: nn.Linear(4, 10),
    "model": lambda given: small_model(),
    "model1": lambda given: small_model(),
    "model2": lambda given: small_model(),
    "optimizer": lambda given: optim.SGD(given["model"].parameters(), lr=0.01),
    "train_data": lambda given: pictures(16),
    "train_labels": lambda given: labels(16),
    "val_data": lambda given: pictures(4),
    "val_labels": lambda given: labels(4),
    "input_tensor": lambda given: neurenix.randn((4, 3, 224, 224)),
    "layer_name": lambda given: "0",
    "layer_names": lambda given: ["0", "1"],
    "output_layer": lambda given: "1",
    "layer_pairs": lambda given: [("0", "0"), ("1", "1")],
}


class Given(dict[str, Any]):
    """A namespace that makes a name of `GIVEN` when it is first asked for."""

    def __missing__(self, name: str) -> Any:
        self[name] = GIVEN[name](self)
        return self[name]


@pytest.fixture
def spec_path() -> Path:
    """The specification, which is not part of the repository."""
    if not SPEC.is_file():
        pytest.skip(ABSENT)
    return SPEC


@pytest.fixture(scope="module")
def home(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder whose cache of weights holds those that `pretrained=True` looks for."""
    home = tmp_path_factory.mktemp("home")
    cached = home / "models" / "resnet18.safetensors"
    cached.parent.mkdir(parents=True)
    cached.symlink_to(assets / "weights" / "resnet18.safetensors")
    return home


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"line{block.line}")
def test_block(block: Block, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEURENIX_HOME", str(home))
    monkeypatch.chdir(tmp_path)
    neurenix.manual_seed(0)
    given = Given()
    for name in sorted(block.free_names()):
        given[name]  # a name that GIVEN lacks is a block that cannot run: KeyError
    namespace: dict[str, Any] = dict(given, __name__="__main__")
    block.run(namespace)
    for name, value in namespace.items():
        if name.startswith("history"):
            assert len(value["train_loss"]) == len(value["val_loss"]) >= 1
            assert all(map(math.isfinite, value["train_loss"] + value["val_loss"]))
        if name == "output":
            assert value.shape == (1, 10)
    assert list(tmp_path.iterdir()) == []  # nothing is written where the user happens to be


def test_every_python_block_is_run(spec_path: Path) -> None:
    assert len(BLOCKS) == spec_path.read_text(encoding="utf-8").count("```python\n") > 0
