"""Plugins are read off the metadata of distributions, whatever state that is in."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from neurenix.plugins import BackendState, PluginManager
from neurenix.plugins.discovery import installed_plugins, normalize

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return a function that writes a distribution, without its modules, onto the path."""
    monkeypatch.delenv("NEURENIX_PLUGIN_AUTOLOAD")

    def write(name: str, points: str, *, version: str = "1.0", site: str = "site") -> Path:
        place = tmp_path / site
        folder = place / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")
        (folder / "entry_points.txt").write_text(f"[neurenix.backends]\n{points}\n")
        if str(place) not in sys.path:
            monkeypatch.syspath_prepend(str(place))
        return place

    return write


def test_names_of_distributions_have_a_normal_form() -> None:
    assert normalize("Neurenix_backend.ACME--x") == "neurenix-backend-acme-x"


def test_the_order_does_not_depend_on_the_path(install: Install) -> None:
    install("b-plugin", "one = b_one\nzero = b_zero", site="first")
    install("A-plugin", "two = a_two", version="2.5", site="second")
    found = [record for record, _ in installed_plugins() if record.distribution[1:] == "-plugin"]
    assert [(r.distribution, r.version, r.name, r.module) for r in found] == [
        ("a-plugin", "2.5", "two", "a_two"),
        ("b-plugin", "1.0", "one", "b_one"),
        ("b-plugin", "1.0", "zero", "b_zero"),
    ]


def test_the_first_distribution_of_a_name_counts(install: Install) -> None:
    install("acme", "old = acme_old", version="1.0", site="later")
    install("acme", "new = acme_new", version="2.0", site="earlier")
    found = [record for record, _ in installed_plugins() if record.distribution == "acme"]
    assert [(record.name, record.version) for record in found] == [("new", "2.0")]


def test_metadata_that_cannot_be_read_is_one_plugins_trouble(install: Install) -> None:
    place = install("fine", "fine = sys")
    install("nameless", "lost = sys")
    (place / "nameless-1.0.dist-info" / "METADATA").unlink()
    install("garbled", "this is no entry point")
    install("binary", "")
    (place / "binary-1.0.dist-info" / "entry_points.txt").write_bytes(b"[neurenix.backends]\xff")
    install("oddly", "odd = not a module!")
    found = {record.distribution: record for record, _ in installed_plugins()}
    assert found["fine"].state is BackendState.DECLARED
    assert found["unknown"].name == "lost"
    assert "reading its entry points raised" in found["garbled"].cause
    assert "UnicodeDecodeError" in found["binary"].cause
    assert "'not a module!' is not of the form" in found["oddly"].cause


def loaded(monkeypatch: pytest.MonkeyPatch, **variables: str) -> PluginManager:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    manager = PluginManager()
    manager.load_entry_points()
    return manager


def test_one_broken_plugin_breaks_no_other(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = install(
        "acme", "good = acme_good\nbad = acme_bad\nworse = acme_worse\ngone = acme_gone"
    )
    (place / "acme_good.py").write_text("")
    (place / "acme_bad.py").write_text("import sys\nsys.exit()")
    (place / "acme_worse.py").write_text(
        "class Panic(BaseException):\n    def __str__(self): raise ValueError\nraise Panic"
    )
    records = {r.name: r for r in loaded(monkeypatch).records.values() if r.distribution == "acme"}
    assert records["good"].state is BackendState.DECLARED
    assert records["bad"].cause == "importing acme_bad raised SystemExit"
    assert records["worse"].cause == "importing acme_worse raised Panic"
    assert "acme_worse.py" in records["worse"].traceback
    assert "ModuleNotFoundError: No module named 'acme_gone'" in records["gone"].cause
    monkeypatch.delitem(sys.modules, "acme_good")


def test_an_interrupt_is_not_swallowed(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    place = install("acme", "acme = acme_interrupted")
    (place / "acme_interrupted.py").write_text("raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        loaded(monkeypatch)


def test_autoload_can_be_switched_off(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    place = install("acme", "acme = acme_unwanted")
    (place / "acme_unwanted.py").write_text("raise AssertionError")
    record = loaded(monkeypatch, NEURENIX_PLUGIN_AUTOLOAD="0").records["acme (acme)"]
    assert (record.state, record.cause) == (
        BackendState.DISABLED,
        "NEURENIX_PLUGIN_AUTOLOAD=0 loads no plugin",
    )


@pytest.mark.parametrize("listed", ["wanted", "Acme.Wanted", "numpy, acme-wanted"])
def test_what_is_not_listed_is_not_imported(
    listed: str, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = install("acme-wanted", "wanted = acme_wanted")
    install("acme-other", "other = acme_other")
    (place / "acme_wanted.py").write_text("")
    (place / "acme_other.py").write_text("raise AssertionError")
    records = loaded(monkeypatch, NEURENIX_BACKENDS=listed).records
    assert records["wanted (acme-wanted)"].state is BackendState.DECLARED
    assert records["other (acme-other)"].state is BackendState.DISABLED
    assert "acme_other" not in sys.modules
    monkeypatch.delitem(sys.modules, "acme_wanted")
