"""Check the engine's crates: format, lints, documentation, tests, and the same tests on 64-bit Arm.

    python tools/check_engine.py

Without cargo it says so and succeeds. What is not here for 64-bit Arm (its target from rustup, or
the program qemu-aarch64 to run what was built for it) it says and leaves out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from native_wheel import ROOT

ENGINE = ROOT / "neurenix-backend-cpu"
_ARM = "aarch64-unknown-linux-gnu"
# The crates that know nothing of Python.
_PURE = sorted(
    folder.name for folder in (ENGINE / "crates").iterdir() if folder.name != "phynexus-python"
)

# Parts of names of tests that are left out on the emulator: it fails where a process with threads
# forks, and knows no limit of threads; two tests take a minute there.
_NOT_EMULATED = (
    "_child",
    "fork_while",
    "a_system_that_refuses_threads",
    "results_do_not_depend_on_the_number_of_threads",
    "shapes_of_networks",
)


def main() -> None:
    """Run all checks; stop at the first that fails."""
    if shutil.which("cargo") is None:
        print("There is no cargo here: the engine's crates are not checked.")
        return
    crates = [word for name in _PURE for word in ("--package", name)]
    _run("cargo", "fmt", "--check")
    _run("cargo", "clippy", "--all-targets", "--locked", "--", "--deny", "warnings")
    _run("cargo", "test", "--locked", "--release", "--quiet", *crates)
    _run("cargo", "doc", "--locked", "--no-deps", *crates, RUSTDOCFLAGS="--deny warnings")
    _check_arm(crates)


def _check_arm(crates: list[str]) -> None:
    known = shutil.which("rustup") and subprocess.run(
        ["rustup", "target", "add", _ARM], check=False, capture_output=True
    )
    if not known or known.returncode:
        print(f"rustup cannot add the target {_ARM}: the build for 64-bit Arm is left out.")
        return
    emulator, linker = shutil.which("qemu-aarch64"), shutil.which("aarch64-linux-gnu-gcc")
    if not emulator or not linker:
        _run("cargo", "check", "--locked", "--target", _ARM, *crates)
        print(
            "No qemu-aarch64 or no aarch64-linux-gnu-gcc here: tests on 64-bit Arm are left out "
            "(Debian's packages qemu-user and gcc-aarch64-linux-gnu bring them)."
        )
        return
    settings = {
        "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER": linker,
        "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER": f"{emulator} -L /usr/aarch64-linux-gnu",
        # All cores compile, also where one crate is most of the work.
        "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "16",
    }
    build = ("cargo", "test", "--locked", "--release", "--quiet", "--target", _ARM)
    skipped = [word for name in _NOT_EMULATED for word in ("--skip", name)]
    _run(*build, *crates, "--lib", "--tests", "--", *skipped, **settings)


def _run(*command: str, **settings: str) -> None:
    print("$", *command, flush=True)
    done = subprocess.run(command, cwd=ENGINE, env={**os.environ, **settings}, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed")


if __name__ == "__main__":
    main()
