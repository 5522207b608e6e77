from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from hashlib import sha1, sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import neurenix
from neurenix import models
from neurenix.io import WeightsFileError, load_safetensors, save_safetensors
from neurenix.models import (
    BertConfigError,
    ModelFolderError,
    PretrainedWeightsError,
    TokenizerMissingError,
)
from neurenix.tensor import Tensor

IDS = Tensor([[2, 5, 6, 3], [2, 9, 3, 0]])
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def folder(text_encoder: Path, tmp_path: Path) -> Path:
    """A folder of one's own, to change."""
    return shutil.copytree(text_encoder, tmp_path / "encoder")


def vectors(source: Any, **options: Any) -> np.ndarray:
    with neurenix.no_grad():
        out: np.ndarray = models.bert(source, **options).eval()(IDS).numpy()
    return out


def rewrite_state(folder: Path, change: Callable[[str], str], **more: Tensor) -> None:
    """Write a folder's weights anew, under other names and with more of them."""
    state = load_safetensors(folder / "model.safetensors")
    renamed = {change(name): tensor.clone() for name, tensor in state.items()}
    save_safetensors(folder / "model.safetensors", {**renamed, **more})


def rewrite_config(folder: Path, **fields: Any) -> None:
    values = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**values, **fields}), encoding="utf-8")


def test_a_folder_gives_its_weights_and_its_tokenizer(text_encoder: Path) -> None:
    model = models.bert(str(text_encoder))
    state = load_safetensors(text_encoder / "model.safetensors")
    for name, tensor in model.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), state[name].numpy())
    assert (model.pooling, model.pooler) == ("mean", None)
    assert model.weights is not None
    assert model.weights.path == text_encoder / "model.safetensors"
    pytest.importorskip("tokenizers", reason="the package tokenizers is not installed")
    tokenizer = model.weights.transforms()
    assert tokenizer.max_length == 64
    assert tokenizer.pad_id == model.pad_token_id
    with neurenix.no_grad():
        assert model.eval()(tokenizer.batch(["see you", "free prize now"])).shape == (2, 32)


def test_the_registry_and_paths_of_other_kinds_give_the_same(text_encoder: Path) -> None:
    expected = vectors(text_encoder)
    np.testing.assert_array_equal(vectors(text_encoder / "model.safetensors"), expected)
    with neurenix.no_grad():
        created = models.create("bert", pretrained=text_encoder).eval()
        np.testing.assert_array_equal(created(IDS).numpy(), expected)


def test_the_tokenizer_travels_in_plain_data(text_encoder: Path) -> None:
    pytest.importorskip("tokenizers", reason="the package tokenizers is not installed")
    weights = models.bert(text_encoder).weights
    assert weights is not None
    described = json.loads(json.dumps(weights.preprocessing))
    again = neurenix.data.transforms.Transform.from_dict(described)
    assert again("see you").tolist() == weights.transforms()("see you").tolist()
    assert len(repr(weights)) < 300


@pytest.mark.parametrize("prefix", ["bert.", "0.auto_model.", "module.bert."])
def test_a_prefix_and_the_heads_beside_the_encoder_are_left_out(folder: Path, prefix: str) -> None:
    expected = vectors(folder)
    rewrite_state(
        folder,
        lambda name: prefix + name,
        **{
            "cls.predictions.bias": neurenix.zeros((3,)),
            "classifier.weight": neurenix.zeros((2, 32)),
            f"{prefix}embeddings.position_ids": Tensor([[0, 1, 2]]),
        },
    )
    np.testing.assert_array_equal(vectors(folder), expected)


def test_layer_norms_under_their_old_names(folder: Path) -> None:
    expected = vectors(folder)
    rewrite_state(
        folder,
        lambda name: name.replace("Norm.weight", "Norm.gamma").replace("Norm.bias", "Norm.beta"),
    )
    np.testing.assert_array_equal(vectors(folder), expected)


def test_weights_of_sixteen_bits_are_widened(folder: Path) -> None:
    expected = vectors(folder)
    state = load_safetensors(folder / "model.safetensors")
    save_safetensors(
        folder / "model.safetensors", {k: v.astype(neurenix.float16) for k, v in state.items()}
    )
    model = models.bert(folder)
    assert {param.dtype for param in model.parameters()} == {neurenix.float32}
    np.testing.assert_allclose(vectors(folder), expected, atol=2e-2)


def write_pooling(folder: Path, config: dict[str, Any], place: str = "1_Pooling") -> None:
    (folder / place).mkdir(exist_ok=True)
    (folder / place / "config.json").write_text(json.dumps(config), encoding="utf-8")


@pytest.mark.parametrize(
    ("config", "pooling"),
    [
        ({"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}, "mean"),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode": "cls"}, "cls"),
        ({"pooling_mode": ["mean"]}, "mean"),
    ],
)
def test_the_pooling_is_the_one_of_sentence_transformers(
    folder: Path, config: dict[str, Any], pooling: str
) -> None:
    write_pooling(folder, {"word_embedding_dimension": 32, **config})
    assert models.bert(folder).pooling == pooling
    assert models.bert(folder, pooling="pooler").pooling == "pooler"


def test_modules_say_where_the_pooling_is(folder: Path) -> None:
    write_pooling(folder, {"pooling_mode": "cls"}, "pool")
    modules = [
        {"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "path": "pool", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
    ]
    (folder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    assert models.bert(folder).pooling == "cls"
    modules.append({"idx": 3, "path": "3", "type": "sentence_transformers.models.Dense"})
    (folder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    with pytest.warns(UserWarning, match="goes on with Dense, which is left out"):
        models.bert(folder)
    (folder / "modules.json").write_text('{"a": 1}', encoding="utf-8")
    with pytest.raises(BertConfigError, match="is no list of modules"):
        models.bert(folder)


@pytest.mark.parametrize("flags", [["max_tokens"], ["cls_token", "mean_tokens"], []])
def test_a_pooling_that_is_not_supported_is_named(folder: Path, flags: list[str]) -> None:
    write_pooling(folder, {f"pooling_mode_{flag}": True for flag in flags})
    named = " and ".join(flags) or "nothing"
    with pytest.raises(BertConfigError, match=f"pools by {named}; supported are mean and cls"):
        models.bert(folder)
    assert models.bert(folder, pooling="mean").pooling == "mean"


def test_a_pooler_must_be_in_the_file(folder: Path) -> None:
    state = load_safetensors(folder / "model.safetensors")
    kept = {name: x.clone() for name, x in state.items() if not name.startswith("pooler.")}
    save_safetensors(folder / "model.safetensors", kept)
    models.bert(folder)
    with pytest.raises(WeightsFileError, match='has no pooler; choose pooling="mean"'):
        models.bert(folder, pooling="pooler")


def test_weights_of_another_model_are_named(folder: Path) -> None:
    rewrite_config(folder, num_hidden_layers=3)
    with pytest.raises(WeightsFileError, match=r"missing: encoder\.layer\.2\.attention"):
        models.bert(folder)
    rewrite_config(folder, num_hidden_layers=1)
    with pytest.raises(WeightsFileError, match=r"unexpected: encoder\.layer\.1\."):
        models.bert(folder)
    rewrite_config(folder, num_hidden_layers=2, intermediate_size=65)
    with pytest.raises(WeightsFileError, match=r"shape: encoder\.layer\.0\.intermediate\.dense\.w"):
        models.bert(folder)
    save_safetensors(folder / "model.safetensors", {"fc.weight": neurenix.zeros((2, 2))})
    with pytest.raises(WeightsFileError, match="holds no BERT encoder"):
        models.bert(folder)


def test_two_encoders_in_a_file_are_an_error(folder: Path) -> None:
    state = load_safetensors(folder / "model.safetensors")
    both = {f"{side}.{name}": x.clone() for side in ("a", "b") for name, x in state.items()}
    save_safetensors(folder / "model.safetensors", both)
    with pytest.raises(WeightsFileError, match="several BERT encoders"):
        models.bert(folder)


def test_what_is_missing_in_a_folder_is_named(folder: Path, tmp_path: Path) -> None:
    (folder / "tokenizer.json").unlink()
    weights = models.bert(folder).weights
    assert weights is not None
    with pytest.raises(TokenizerMissingError, match=r"no tokenizer\.json beside"):
        weights.transforms()
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    (folder / "model.safetensors.index.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ModelFolderError, match="in one file, not in shards"):
        models.bert(folder)
    (folder / "config.json").unlink()
    with pytest.raises(ModelFolderError, match=r"no config\.json and no model\.safetensors"):
        models.bert(folder)
    with pytest.raises(ModelFolderError, match="there is no folder"):
        models.bert(tmp_path / "absent")
    with pytest.raises(ModelFolderError, match=r"there is no folder '\./absent'"):
        models.bert("./absent")


def test_a_broken_configuration_is_named_with_its_file(folder: Path) -> None:
    rewrite_config(folder, model_type="roberta")
    with pytest.raises(BertConfigError, match=r"config\.json is of model_type 'roberta'"):
        models.bert(folder)
    (folder / "config.json").write_text("[]", encoding="utf-8")
    with pytest.raises(BertConfigError, match=r"config\.json holds a list"):
        models.bert(folder)
    (folder / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(BertConfigError, match=r"config\.json is not JSON"):
        models.bert(folder)


def test_a_tokenizer_that_fills_up_with_another_token_is_an_error(folder: Path) -> None:
    pytest.importorskip("tokenizers", reason="the package tokenizers is not installed")
    (folder / "tokenizer_config.json").write_text('{"pad_token": "[MASK]"}', encoding="utf-8")
    weights = models.bert(folder).weights
    assert weights is not None
    with pytest.raises(neurenix.data.TokenizerError, match=r"'\[MASK\]', 4, .* pad_token_id 0"):
        weights.transforms()


def test_sizes_belong_to_random_weights(text_encoder: Path) -> None:
    with pytest.raises(ValueError, match="Leave one of the two out"):
        models.bert(text_encoder, config=models.BertConfig())
    with pytest.raises(TypeError, match="pretrained must be True, False, a folder"):
        models.bert(3)  # type: ignore[arg-type]


class FakeHub:
    """Stands for the module ``huggingface_hub``, with one repository."""

    def __init__(self, folder: Path) -> None:
        self.files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }
        self.tags: dict[str, str] = {}
        self.fetched: list[str] = []
        self.interrupt_at = ""

    def model_info(self, name: str) -> SimpleNamespace:
        assert name == "someone/encoder"
        siblings = [SimpleNamespace(rfilename=file) for file in self.files]
        return SimpleNamespace(sha=COMMIT, siblings=siblings)

    def hf_hub_url(self, name: str, file: str, *, revision: str) -> str:
        assert revision == COMMIT
        return file

    def get_hf_file_metadata(self, file: str) -> SimpleNamespace:
        content = self.files[file]
        tag = sha1(b"blob %d\0" % len(content) + content).hexdigest()
        if file.endswith(".safetensors"):
            tag = sha256(content).hexdigest()
        return SimpleNamespace(etag=self.tags.get(file, tag), size=len(content), commit_hash=COMMIT)

    def hf_hub_download(self, name: str, file: str, *, revision: str, local_dir: str) -> str:
        assert (name, revision) == ("someone/encoder", COMMIT)
        if file == self.interrupt_at:
            raise KeyboardInterrupt
        self.fetched.append(file)
        path = Path(local_dir) / file
        path.parent.mkdir(parents=True, exist_ok=True)
        (Path(local_dir) / ".cache").mkdir(exist_ok=True)
        path.write_bytes(self.files[file])
        return str(path)


@pytest.fixture
def hub(folder: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    write_pooling(folder, {"pooling_mode": "cls"})
    (folder / "README.md").write_text("not wanted", encoding="utf-8")
    fake = FakeHub(folder)
    monkeypatch.setitem(sys.modules, "huggingface_hub", fake)  # type: ignore[arg-type]
    return fake


def files_below(home: Path) -> list[str]:
    return sorted(path.relative_to(home).as_posix() for path in home.rglob("*"))


def test_a_repository_is_downloaded_once_and_kept(
    home: Path, hub: FakeHub, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = home / "models" / "someone--encoder"
    for _ in range(2):
        model = models.bert("someone/encoder")
        assert model.pooling == "cls"
        assert model.weights is not None
        assert model.weights.path == place / "model.safetensors"
        assert model.weights.name == "someone/encoder"
    wanted = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    assert hub.fetched == [*wanted, "1_Pooling/config.json"]
    assert files_below(place) == sorted([*hub.fetched, "1_Pooling"])
    assert files_below(home / "models") == ["someone--encoder"] + [
        f"someone--encoder/{file}" for file in files_below(place)
    ]
    np.testing.assert_array_equal(vectors("someone/encoder"), vectors(folder))
    assert capsys.readouterr().err == f"Downloading someone/encoder to {place}\n"


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json"])
def test_a_wrong_hash_is_refused(home: Path, hub: FakeHub, file: str) -> None:
    hub.tags[file] = "0" * (64 if file == "model.safetensors" else 40)
    with pytest.raises(PretrainedWeightsError, match=r"hash|SHA-256"):
        models.bert("someone/encoder")
    assert files_below(home) == ["models"]


def test_a_repository_of_another_kind_is_told_by_its_configuration(
    home: Path, hub: FakeHub
) -> None:
    hub.files["config.json"] = b'{"model_type": "t5"}'
    with pytest.raises(
        BertConfigError, match=r"^config\.json of someone/encoder is of model_type 't5'"
    ):
        models.bert("someone/encoder")
    assert hub.fetched == ["config.json"]
    assert files_below(home) == ["models"]


def test_a_repository_without_its_files_is_an_error(home: Path, hub: FakeHub) -> None:
    del hub.files["model.safetensors"]
    with pytest.raises(PretrainedWeightsError, match=r"has no config\.json or no model\.safe"):
        models.bert("someone/encoder")
    hub.files["model.safetensors"] = b"<html>Sign in</html>"
    with pytest.raises(PretrainedWeightsError, match="it seems to be an HTML or XML page"):
        models.bert("someone/encoder")
    assert files_below(home) == ["models"]


def test_an_interrupted_download_leaves_nothing(home: Path, hub: FakeHub) -> None:
    hub.interrupt_at = "tokenizer.json"
    with pytest.raises(KeyboardInterrupt):
        models.bert("someone/encoder")
    assert files_below(home) == ["models"]
    hub.interrupt_at = ""
    assert models.bert("someone/encoder").pooling == "cls"


def test_offline_the_error_says_where_it_looked_and_what_to_do(
    home: Path, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(name: str) -> Any:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(hub, "model_info", offline)
    with pytest.raises(PretrainedWeightsError) as caught:
        models.bert(True)
    message = str(caught.value)
    place = home / "models" / "sentence-transformers--all-MiniLM-L6-v2"
    assert f"{place}: no such folder" in message
    assert "sentence-transformers/all-MiniLM-L6-v2: ConnectionError: no route to host" in message
    assert "Give a folder with config.json, model.safetensors and tokenizer.json" in message
    assert str(place) in message
    assert not home.exists()


def test_a_folder_put_into_the_home_needs_no_hub(
    home: Path, text_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(PretrainedWeightsError, match="pip install huggingface_hub"):
        models.bert("someone/encoder")
    shutil.copytree(text_encoder, home / "models" / "someone--encoder")
    np.testing.assert_array_equal(vectors("someone/encoder"), vectors(text_encoder))
