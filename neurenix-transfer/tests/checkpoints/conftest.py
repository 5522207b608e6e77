"""Runs that are interrupted and resumed, and how they are compared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest


@pytest.fixture
def interrupt_in() -> Callable[[int], Callable[..., None]]:
    """Make a callback that ends a run in the middle, by an error, in an epoch."""

    def interrupt_in(epoch: int) -> Callable[..., None]:
        def interrupt(at: int, history: Any) -> None:
            if at == epoch:
                raise RuntimeError("interrupted")

        return interrupt

    return interrupt_in


@pytest.fixture
def same() -> Callable[..., None]:
    """Compare two runs, each a model and its history, bit by bit."""

    def same(first: Any, second: Any) -> None:
        (model, history), (other, again) = first, second
        for key in history:
            if key != "epoch_time":
                assert history[key] == again[key], key
        assert history.best_epoch == again.best_epoch
        assert history.stopped_early == again.stopped_early
        tensors = zip(model.state_dict().items(), other.state_dict().items(), strict=True)
        for (name, a), (_, b) in tensors:
            np.testing.assert_array_equal(a.numpy(), b.numpy(), name)

    return same


@pytest.fixture
def names() -> Callable[[Path], list[str]]:
    """List the checkpoints of a folder."""

    def names(folder: Path) -> list[str]:
        return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))

    return names


@pytest.fixture
def interrupted(run: Any, tmp_path: Path, interrupt_in: Any) -> Callable[..., Any]:
    """Run through, run until an epoch, resume; with the same options, made anew each time."""

    def interrupted(
        make_options: Callable[[], dict[str, Any]] = dict,
        at: int = 2,
        epochs: int = 5,
        **changes: Any,
    ) -> Any:
        through = run(epochs=epochs, **make_options())
        options = make_options()
        callbacks = [*options.pop("callbacks", []), interrupt_in(at)]
        folder = {"checkpoint_dir": tmp_path / "run"}
        with pytest.raises(RuntimeError, match="interrupted"):
            run(epochs=epochs, callbacks=callbacks, **folder, **options)
        options = {"resume_from_checkpoint": True, **folder, **make_options(), **changes}
        resumed = run(**{"epochs": epochs, **options})
        return through, resumed

    return interrupted
