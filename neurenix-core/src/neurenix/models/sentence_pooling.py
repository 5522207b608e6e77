"""How an encoder's tokens are pooled, where sentence-transformers wrote it down."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

from neurenix.models.bert_config import BertConfigError, read_json_object
from neurenix.models.bert_encoder import Pooling

# Its names of the kinds that are supported.
_KINDS: dict[str, Pooling] = {
    "mean": "mean",
    "cls": "cls",
    "mean_tokens": "mean",
    "cls_token": "cls",
}
_FLAG = "pooling_mode_"


def read_pooling(folder: Path) -> Pooling:
    """Return how a folder says that tokens are pooled; ``"mean"`` where it says nothing.

    A step that normalises the vectors is passed over: it belongs to comparing texts, and new
    layers are trained on the vectors as they are.

    Raises:
        BertConfigError: It says a kind that is not supported.
    """
    path = folder / _pooling_path(folder) / "config.json"
    if not path.is_file():
        return "mean"
    config = read_json_object(path)
    names = _kinds(config)
    if len(names) == 1 and names[0] in _KINDS:
        return _KINDS[names[0]]
    raise BertConfigError(
        f"{path} pools by {' and '.join(names) or 'nothing'}; supported are mean and cls. Choose "
        'one: bert(..., pooling="mean")'
    )


def _kinds(config: dict[str, Any]) -> list[str]:
    stated = config.get("pooling_mode")
    if stated is not None:
        return [str(name) for name in (stated if isinstance(stated, list) else [stated])]
    return [name.removeprefix(_FLAG) for name in config if name.startswith(_FLAG) and config[name]]


def _pooling_path(folder: Path) -> str:
    """Return where the pooling's configuration lies, by ``modules.json`` if there is one."""
    path = folder / "modules.json"
    if not path.is_file():
        return "1_Pooling"
    try:
        modules = [
            (str(module["type"]).rpartition(".")[2], str(module["path"]))
            for module in json.loads(path.read_text(encoding="utf-8"))
        ]
    except (ValueError, TypeError, KeyError) as error:
        raise BertConfigError(f"{path} is no list of modules: {error!r}") from error
    others = [kind for kind, _ in modules if kind not in ("Transformer", "Pooling", "Normalize")]
    if others:
        warnings.warn(
            f"{path} goes on with {', '.join(others)}, which is left out: the vectors are those of "
            "the encoder",
            stacklevel=4,
        )
    return next((place for kind, place in modules if kind == "Pooling"), "1_Pooling")
