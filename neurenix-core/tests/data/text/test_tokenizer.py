from __future__ import annotations

import copy
import dataclasses
import json
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import neurenix
from neurenix.data import Tokenizer, TokenizerError
from neurenix.data.transforms import Compose, Transform
from neurenix.data.transforms.transform import is_deterministic
from neurenix.errors import MissingDependencyError


@pytest.fixture
def definition(text_encoder: Path) -> str:
    pytest.importorskip("tokenizers", reason="the package tokenizers is not installed")
    return (text_encoder / "tokenizer.json").read_text(encoding="utf-8")


def test_a_text_becomes_ids_between_the_special_tokens(definition: str) -> None:
    tokenizer = Tokenizer(definition, bucket=8)
    ids = tokenizer("Free PRIZE now!")
    vocab = json.loads(definition)["model"]["vocab"]
    tokens = ["[CLS]", "free", "prize", "now", "!", "[SEP]", "[PAD]", "[PAD]"]
    assert ids.dtype == neurenix.int64
    assert ids.tolist() == [vocab[token] for token in tokens]
    assert tokenizer.decode(ids) == "free prize now!"
    assert (tokenizer.pad_id, tokenizer.vocab_size) == (0, len(vocab))


@pytest.mark.parametrize(
    ("words", "length"), [(0, 16), (13, 16), (14, 16), (15, 32), (30, 32), (31, 40), (99, 40)]
)
def test_texts_are_filled_up_to_buckets_and_cut_at_the_longest_length(
    definition: str, words: int, length: int
) -> None:
    tokenizer = Tokenizer(definition, max_length=40, bucket=16)
    text = "you " * words
    ids = tokenizer(text)
    assert ids.shape == (length,)
    count = min(words + 2, 40)
    assert len(tokenizer.encode(text)) == count
    assert (ids.numpy()[:count] != 0).all()
    assert not ids.numpy()[count:].any()
    assert tokenizer.is_cut(text) == (words > 38)


def test_the_length_of_a_text_does_not_depend_on_those_beside_it(definition: str) -> None:
    tokenizer = Tokenizer(definition, bucket=4)
    texts = ["you", "you " * 20]
    assert [tokenizer(text).shape for text in texts] == [(4,), (24,)]
    batch = tokenizer.batch(texts)
    assert batch.shape == (2, 24)
    assert batch[0].tolist() == [*tokenizer(texts[0]).tolist(), *[0] * 20]


def test_samples_are_joined_with_and_without_labels(definition: str) -> None:
    tokenizer = Tokenizer(definition, bucket=4)
    short, long = tokenizer("a"), tokenizer("you see you")
    ids, labels = tokenizer.collate([(short, 1), (long, 0)])
    assert (ids.shape, labels.tolist()) == ((2, 8), [1, 0])
    assert tokenizer.collate([short, short]).shape == (2, 4)
    with pytest.raises(ValueError, match="at least one sample"):
        tokenizer.collate([])


def test_it_is_a_deterministic_transform_that_describes_itself(definition: str) -> None:
    tokenizer = Tokenizer(definition, max_length=20, bucket=4)
    assert is_deterministic(tokenizer) is True
    assert is_deterministic(Compose([tokenizer])) is True
    described = json.loads(json.dumps(tokenizer.to_dict()))
    again = Transform.from_dict(described)
    assert again == tokenizer
    assert again("see you").tolist() == tokenizer("see you").tolist()
    assert repr(tokenizer) == "Tokenizer(max_length=20, bucket=4, pad_token='[PAD]')"
    assert dataclasses.replace(tokenizer, bucket=7)("a").shape == (7,)


def test_it_is_copied_and_pickled_whether_used_or_not(definition: str) -> None:
    tokenizer = Tokenizer(definition)
    for _ in range(2):
        for twin in (copy.deepcopy(tokenizer), pickle.loads(pickle.dumps(tokenizer))):
            assert twin == tokenizer
            assert twin("see you").tolist() == tokenizer("see you").tolist()


def test_threads_share_one(definition: str) -> None:
    tokenizer = Tokenizer(definition)
    texts = [f"see you at {number}" for number in range(200)]
    with ThreadPoolExecutor(8) as pool:
        rows = [ids.tolist() for ids in pool.map(tokenizer, texts)]
    assert rows == [Tokenizer(definition)(text).tolist() for text in texts]


def test_a_folder_says_how_long_texts_may_be(text_encoder: Path, tmp_path: Path) -> None:
    assert Tokenizer.from_folder(text_encoder).max_length == 64  # positions, not the stated 512
    assert Tokenizer.from_folder(text_encoder, max_length=9).max_length == 9
    definition = (text_encoder / "tokenizer.json").read_text(encoding="utf-8")
    (tmp_path / "tokenizer.json").write_text(definition, encoding="utf-8")
    assert Tokenizer.from_folder(tmp_path).max_length == 512
    (tmp_path / "tokenizer_config.json").write_text(
        '{"model_max_length": 100, "pad_token": {"content": "[UNK]"}}', encoding="utf-8"
    )
    tokenizer = Tokenizer.from_folder(tmp_path)
    assert (tokenizer.max_length, tokenizer.pad_token) == (100, "[UNK]")
    (tmp_path / "sentence_bert_config.json").write_text('{"max_seq_length": 32}', encoding="utf-8")
    assert Tokenizer.from_folder(tmp_path).max_length == 32


def test_without_a_limit_texts_are_as_long_as_bert_takes(
    text_encoder: Path, tmp_path: Path
) -> None:
    definition = (text_encoder / "tokenizer.json").read_text(encoding="utf-8")
    (tmp_path / "tokenizer.json").write_text(definition, encoding="utf-8")
    (tmp_path / "tokenizer_config.json").write_text(
        '{"model_max_length": 1000000000000000019884624838656}', encoding="utf-8"
    )
    assert Tokenizer.from_folder(tmp_path).max_length == 512


def test_what_is_no_text_is_an_error(definition: str) -> None:
    with pytest.raises(TypeError, match=r"expected a text \(str\), got NoneType"):
        Tokenizer(definition)(None)


def test_errors_of_the_definition(definition: str, tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match="cannot be read"):
        Tokenizer('{"model": 3}').encode("a")
    with pytest.raises(TokenizerError, match=r"no token '<pad>'.*pad_token="):
        Tokenizer(definition, pad_token="<pad>")("a")
    with pytest.raises(TokenizerError, match=r"max_length 2 leaves no room .* 2 special tokens"):
        Tokenizer(definition, max_length=2)("a")
    with pytest.raises(ValueError, match="bucket as a whole number of tokens, got 0"):
        Tokenizer(definition, bucket=0)
    with pytest.raises(TypeError, match=r"Tokenizer\.from_file"):
        Tokenizer(tmp_path)  # type: ignore[arg-type]
    (tmp_path / "tokenizer.json").write_text("<html>", encoding="utf-8")
    with pytest.raises(TokenizerError, match=r"is no tokenizer\.json"):
        Tokenizer.from_file(tmp_path / "tokenizer.json")


def test_without_the_library_the_error_names_the_install_line(
    text_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    tokenizer = Tokenizer.from_folder(text_encoder)  # reading the file needs no library
    with pytest.raises(MissingDependencyError, match="pip install tokenizers"):
        tokenizer("a")
