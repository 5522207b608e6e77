"""The file of expected failures: exact ids of tests, each with a reason."""

from __future__ import annotations

import tomllib
from pathlib import Path

from neurenix.errors import SettingError

TABLE = "expected_failures"


def read_overrides(path: Path) -> dict[str, str]:
    """Return the ids of tests that are expected to fail, with the reasons.

    The file is TOML::

        [expected_failures]
        "test_l1_primitives.py::test_values[sin-float32-large]" = "2^-11 at best: hardware sine"

    Raises:
        SettingError: The file cannot be read, holds something else, or a reason is missing.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise SettingError(f"the overrides {path} cannot be read: {error}") from error
    unknown = set(content) - {TABLE}
    reasons = content.get(TABLE, {})
    if unknown or not isinstance(reasons, dict):
        raise SettingError(f"{path} holds {sorted(unknown)}; expected one table [{TABLE}]")
    for name, reason in reasons.items():
        if not isinstance(reason, str) or not reason.strip():
            raise SettingError(f"{path}: {name!r} needs a reason, in a string, not {reason!r}")
    return reasons
