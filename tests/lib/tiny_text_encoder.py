"""A text encoder of a few thousand weights, in the layout of Hugging Face, for tests."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = ("free", "prize", "win", "call", "now", "see", "you", "at", "home", "the", "good", "bad")

CONFIG: dict[str, Any] = {
    "model_type": "bert",
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
}


def vocabulary() -> dict[str, int]:
    """The special tokens, some words, and all letters, alone and within a word."""
    letters = [*string.ascii_lowercase, *string.digits, *".,!?'"]
    tokens = [*SPECIAL, *WORDS, *letters, *(f"##{letter}" for letter in letters)]
    return {token: number for number, token in enumerate(tokens)}


def tokenizer_definition() -> str:
    """The text of a ``tokenizer.json``: WordPiece, as BERT's, uncased.

    Its settings for cutting and filling up are those of another use, as in many published files.
    """
    vocab = vocabulary()
    special = [
        {
            "id": vocab[token],
            "content": token,
            "special": True,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
        }
        for token in SPECIAL
    ]
    ends = {
        token: {"id": token, "ids": [vocab[token]], "tokens": [token]}
        for token in ("[CLS]", "[SEP]")
    }
    return json.dumps(
        {
            "version": "1.0",
            "truncation": {
                "max_length": 8,
                "strategy": "LongestFirst",
                "stride": 0,
                "direction": "Right",
            },
            "padding": {
                "strategy": {"Fixed": 8},
                "direction": "Right",
                "pad_to_multiple_of": None,
                "pad_id": 0,
                "pad_type_id": 0,
                "pad_token": "[PAD]",
            },
            "added_tokens": special,
            "normalizer": {
                "type": "BertNormalizer",
                "clean_text": True,
                "handle_chinese_chars": True,
                "strip_accents": None,
                "lowercase": True,
            },
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": {
                "type": "TemplateProcessing",
                "single": [
                    {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
                    {"Sequence": {"id": "A", "type_id": 0}},
                    {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
                ],
                "pair": [
                    {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
                    {"Sequence": {"id": "A", "type_id": 0}},
                    {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
                    {"Sequence": {"id": "B", "type_id": 1}},
                    {"SpecialToken": {"id": "[SEP]", "type_id": 1}},
                ],
                "special_tokens": ends,
            },
            "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
            "model": {
                "type": "WordPiece",
                "unk_token": "[UNK]",
                "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100,
                "vocab": vocab,
            },
        }
    )


def write_text_encoder(folder: Path, seed: int = 0, **config: Any) -> Path:
    """Write a randomly initialised encoder and its tokenizer, and return the folder.

    Args:
        folder: Where to; it is made.
        seed: What the weights are drawn from.
        **config: Fields of ``config.json`` in place of the usual ones.
    """
    import neurenix
    from neurenix.io import save_safetensors
    from neurenix.models import Bert, BertConfig

    values = {**CONFIG, "vocab_size": len(vocabulary()), **config}
    folder.mkdir(parents=True, exist_ok=True)
    state = neurenix.random.default_generator().get_state()
    neurenix.manual_seed(seed)
    # Larger than BERT begins with, so that texts differ in their vectors without any training.
    model = Bert(BertConfig.from_dict({"initializer_range": 0.2, **values}), pooling="pooler")
    neurenix.random.default_generator().set_state(state)
    (folder / "config.json").write_text(json.dumps(values), encoding="utf-8")
    save_safetensors(folder / "model.safetensors", model.state_dict())
    (folder / "tokenizer.json").write_text(tokenizer_definition(), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"pad_token": "[PAD]", "model_max_length": 512}), encoding="utf-8"
    )
    return folder
