"""The modules of the page, run in a browser on what tests give them."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from chromium import served

from neurenix_backend_webgpu.web.folder import SITE

# Of each test's code: bytes go in and out as base64.
_PRELUDE = """
const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const text = (array) => {
  const view = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  let out = "";
  for (let i = 0; i < view.length; i += 4096) {
    out += String.fromCharCode(...view.subarray(i, i + 4096));
  }
  return btoa(out);
};
"""

RunModule = Callable[..., Any]


def to_text(array: npt.NDArray[Any] | bytes) -> str:
    """Return bytes as a page's `bytes` takes them."""
    data = array if isinstance(array, bytes) else np.ascontiguousarray(array).tobytes()
    return base64.b64encode(data).decode()


def from_text(text: str, dtype: Any) -> npt.NDArray[Any]:
    """Return what a page's `text` gave."""
    return np.frombuffer(base64.b64decode(text), dtype)


@pytest.fixture(scope="session")
def site_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the page's files, for `run_module`; files beside them can be fetched."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(SITE, folder, dirs_exist_ok=True)
    (folder / "blank.html").write_text("<!doctype html><title>Tests</title>")
    return folder


@pytest.fixture(scope="session")
def run_module(chromium: Any, site_folder: Path) -> Iterator[RunModule]:
    """Run JavaScript beside the page's modules: `await import("./resample.js")`, `given`."""
    with served(site_folder) as address:
        page = chromium.new_page()
        page.goto(f"{address}blank.html")

        def run(code: str, **given: Any) -> Any:
            body = code.replace('import("./', f'import("{address}')
            return page.evaluate(f"async (given) => {{ {_PRELUDE} {body} }}", given)

        yield run
        page.close()
