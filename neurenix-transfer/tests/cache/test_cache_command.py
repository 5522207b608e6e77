"""``neurenix cache``: what lies on disk, shown and cleared."""

from __future__ import annotations

import pytest

typer = pytest.importorskip("typer")
testing = pytest.importorskip("typer.testing")


@pytest.fixture
def invoke():
    from neurenix_transfer.commands.cache import cache

    app = typer.Typer()
    app.command()(cache)
    return lambda *arguments: testing.CliRunner().invoke(app, list(arguments))


def test_cache_shows_what_lies_on_disk(make, train, home, invoke):
    assert "0 bytes of at most 10.0 GiB" in invoke().output
    train(make.convolutional(), cache="disk", epochs=1)
    train(make.linear(), make.rows(31), make.rows(10), "disk", epochs=1)
    lines = invoke().output.splitlines()
    assert lines[0].startswith(f"{home / 'features'}: ")
    assert len(lines) == 3
    assert any(
        "TransferModel, all up to base_model; the cut" in line or "32 samples" in line
        for line in lines
    )
    assert all("used just now" in line for line in lines[1:])


def test_cache_clear_frees_all_or_what_is_named(make, train, computed, home, invoke):
    train(make.convolutional(), cache="disk", epochs=1)
    train(make.linear(), make.rows(31), make.rows(10), "disk", epochs=1)
    names = [line.split()[0] for line in invoke().output.splitlines()[1:]]
    assert "Freed" in invoke("--clear", names[0]).output
    assert len(invoke().output.splitlines()) == 2
    assert "Freed" in invoke("--clear").output
    assert list((home / "features").iterdir()) == []
    before = computed.samples
    train(make.convolutional(), cache="disk", epochs=1)
    assert computed.samples == before + 23 + 9


def test_names_that_are_not_there_are_an_error(home, invoke):
    result = invoke("--clear", "nothing")
    assert result.exit_code == 2
    assert "holds no features named nothing" in " ".join(result.output.split())
    assert invoke("something").exit_code == 2
