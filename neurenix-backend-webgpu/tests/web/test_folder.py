"""The folder that an export writes."""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from neurenix import Tensor, nn
from neurenix.io import safetensors_metadata
from neurenix_backend_webgpu.web import ExportExistsError, WebExportError, export_web
from neurenix_backend_webgpu.web.folder import SITE, title_of

PREPROCESSING = {
    "resize": 8,
    "crop": 8,
    "interpolation": "bicubic",
    "mean": [0.5],
    "std": [0.25],
}


def has_native_module() -> bool:
    return find_spec("neurenix_backend_webgpu._native") is not None


def export(folder: Path, classes: int = 2, **options: Any) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 2)).eval()
    names = [f"class {number}" for number in range(classes)]
    options = {"classes": names, "preprocessing": PREPROCESSING} | options
    with warnings.catch_warnings():
        if not has_native_module():
            warnings.filterwarnings("ignore", "the page will compute in plain JavaScript only")
        export_web(model, folder, **options)


def test_the_folder_is_the_site_with_a_plan_and_its_weights(tmp_path: Path) -> None:
    export(tmp_path / "above" / "web", licence="CC0", title="Which?", temperature=2)
    folder = tmp_path / "above" / "web"
    files = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    site = {path.relative_to(SITE) for path in SITE.rglob("*") if path.is_file()}
    plan = json.loads((folder / "plan.json").read_text())
    shaders = plan["webgpu"]["shaders"] if has_native_module() else []
    wgsl = {Path("wgsl", shader["file"]) for shader in shaders}
    assert files == site | {Path("plan.json"), Path("weights.safetensors")} | wgsl
    for shader in shaders:
        text = (folder / "wgsl" / shader["file"]).read_bytes()
        assert shader["sha256"] == hashlib.sha256(text).hexdigest()
    weights = (folder / "weights.safetensors").read_bytes()
    assert plan["weights"]["bytes"] == len(weights)
    assert plan["weights"]["sha256"] == hashlib.sha256(weights).hexdigest()
    assert safetensors_metadata(folder / "weights.safetensors")["licence"] == "CC0"
    assert (plan["title"], plan["licence"], plan["temperature"]) == ("Which?", "CC0", 2.0)
    assert list(tmp_path.iterdir()) == [tmp_path / "above"]
    assert list((tmp_path / "above").iterdir()) == [folder]  # nothing is left beside it


def test_the_site_names_no_other_place() -> None:
    for path in SITE.rglob("*"):
        if path.is_file():
            found = re.findall(r"https?://[^\s\"'<`]+", path.read_text(encoding="utf-8"))
            elsewhere = {url for url in found if not url.startswith("http://127.0.0.1")}
            assert elsewhere <= {"http://www.w3.org/2000/svg"}, path


def test_the_page_forbids_what_it_does_not_need() -> None:
    policy = re.search(r'content="(default-src [^"]*)"', (SITE / "index.html").read_text())
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in policy[1]
    assert "http" not in policy[1]


def test_an_export_is_replaced_only_if_asked(tmp_path: Path) -> None:
    folder = tmp_path / "web"
    export(folder)
    with pytest.raises(ExportExistsError, match=r"holds an exported model already.*--overwrite"):
        export(folder)
    (folder / "CNAME").write_text("photos.example")
    (folder / "wgsl").mkdir(exist_ok=True)
    (folder / "wgsl" / "old.wgsl").write_text("// of another model")
    export(folder, title="Again", overwrite=True)
    assert not (folder / "wgsl" / "old.wgsl").exists()
    assert json.loads((folder / "plan.json").read_text())["title"] == "Again"
    assert (folder / "CNAME").read_text() == "photos.example"


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ExportExistsError, match="of no exported model"):
        export(tmp_path, overwrite=True)
    with pytest.raises(ExportExistsError, match="is a file"):
        export(tmp_path / "notes.txt", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    export(tmp_path / "web")
    assert (tmp_path / "web" / "index.html").is_file()


def test_a_model_without_webgpu_kernels_is_exported_with_a_warning(tmp_path: Path) -> None:
    def refuse(graph: Any) -> Any:
        raise WebExportError("there is no WebGPU kernel for 'sort'")

    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 2)).eval()
    with pytest.MonkeyPatch.context() as patch:
        if has_native_module():
            patch.setattr("neurenix_backend_webgpu.web.recording.record", refuse)
        reason = "'sort'" if has_native_module() else "is not built"
        with pytest.warns(RuntimeWarning, match=f"plain JavaScript only, without WebGPU.*{reason}"):
            export_web(model, tmp_path / "web", classes=["a", "b"], preprocessing=PREPROCESSING)
    assert json.loads((tmp_path / "web" / "plan.json").read_text())["webgpu"] is None
    assert not (tmp_path / "web" / "wgsl").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"interpolation": "lanczos"}, "cannot resize photos by 'lanczos'"),
        ({"mean": [0.1, 0.2], "std": [1.0, 1.0]}, "normalises RGB"),
        ({"crop": 0}, "'crop' must be pixels"),
    ],
)
def test_preprocessing_that_the_page_has_not_is_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(WebExportError, match=message):
        export(tmp_path / "web", preprocessing=PREPROCESSING | changes)
    assert list(tmp_path.iterdir()) == []


def test_classes_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WebExportError, match=r"gives \(1, 2\) for a photo, where 3 classes"):
        export(tmp_path / "web", classes=3)


def test_a_model_of_two_results_is_refused(tmp_path: Path) -> None:
    class Two(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x, x

    with pytest.raises(WebExportError, match="one input and one output; this one has 1 and 2"):
        export_web(Two(), tmp_path / "web", classes=["a"], preprocessing=PREPROCESSING)


@pytest.mark.parametrize(
    ("classes", "title"),
    [
        (["ants", "bees"], "Ants or bees?"),
        (["ants", "bees", "wasps"], "Ants, bees or wasps?"),
        (["a", "b", "c", "d"], "What is in the photo?"),
        (["cat"], "What is in the photo?"),
        (["x" * 30, "y" * 30], "What is in the photo?"),
    ],
)
def test_few_classes_make_the_title(classes: list[str], title: str) -> None:
    assert title_of(classes) == title
