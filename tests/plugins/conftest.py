"""The conformance kit, run as its users run it: by a pytest of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from plugin_installer import run_with

RunKit = Callable[..., dict[str, Any]]
# Distributions for the tests to install; tests of their own are for those who have done so.
collect_ignore = ["broken", "faulty-examples", "neurenix-backend-example"]
KIT = "neurenix.testing.conformance"


@pytest.fixture(scope="session")
def run_kit(tmp_path_factory: pytest.TempPathFactory) -> RunKit:
    """Return a function that runs the kit on a device with the plugins of a folder.

    It returns the report, with the exit code and what was printed beside it.
    """

    def run(site: Path, device: str, *arguments: str, module: str = KIT) -> dict[str, Any]:
        place = tmp_path_factory.mktemp("kit")
        report = place / "report.json"
        options = [f"--neurenix-device={device}", f"--neurenix-report={report}", *arguments]
        program = (
            f"import os, sys, pytest; os.chdir({str(place)!r}); "
            "sys.exit(pytest.main(['-q', '-p', 'neurenix_pytest', '-p', 'no:cacheprovider', "
            f"'--rootdir=.', '--pyargs', {module!r}, *sys.argv[1:]]))"
        )
        done = run_with(site, "-c", program, *options, check=False, OPENBLAS_NUM_THREADS="1")
        found = json.loads(report.read_text(encoding="utf-8")) if report.is_file() else {}
        return {**found, "code": done.returncode, "output": done.stdout + done.stderr}

    return run
