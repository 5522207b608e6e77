"""The examples of the docstrings, which the reference shows, give what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import neurenix
import neurenix_transfer


def modules_with_examples() -> Iterator[str]:
    for package in (neurenix, neurenix_transfer):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            path = Path(module.module_finder.path, f"{module.name.rpartition('.')[2]}.py")
            if path.is_file() and ">>>" in path.read_text(encoding="utf-8"):
                yield module.name


@pytest.mark.parametrize("name", sorted(modules_with_examples()))
def test_examples(name: str, place: Path) -> None:
    failures, _ = doctest.testmod(
        importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE
    )
    assert failures == 0
