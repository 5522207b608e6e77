"""A probe under way, in a thread of its own: one that is slow stalls nobody."""

from __future__ import annotations

import threading
import time
import traceback

from neurenix.plugins.spec import load_object


class Probe:
    """The call of a backend's probe, which starts at once.

    Args:
        path: ``"package.module:function"``.

    Attributes:
        reason: What the probe returned, where it did.
        error: What it raised, or None.
        traceback: Where.
    """

    def __init__(self, path: str) -> None:
        self.reason: object = None
        self.error: BaseException | None = None
        self.traceback = ""
        self._started = time.monotonic()
        # A daemon: a probe that never returns does not keep the program from ending.
        self._thread = threading.Thread(target=self._run, args=(path,), daemon=True)
        self._thread.start()

    def _run(self, path: str) -> None:
        try:
            self.reason = load_object(path)()
        except BaseException as error:  # also sys.exit, and a panic in native code
            self.error, self.traceback = error, traceback.format_exc()

    def finished(self, limit_s: float) -> bool:
        """Wait until it has returned, or ran for so long; say whether it has returned."""
        left = limit_s - (time.monotonic() - self._started)
        self._thread.join(max(left, 0.0))
        return not self._thread.is_alive()
