"""What the tests of every package share: where the assets are, and a home of their own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent

# Set before any test imports matplotlib or huggingface_hub, which read these at import.
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session", autouse=True)
def _home_of_the_tests() -> Iterator[None]:
    """Point NEURENIX_HOME at an empty folder, so that no test reads or fills the user's cache."""
    with (
        tempfile.TemporaryDirectory(prefix="neurenix-home-") as home,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("NEURENIX_HOME", home)
        yield


@pytest.fixture(scope="session")
def assets() -> Path:
    """The folder of real photos and weights, which is not part of the repository."""
    folder = Path(os.environ.get("NEURENIX_TEST_ASSETS", ROOT.parent / "shared" / "assets"))
    if not folder.is_dir():
        pytest.skip(f"no assets at {folder}; NEURENIX_TEST_ASSETS names their folder")
    return folder


@pytest.fixture(scope="session")
def text_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small, randomly initialised text encoder with its tokenizer."""
    from tiny_text_encoder import write_text_encoder

    return write_text_encoder(tmp_path_factory.mktemp("text-encoder"))


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A headless browser, for tests of pages; see `served` of the same module."""
    from chromium import running_chromium

    with running_chromium() as browser:
        yield browser
