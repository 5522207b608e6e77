"""A headless Chromium, and web servers on this machine, for tests of pages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")
# Chromium gives headless pages a software adapter of WebGPU if it is asked to.
_ARGUMENTS = ["--enable-unsafe-webgpu"]


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass

    def copyfile(self, source: Any, outputfile: Any) -> None:
        with suppress(ConnectionError):  # the page may be closed before it has read all
            super().copyfile(source, outputfile)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder from localhost, where browsers allow WebGPU, and give its address."""
    handler = partial(_QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://localhost:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def running_chromium() -> Iterator[Any]:
    """Give a context of a browser, which makes pages.

    The test that wants it is skipped where Chromium or Playwright is missing.
    """
    program = os.environ.get("NEURENIX_TEST_CHROMIUM") or next(
        filter(None, map(shutil.which, _NAMES)), None
    )
    if program is None:
        pytest.skip("no Chromium (apt-get install chromium); NEURENIX_TEST_CHROMIUM names one")
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    with playwright.sync_playwright() as running:
        # Without its sandbox Chromium also starts as root, as in a container.
        browser = running.chromium.launch(
            executable_path=program, args=_ARGUMENTS, chromium_sandbox=False
        )
        context = browser.new_context()
        # For a browser that hangs; a busy machine may take long without being wrong.
        context.set_default_timeout(300_000)
        yield context
        browser.close()
