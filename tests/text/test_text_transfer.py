"""Transfer learning on texts: what works for photos works with a text encoder as the base."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neurenix
from neurenix import models, nn
from neurenix.data import DataLoader, TextDataset, read_texts
from neurenix.optim import AdamW
from neurenix.transfer import TransferModel, fine_tune
from neurenix.transfer.utils import get_model_feature_extractor

pytest.importorskip("tokenizers", reason="the package tokenizers is not installed")


@pytest.fixture
def messages(tmp_path: Path, text_encoder: Path) -> TextDataset:
    """Messages of one to sixty tokens, read from a file."""
    words = {"spam": "free prize win call now ", "ham": "see you at home the good "}
    lines = [
        f"{label}\t{words[label] * (1 + number % 5)}{number}"
        for number in range(30)
        for label in words
    ]
    (tmp_path / "messages.tsv").write_text("label\ttext\n" + "\n".join(lines), encoding="utf-8")
    weights = models.bert(text_encoder).weights
    assert weights is not None
    return read_texts(tmp_path / "messages.tsv").dataset(weights.transforms())


def build(folder: Path, **options: Any) -> TransferModel:
    neurenix.manual_seed(0)
    head = nn.Sequential(nn.LayerNorm(32, elementwise_affine=False), nn.Linear(32, 2))
    return TransferModel(models.bert(folder), head, **options)


def test_the_head_sees_one_vector_a_text(text_encoder: Path, messages: TextDataset) -> None:
    model = build(text_encoder)
    ids, _ = next(iter(DataLoader(messages, batch_size=10)))
    assert ids.shape == (10, 48)
    assert model(ids).shape == (10, 2)
    assert "32 a sample" in model.summary()
    trained = {name for name, param in model.named_parameters() if param.requires_grad}
    assert trained == {"new_layers.1.weight", "new_layers.1.bias"}


def test_a_head_of_another_width_is_an_error(text_encoder: Path, messages: TextDataset) -> None:
    model = TransferModel(models.bert(text_encoder), nn.Linear(31, 2))
    with pytest.raises(ValueError, match="take 31 values a sample"):
        model(messages[0][0].unsqueeze(0))


def test_text_is_filled_up_by_its_own_length_and_not_by_its_batchs(
    text_encoder: Path, messages: TextDataset
) -> None:
    base = models.bert(text_encoder).eval()
    lengths = {ids.shape[0] for ids, _ in messages}
    assert lengths == {16, 32, 48}
    with neurenix.no_grad():
        alone = [base(ids.unsqueeze(0)).numpy()[0] for ids, _ in messages]
        again = [base(messages[i][0].unsqueeze(0)).numpy()[0] for i in range(len(messages))]
        for size in (7, 60):
            loader = DataLoader(messages, batch_size=size)
            batches = np.concatenate([base(ids).numpy() for ids, _ in loader])
            np.testing.assert_allclose(batches, alone, atol=1e-5)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(alone, again, strict=True))


@pytest.mark.parametrize("layers", [None, ["encoder.layer.1"]])
def test_fine_tuning_learns_from_texts_of_all_lengths(
    text_encoder: Path, messages: TextDataset, layers: list[str] | None
) -> None:
    train, val = messages.split(0.25)
    model = build(text_encoder, fine_tune_layers=layers)
    before = {name: x.numpy().copy() for name, x in model.state_dict().items()}
    params = [param for param in model.parameters() if param.requires_grad]
    history = fine_tune(
        model, AdamW(params, lr=1e-2), train, val_data=val, epochs=6, batch_size=8, verbose=0
    )
    assert history["val_accuracy"][-1] >= 0.9
    assert history["train_loss"][-1] < 0.6 * history["train_loss"][0]
    changed = {
        name
        for name, x in model.state_dict().items()
        if not np.array_equal(x.numpy(), before[name])
    }
    expected = ("new_layers.", *(f"base_model.{layer}." for layer in layers or []))
    assert changed
    assert all(name.startswith(expected) for name in changed)


def test_a_layer_of_the_encoder_can_be_extracted(text_encoder: Path, messages: TextDataset) -> None:
    base = models.bert(text_encoder).eval()
    ids = messages[0][0].unsqueeze(0)
    tokens = get_model_feature_extractor(base, "encoder", pool=None).eval()
    with neurenix.no_grad():
        np.testing.assert_array_equal(tokens(ids).numpy(), base.forward_features(ids).numpy())


def test_the_encoder_compiles_to_the_same_bits(text_encoder: Path, messages: TextDataset) -> None:
    base = models.bert(text_encoder).eval()
    for ids in (messages[0][0].unsqueeze(0), messages[8][0].unsqueeze(0)):
        plan = neurenix.compile(base, ids)
        with neurenix.no_grad():
            assert plan(ids).numpy().tobytes() == base(ids).numpy().tobytes()
