"""What a user installs, with pip and with uv, into a fresh environment, and what then works.

The distributions come from an index on this machine or from a folder, never from another release.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from fresh_environment import FreshEnvironment, size_bytes
from native_engine import ENGINE, needs_engine
from tiny_text_encoder import CONFIG, tokenizer_definition, vocabulary

CORE_AND_ITS_FIVE = {
    "neurenix-core",
    "numpy",
    "ml-dtypes",
    "pluggy",
    "importlib-metadata",
    "safetensors",
}
# What only the set and its extras ask for.
OF_THE_SET = {"neurenix", ENGINE, "pillow", "huggingface-hub", "rich", "typer", "matplotlib"}
OF_EXTRAS = {"scikit-learn", "tokenizers"}
# The compiled parts of NumPy are nearly all of it.
SIZE_LIMIT_BYTES = 120e6

LEARN = """
import neurenix as nx
from neurenix import nn

nx.manual_seed(0)
model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 6 * 6, 2))
optimizer = nx.optim.AdamW(model.parameters(), lr=0.01)
images = nx.randn((16, 1, 8, 8))
labels = nx.Tensor([0, 1] * 8)
losses = []
for _ in range(20):
    loss = nn.functional.cross_entropy(model(images), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
assert losses[-1] < losses[0] / 2, losses
"""

TRANSFER = """
import neurenix as nx
from neurenix import nn
from neurenix.transfer import TransferModel, fine_tune

nx.manual_seed(0)
base = nn.Sequential(nn.Linear(8, 16), nn.Tanh())
model = TransferModel(base, nn.Linear(16, 2))
inputs = nx.randn((64, 8))
labels = (inputs.sum(axis=1) > 0).astype(nx.int64)
optimizer = nx.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.05)
history = fine_tune(model, optimizer, inputs, labels, epochs=10, verbose=0)
losses = history["train_loss"]
assert losses[-1] < losses[0] * 0.7, losses
"""

READ_TEXT = """
import sys
from neurenix.data import Tokenizer

print(Tokenizer.from_folder(sys.argv[1]).encode("free prize"))
"""

MakeFresh = Callable[..., FreshEnvironment]


def test_core_alone(fresh: FreshEnvironment) -> None:
    fresh.install("neurenix-core")
    installed = set(fresh.versions())
    assert installed >= CORE_AND_ITS_FIVE
    assert not installed & {*OF_THE_SET, *OF_EXTRAS, "neurenix-transfer"}
    assert fresh.is_consistent()
    fresh.python(LEARN)
    absent = fresh.python(
        "try:\n    import neurenix.transfer\nexcept ImportError as error:\n    print(error)"
    )
    assert "pip install neurenix-transfer" in absent
    shell = fresh.try_command("--help")
    assert shell.returncode == 1
    assert "pip install typer rich" in shell.stdout


def test_core_and_transfer(fresh: FreshEnvironment) -> None:
    fresh.install("neurenix-core", "neurenix-transfer")
    installed = set(fresh.versions())
    assert installed >= {*CORE_AND_ITS_FIVE, "neurenix-transfer"}
    assert not installed & (OF_THE_SET | OF_EXTRAS)
    assert fresh.is_consistent()
    fresh.python(TRANSFER)
    size = size_bytes(fresh.site_packages)
    print(f"\ncore, transfer and what they need: {size / 1e6:.1f} MB")  # noqa: T201
    assert size < SIZE_LIMIT_BYTES


def test_transfer_brings_core(make_fresh: MakeFresh, index: str) -> None:
    fresh = make_fresh("uv", index)
    fresh.install("neurenix-transfer")
    installed = set(fresh.versions())
    assert installed >= {*CORE_AND_ITS_FIVE, "neurenix-transfer"}
    assert not installed & (OF_THE_SET | OF_EXTRAS)


@needs_engine
def test_core_transfer_and_engine(fresh: FreshEnvironment) -> None:
    fresh.install("neurenix-core", "neurenix-transfer", ENGINE)
    assert fresh.is_consistent()
    fresh.python(TRANSFER)
    device = "import neurenix\nprint(neurenix.default_device().backend.__class__.__name__)"
    assert fresh.python(device) == "CpuBackend\n"
    size = size_bytes(fresh.site_packages)
    print(f"\ncore, transfer, the engine and what they need: {size / 1e6:.1f} MB")  # noqa: T201
    assert size < SIZE_LIMIT_BYTES


@needs_engine
@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_the_set_from_an_index(make_fresh: MakeFresh, index: str, installer: str) -> None:
    fresh = make_fresh(installer, index)
    fresh.install("neurenix")
    versions = fresh.versions()
    assert {*OF_THE_SET, *CORE_AND_ITS_FIVE, "neurenix-transfer"} <= set(versions)
    assert not set(versions) & OF_EXTRAS
    assert fresh.is_consistent()
    fresh.python(TRANSFER)
    diagnosis = json.loads(fresh.command("doctor", "--json"))
    assert diagnosis["healthy"]
    assert diagnosis["core"]["neurenix-core"] == versions["neurenix-core"]
    listed = fresh.command("--help")
    assert [
        name for name in ("fine-tune", "predict", "evaluate", "demo") if name not in listed
    ] == []
    demo = fresh.try_command("demo")
    assert demo.returncode == 2
    assert 'pip install "neurenix[demo]"' in demo.stdout


@needs_engine
def test_the_demo(fresh: FreshEnvironment) -> None:
    fresh.install("neurenix[demo]")
    assert "tokenizers" not in fresh.versions()
    assert fresh.is_consistent()
    printed = fresh.command("demo", "--seeds", "1", "--out", "demo")
    assert (fresh.folder / "demo" / "demo.png").read_bytes().startswith(b"\x89PNG")
    first = re.search(r"after epoch +1 +([\d.]+) +([\d.]+)", printed)
    assert first, printed
    from_scratch, with_transfer = map(float, first.groups())
    assert with_transfer > from_scratch + 0.2


@needs_engine
def test_texts(fresh: FreshEnvironment, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(tokenizer_definition(), encoding="utf-8")
    settings = {"pad_token": "[PAD]", "model_max_length": CONFIG["max_position_embeddings"]}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    fresh.install("neurenix[text]")
    assert "scikit-learn" not in fresh.versions()
    assert fresh.is_consistent()
    vocab = vocabulary()
    expected = [vocab[token] for token in ("[CLS]", "free", "prize", "[SEP]")]
    assert fresh.python(READ_TEXT, tmp_path) == f"{expected}\n"
