"""When a run saves its state, and where it resumes from."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from neurenix import Tensor
from neurenix.ops import tape
from neurenix.optim import Optimizer
from neurenix_transfer.checkpoints.errors import (
    CheckpointDamagedError,
    CheckpointError,
    CheckpointMismatchError,
)
from neurenix_transfer.checkpoints.folder import (
    STATE,
    CheckpointFolder,
    checkpoints_in,
    read_checkpoint,
)
from neurenix_transfer.checkpoints.identity import (
    describe_machine,
    describe_run,
    differences,
    frozen_digests,
)
from neurenix_transfer.checkpoints.packing import pack
from neurenix_transfer.checkpoints.state import put_history, put_state, take_state
from neurenix_transfer.digests import describe_data, reads_the_same
from neurenix_transfer.sources import Array, FromIterable, Source

if TYPE_CHECKING:
    from neurenix_transfer.training import Trainer

Version: TypeAlias = tuple[int, int]

_PARTS = ("train data", "val data")


class Checkpoints:
    """Saves a run after each epoch, and resumes it.

    Args:
        directory: The folder of the checkpoints; None saves none.
        resume: True to go on from the newest checkpoint there; a path to go on from that
            checkpoint, or from the newest in that folder.
        limit: How many of the newest checkpoints stay, beside the best; None for all.
        settings: The options of the run, as JSON.
        labels: All labels of the training data, and of the validation data, if any.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: There is no folder to resume from, or the limit is below 1.
        FileNotFoundError: A path was given that does not exist.
    """

    def __init__(
        self,
        directory: str | PathLike[str] | None,
        resume: bool | str | PathLike[str],
        limit: int | None,
        settings: Mapping[str, Any],
        labels: tuple[Array, Array | None],
    ) -> None:
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int)):
            raise TypeError(f"save_total_limit is a whole number or None, not {limit!r}")
        if limit is not None and limit < 1:
            raise ValueError(f"save_total_limit is at least 1, or None for no limit; got {limit}")
        self._directory = None if directory is None else Path(fspath(directory))
        self._source = self._source_of(resume)
        self._limit = limit
        self._settings = dict(settings)
        self._labels = labels
        self._folder: CheckpointFolder | None = None
        self._identity: dict[str, Any] = {}
        self._frozen: dict[str, str] = {}
        self._trained: set[str] = set()
        self._versions: dict[str, Version] = {}
        self._resumed: dict[str, Any] | None = None

    def _source_of(self, resume: bool | str | PathLike[str]) -> Path | None:
        if isinstance(resume, bool):
            if resume and self._directory is None:
                raise ValueError(
                    "resume_from_checkpoint=True resumes from checkpoint_dir, which is not given; "
                    "pass checkpoint_dir, or the path of a checkpoint"
                )
            return self._directory if resume else None
        path = Path(fspath(resume))
        if not path.exists() and path != self._directory:
            raise FileNotFoundError(
                f"there is nothing to resume from at {path}; pass the path of a checkpoint or of "
                "a folder of them, or resume_from_checkpoint=True for checkpoint_dir"
            )
        return path

    def begin(self, trainer: Trainer) -> None:
        """Take hold of the folder, and read the checkpoint to resume from.

        The history is put back here, so that callbacks see at the beginning of a run whether it is
        resumed; everything else follows in `resume`.

        Raises:
            CheckpointError: The folder cannot be written to, holds checkpoints of a run that is
                not resumed, or the checkpoint cannot be used.
            TypeError: The optimizer or the scheduler cannot be saved.
        """
        if self._directory is None and self._source is None:
            return
        _check_saveable(trainer)
        if self._directory is not None:
            self._folder = CheckpointFolder(self._directory)
        try:
            self._begin(trainer)
        except BaseException:
            self.close()
            raise

    def _begin(self, trainer: Trainer) -> None:
        self._identity = {**describe_run(trainer, self._settings), **self._data(trainer)}
        self._frozen = frozen_digests(trainer.model)
        self._trained = set(self._identity["trainable"])
        self._versions = {name: _version(p) for name, p in trainer.model.named_parameters()}
        if self._source is None:
            self._check_unused()
            return
        self._resumed = self._find(trainer)
        if self._resumed is not None:
            put_history(trainer.history, self._resumed["run"])

    def _data(self, trainer: Trainer) -> dict[str, Any]:
        parts = zip(_PARTS, (trainer.train, trainer.val), self._labels, strict=True)
        found: dict[str, Any] = {}
        for part, source, labels in parts:
            if source is None or labels is None:
                found[part] = None
                continue
            found[part] = describe_data(source, labels)
            if isinstance(source, FromIterable) and not hasattr(source.iterable, "set_epoch"):
                warnings.warn(
                    f"{source.name} has no set_epoch(epoch), so a resumed run depends on it giving "
                    "the same batches each time. A DataLoader has one.",
                    stacklevel=6,
                )
        return found

    def resume(self, trainer: Trainer) -> None:
        """Put the run where it was, if it is resumed."""
        if self._resumed is None:
            return
        state = self._resumed
        try:
            put_state(trainer, state["run"])
        except ValueError as error:
            path = self._directory if self._source is None else self._source
            assert path is not None
            raise CheckpointMismatchError(path, [str(error)]) from error
        self._trained.update(state["trained"])
        self._resumed = None

    def save(self, trainer: Trainer) -> None:
        """Write a checkpoint of the epochs that are done, and remove those not wanted any more.

        Raises:
            CheckpointError: It cannot be written.
        """
        if self._folder is None:
            return
        for name, param in trainer.model.named_parameters():
            if param.requires_grad or _version(param) != self._versions.get(name):
                self._trained.add(name)
        epochs = trainer.history.epochs
        self._folder.write(
            epochs,
            {
                "epochs": epochs,
                "identity": self._identity,
                "machine": describe_machine(trainer.model),
                "frozen": {k: v for k, v in self._frozen.items() if k not in self._trained},
                "trained": sorted(self._trained),
                "cache": trainer.features.keys(),
                "run": take_state(trainer, self._trained),
            },
        )
        best = trainer.history.best_epoch
        self._folder.prune(epochs, self._limit, [] if best is None else [best + 1])

    def close(self) -> None:
        """Let other runs have the folder."""
        if self._folder is not None:
            self._folder.close()
            self._folder = None

    def _check_unused(self) -> None:
        assert self._directory is not None
        found = checkpoints_in(self._directory)
        if found:
            raise CheckpointError(
                f"{self._directory} holds {len(found)} checkpoints of an earlier run. To go on "
                "with it, pass resume_from_checkpoint=True; to start afresh, choose another "
                "checkpoint_dir or remove them"
            )

    def _find(self, trainer: Trainer) -> dict[str, Any] | None:
        """Return the newest checkpoint that is whole, after checking that it is of this run."""
        assert self._source is not None
        say = trainer.progress.say
        if (self._source / STATE).exists():  # a checkpoint that was asked for by name
            return self._checked(trainer, self._source, read_checkpoint(self._source))
        damaged: list[str] = []
        for path in checkpoints_in(self._source).values():
            try:
                state = read_checkpoint(path)
            except CheckpointDamagedError as error:
                damaged.append(str(error))
                continue
            if damaged:
                problems = "; ".join(damaged)
                warnings.warn(f"{problems}. {path.name} is taken instead.", stacklevel=6)
            return self._checked(trainer, path, state)
        if damaged:
            problems = "; ".join(damaged)
            warnings.warn(
                f"no checkpoint in {self._source} is whole, so the training starts afresh: "
                f"{problems}.",
                stacklevel=6,
            )
        else:
            say(f"No checkpoint in {self._source}: the training starts afresh")
        return None

    def _checked(self, trainer: Trainer, path: Path, state: dict[str, Any]) -> dict[str, Any]:
        """Check that a checkpoint is of this run.

        Raises:
            CheckpointMismatchError: It is not.
        """
        frozen = {name: self._frozen.get(name) for name in state["frozen"]}
        saved = state["identity"]
        for part, source in zip(_PARTS, (trainer.train, trainer.val), strict=True):
            if saved[part] and self._identity[part] and source is not None:
                saved[part] = _leniently(saved[part], self._identity[part], source)
        different = differences(
            {**saved, "frozen weights": state["frozen"]},
            {**self._identity, "frozen weights": frozen},
        )
        done, asked = state["epochs"], trainer.progress.epochs
        if done > asked:
            different.append(f"epochs: {done} are done, and {asked} were asked for")
        if different:
            raise CheckpointMismatchError(path, different)
        elsewhere = differences(state["machine"], describe_machine(trainer.model))
        if elsewhere:
            warnings.warn(
                "this run goes on in other surroundings than it began, so that the last bits may "
                f"differ from those of a run without a break: {'; '.join(elsewhere)}.",
                stacklevel=5,
            )
        ended = "; it had been stopped there" if state["run"]["stopped"] else ""
        trainer.progress.say(f"Resumed from {path}, after epoch {done} of {asked}{ended}")
        return state


def _leniently(saved: dict[str, Any], now: dict[str, Any], source: Source) -> dict[str, Any]:
    """Forgive other inputs where they are others at each reading."""
    forgiven = {**saved, "inputs": now.get("inputs")}
    if saved == now or forgiven != now or reads_the_same(source):
        return saved
    warnings.warn(
        f"{source.name} gives other samples each time it is read, so the resumed run cannot be the "
        "one that would have run through. Draw random transforms from Neurenix's generator.",
        stacklevel=6,
    )
    return forgiven


def _version(tensor: Tensor) -> Version:
    """Return what changes when the tensor is written to."""
    return id(tensor.buffer), tape.version_of(tensor).value


def _check_saveable(trainer: Trainer) -> None:
    """Check that everything can be saved.

    Raises:
        TypeError: It cannot.
    """
    if not isinstance(trainer.optimizer, Optimizer):
        raise TypeError(
            f"checkpoints hold the state of optimizers that are neurenix.optim.Optimizer; a "
            f"{type(trainer.optimizer).__name__} is none"
        )
    pack({"callbacks": trainer.callbacks.state()}, {})
    scheduler = trainer.schedule.scheduler
    if scheduler is not None and not (
        hasattr(scheduler, "state_dict") and hasattr(scheduler, "load_state_dict")
    ):
        raise TypeError(
            f"the scheduler {type(scheduler).__name__} has no state_dict() and load_state_dict(), "
            "which a checkpoint needs; give it both, or leave checkpoint_dir out"
        )
