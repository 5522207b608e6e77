"""The page of an exported model, as a visitor meets it."""

from __future__ import annotations

import json
import re
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium import served
from PIL import Image

import neurenix
from neurenix import nn
from neurenix.models import preprocessing_transforms
from neurenix_backend_webgpu.web import export_web

PREPROCESSING = {
    "resize": 20,
    "crop": 16,
    "interpolation": "bilinear",
    "mean": [0.5, 0.5, 0.5],
    "std": [0.25, 0.25, 0.25],
}
CLASSES = ["ants", "bees", "<b>wasps</b>"]
ANSWERED = "#answers[data-backend]"


def small_model(classes: int = 3) -> nn.Module:
    neurenix.manual_seed(4)
    layers = [nn.Conv2d(3, 6, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(294, classes)]
    return nn.Sequential(*layers).eval()


def photo_of(color: tuple[int, int, int], size: tuple[int, int] = (40, 30)) -> Image.Image:
    noise = np.random.default_rng(1).normal(scale=20, size=(size[1], size[0], 3))
    return Image.fromarray(np.clip(noise + color, 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("photos")
    paths = {name: folder / f"{name}.png" for name in ("red", "blue", "broken")}
    photo_of((200, 60, 40)).save(paths["red"])
    photo_of((40, 60, 200), (30, 40)).save(paths["blue"])
    paths["broken"].write_bytes(b"no photo")
    return paths


def expected(path: Path, temperature: float = 1.0) -> dict[str, float]:
    x = preprocessing_transforms(PREPROCESSING)(np.asarray(Image.open(path)))
    with neurenix.no_grad():
        logits = small_model()(x.unsqueeze(0)).numpy()[0].astype(np.float64) / temperature
    powers = np.exp(logits - logits.max())
    return dict(zip(CLASSES, (powers / powers.sum()).tolist(), strict=True))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("web") / "exported"
    facts = {"base": "small <i>model</i>", "temperature": 1.7, "licence": "CC0"}
    export(folder, CLASSES, min_confidence=0.99, **facts)
    return folder


def export(folder: Path, classes: list[str], **options: Any) -> None:
    with warnings.catch_warnings():
        # Where the native module is not built, the page is tested in JavaScript.
        warnings.filterwarnings("ignore", "the page will compute in plain JavaScript only")
        model = small_model(len(classes))
        export_web(model, folder, classes=classes, preprocessing=PREPROCESSING, **options)


class Visit:
    """A page, with what went wrong in it and what it asked for."""

    def __init__(self, chromium: Any, address: str) -> None:
        self.page = chromium.new_page()
        self.problems: list[str] = []
        self.requests: list[str] = []
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("console", lambda message: self.problems.append(message.text))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(address)

    def text(self, selector: str) -> str:
        return str(self.page.inner_text(selector))

    def choose(self, *paths: Path) -> None:
        self.page.set_input_files("#photo", [str(path) for path in paths])

    def answer(self) -> dict[str, float]:
        self.page.wait_for_selector(ANSWERED)
        return {
            bar.get_attribute("data-class"): float(bar.get_attribute("data-probability"))
            for bar in self.page.query_selector_all("#answers li")
        }


@pytest.fixture
def visit(chromium: Any, exported: Path) -> Iterator[Visit]:
    """The page, its model loaded; nothing must go wrong in it, or be fetched from elsewhere."""
    with served(exported) as address:
        visit = Visit(chromium, f"{address}?backend=javascript")
        visit.page.wait_for_selector("#computing:not([hidden])")
        yield visit
        assert visit.problems == []
        assert all(url.startswith((address, "blob:")) for url in visit.requests)
        visit.page.close()


def drop(visit: Visit, paths: list[Path], target: str = "body") -> None:
    files = [[path.name, list(path.read_bytes())] for path in paths]
    transfer = visit.page.evaluate_handle(
        """(files) => {
          const transfer = new DataTransfer();
          for (const [name, bytes] of files) {
            transfer.items.add(new File([new Uint8Array(bytes)], name));
          }
          return transfer;
        }""",
        files,
    )
    for event in ("dragenter", "dragover", "drop"):
        visit.page.dispatch_event(target, event, {"dataTransfer": transfer})


def test_a_chosen_photo_is_classified(visit: Visit, photos: dict[str, Path]) -> None:
    visit.choose(photos["red"])
    found = visit.answer()
    assert found == pytest.approx(expected(photos["red"], 1.7), abs=1e-6)
    assert list(found.values()) == sorted(found.values(), reverse=True)
    shares = [visit.page.inner_text(f"li[data-class='{name}'] .share") for name in CLASSES]
    assert all(re.fullmatch(r"\d+\.\d+ %", share) for share in shares)
    assert "plain JavaScript" in visit.text("#timing")
    assert not visit.page.is_visible("#altered")
    assert visit.page.get_attribute("#preview", "src").startswith("blob:")


def test_names_are_text_and_no_markup(visit: Visit, photos: dict[str, Path]) -> None:
    visit.choose(photos["red"])
    assert "<b>wasps</b>" in visit.answer()
    assert visit.page.query_selector_all("li b, #about i, h1 b") == []
    assert "small <i>model</i>" in visit.text("#about")
    assert "Licence of the weights: CC0" in visit.text("#about")


def test_unsure_is_said(visit: Visit, photos: dict[str, Path]) -> None:
    visit.choose(photos["red"])
    assert max(visit.answer().values()) < 0.99
    assert visit.text("#answer") == "Unsure: no class reaches 99.0 %"


@pytest.mark.parametrize("target", ["body", "#drop"])
def test_a_dropped_photo_is_classified(visit: Visit, photos: dict[str, Path], target: str) -> None:
    drop(visit, [photos["blue"], photos["red"]], target)
    assert visit.answer() == pytest.approx(expected(photos["blue"], 1.7), abs=1e-6)
    assert visit.text("#caption") == "blue.png (the first of 2)"


def test_the_keyboard_opens_the_choice(visit: Visit, photos: dict[str, Path]) -> None:
    # Somebody has to listen before the key is pressed, else the browser's own dialogue opens.
    visit.page.on("filechooser", lambda _: None)
    visit.page.keyboard.press("Tab")
    assert visit.page.evaluate("document.activeElement.id") == "photo"
    with visit.page.expect_file_chooser() as chooser:
        visit.page.keyboard.press("Enter")
    chooser.value.set_files(str(photos["blue"]))
    assert visit.answer() == pytest.approx(expected(photos["blue"], 1.7), abs=1e-6)


def test_a_broken_photo_is_said_and_the_next_one_read(
    visit: Visit, photos: dict[str, Path]
) -> None:
    visit.choose(photos["broken"])
    visit.page.wait_for_selector("#status.wrong")
    assert "damaged, or no photo" in visit.text("#status")
    assert not visit.page.is_visible("#result")
    visit.choose(photos["red"])
    assert visit.answer() == pytest.approx(expected(photos["red"], 1.7), abs=1e-6)
    assert visit.text("#status") == ""


def test_the_last_photo_counts(visit: Visit, photos: dict[str, Path]) -> None:
    for name in ("red", "broken", "red", "blue"):
        visit.choose(photos[name])
    visit.page.wait_for_selector(ANSWERED)
    assert visit.answer() == pytest.approx(expected(photos["blue"], 1.7), abs=1e-6)
    assert visit.text("#caption") == "blue.png"


def test_the_frame_shows_what_is_looked_at(visit: Visit, photos: dict[str, Path]) -> None:
    visit.choose(photos["red"])  # 40 x 30, of which the middle 4/5 of the height are taken
    visit.answer()
    picture, frame = (visit.page.locator(name).bounding_box() for name in ("#preview", "#frame"))
    assert frame["height"] == pytest.approx(picture["height"] * 16 / 20, abs=1)
    assert frame["width"] == pytest.approx(picture["width"] * 16 / 26, abs=1)
    assert frame["x"] - picture["x"] == pytest.approx(picture["width"] * 5 / 26, abs=1)


def test_every_control_has_a_name(visit: Visit) -> None:
    for control in ("input", "select"):
        for found in visit.page.query_selector_all(control):
            assert found.evaluate("(control) => control.labels.length") > 0
    assert visit.page.get_attribute("html", "lang") == "en"


def test_nothing_is_wider_than_a_phone(visit: Visit, photos: dict[str, Path]) -> None:
    visit.page.set_viewport_size({"width": 320, "height": 640})
    visit.choose(photos["red"])
    visit.answer()
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 320


def visit_changed(chromium: Any, folder: Path) -> Visit:
    with served(folder) as address:
        visit = Visit(chromium, address)
        visit.page.wait_for_selector("#failure:not([hidden])")
        return visit


@pytest.fixture
def changed(exported: Path, tmp_path: Path) -> Path:
    """A copy of the exported folder, to spoil."""
    return Path(shutil.copytree(exported, tmp_path / "changed"))


def test_a_missing_plan_is_said(chromium: Any, changed: Path) -> None:
    (changed / "plan.json").unlink()
    visit = visit_changed(chromium, changed)
    assert visit.text("#failure") == "plan.json could not be fetched: the server says 404."
    assert not visit.page.is_visible("#drop")


def test_a_plan_of_another_format_is_said(chromium: Any, changed: Path) -> None:
    plan = json.loads((changed / "plan.json").read_text())
    (changed / "plan.json").write_text(json.dumps({**plan, "format": "neurenix-web-9"}))
    assert "neurenix-web-9" in visit_changed(chromium, changed).text("#failure")


@pytest.mark.parametrize("length", [100, 10**6])
def test_weights_of_another_length_are_said(chromium: Any, changed: Path, length: int) -> None:
    file = changed / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:100].ljust(length, b"\0"))
    message = visit_changed(chromium, changed).text("#failure")
    assert f"weights.safetensors has {length} bytes" in message


@pytest.fixture
def with_webgpu(changed: Path) -> Path:
    """A copy of the exported folder, of a model that was recorded."""
    if json.loads((changed / "plan.json").read_text())["webgpu"] is None:
        pytest.skip("the native module is not built")
    return changed


def backend_of(chromium: Any, folder: Path, query: str, photo: Path) -> tuple[str, str]:
    """Return what computed a photo's answer, which is checked, and what the page notes of it."""
    with served(folder) as address:
        visit = Visit(chromium, address + query)
        visit.choose(photo)
        assert visit.answer() == pytest.approx(expected(photo, 1.7), abs=1e-5)
        computed = visit.page.get_attribute("#answers", "data-backend")
        note = visit.text("#backend-note")
        visit.page.close()
    return computed, note


def test_webgpu_is_used_if_it_is_asked_for(
    chromium: Any, with_webgpu: Path, photos: dict[str, Path]
) -> None:
    backend, note = backend_of(chromium, with_webgpu, "?backend=webgpu", photos["red"])
    if "finds no GPU" in note:
        pytest.skip(f"this Chromium has no WebGPU: {note}")
    assert backend == "webgpu"
    assert re.fullmatch(r"Now: WebGPU \(.+\)\.", note)


def test_an_emulated_gpu_is_left_alone(
    chromium: Any, with_webgpu: Path, photos: dict[str, Path]
) -> None:
    # Headless Chromium has no other kind.
    backend, note = backend_of(chromium, with_webgpu, "", photos["red"])
    assert backend == "javascript"
    assert "WebGPU is not used: this browser" in note


def test_a_shader_that_is_missing_is_said(
    chromium: Any, with_webgpu: Path, photos: dict[str, Path]
) -> None:
    first = sorted((with_webgpu / "wgsl").iterdir())[0]
    first.unlink()
    backend, note = backend_of(chromium, with_webgpu, "?backend=webgpu", photos["blue"])
    if "finds no GPU" in note:
        pytest.skip(f"this Chromium has no WebGPU: {note}")
    assert backend == "javascript"
    assert f"WebGPU is not used: of wgsl/{first.name} the server says 404." in note


def test_a_shader_that_does_not_compile_is_said(
    chromium: Any, with_webgpu: Path, photos: dict[str, Path]
) -> None:
    first = sorted((with_webgpu / "wgsl").iterdir())[0]
    first.write_text(first.read_text() + "\nfn broken( {")
    backend, note = backend_of(chromium, with_webgpu, "?backend=webgpu", photos["blue"])
    if "finds no GPU" in note:
        pytest.skip(f"this Chromium has no WebGPU: {note}")
    assert backend == "javascript"
    assert "WebGPU is not used: " in note


def test_work_that_fails_is_done_in_javascript(
    chromium: Any, with_webgpu: Path, photos: dict[str, Path]
) -> None:
    plan = json.loads((with_webgpu / "plan.json").read_text())
    next(step for step in plan["webgpu"]["steps"] if "groups" in step)["groups"] = [1 << 20, 1, 1]
    (with_webgpu / "plan.json").write_text(json.dumps(plan))
    backend, note = backend_of(chromium, with_webgpu, "?backend=webgpu", photos["blue"])
    if "finds no GPU" in note:
        pytest.skip(f"this Chromium has no WebGPU: {note}")
    assert backend == "javascript"
    assert "WebGPU stopped: " in note


def test_what_computes_can_be_changed(
    chromium: Any, with_webgpu: Path, photos: dict[str, Path]
) -> None:
    with served(with_webgpu) as address:
        visit = Visit(chromium, f"{address}?backend=webgpu")
        visit.choose(photos["red"])
        visit.answer()
        visit.page.select_option("#backend", "javascript")
        visit.page.wait_for_selector("#answers[data-backend=javascript]:not(.busy)")
        assert visit.answer() == pytest.approx(expected(photos["red"], 1.7), abs=1e-6)
        assert visit.text("#backend-note") == "Now: plain JavaScript."
        assert visit.problems == []
        visit.page.close()


def test_a_model_without_webgpu_says_so(
    chromium: Any, changed: Path, photos: dict[str, Path]
) -> None:
    plan = json.loads((changed / "plan.json").read_text())
    (changed / "plan.json").write_text(json.dumps({**plan, "webgpu": None}))
    backend, note = backend_of(chromium, changed, "?backend=webgpu", photos["red"])
    assert backend == "javascript"
    assert "WebGPU is not used: the model was exported without it." in note


def test_a_page_opened_as_a_file_says_what_to_do(chromium: Any, exported: Path) -> None:
    page = chromium.new_page()
    page.goto((exported / "index.html").as_uri())
    page.wait_for_timeout(1200)
    assert page.is_visible("#not-started")
    assert "python -m http.server" in page.inner_text("#not-started")
    assert not page.is_visible("#app")
    page.close()


def test_a_page_without_javascript_says_so(chromium: Any, exported: Path) -> None:
    with served(exported) as address:
        context = chromium.browser.new_context(java_script_enabled=False)
        page = context.new_page()
        page.goto(address)
        assert page.is_visible("#not-started")
        assert "JavaScript is switched off" in page.inner_text("#not-started")
        context.close()


def test_many_classes_are_folded_away(
    chromium: Any, photos: dict[str, Path], tmp_path: Path
) -> None:
    names = [f"class {number}" for number in range(40)]
    export(tmp_path / "many", names)
    with served(tmp_path / "many") as address:
        visit = Visit(chromium, address)
        assert visit.page.title() in ("Photo classifier", "What is in the photo?")
        visit.choose(photos["red"])
        assert set(visit.answer()) == set(names)
        assert len(visit.page.query_selector_all("#bars li")) == 5
        assert visit.text("#more-summary") == "35 more"
        assert visit.page.title() == "What is in the photo?"
        assert visit.problems == []
        visit.page.close()
