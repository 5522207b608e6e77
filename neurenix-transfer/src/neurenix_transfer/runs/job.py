"""A run, from its options to its folder: what all have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from neurenix.data import Dataset
from neurenix.data.photo_files import photo_digest
from neurenix.errors import require
from neurenix_transfer.insight.gallery import GalleryItem
from neurenix_transfer.prediction import ClassPredictor
from neurenix_transfer.runs.console import Console, Stopwatch
from neurenix_transfer.runs.evaluation import evaluation_lines
from neurenix_transfer.runs.measuring import Measured, measure
from neurenix_transfer.runs.model_file import Classifier
from neurenix_transfer.runs.options import RunOptions
from neurenix_transfer.runs.plan import RunPlan
from neurenix_transfer.runs.record import history_record, run_record, write_json
from neurenix_transfer.runs.report import DrawSamples
from neurenix_transfer.runs.result import RunResult
from neurenix_transfer.runs.run_folder import (
    HISTORY_FILE,
    MODEL_FILE,
    RUN_FILE,
    RUN_FILES,
    OutputExistsError,
    check_output,
    staged_run,
)
from neurenix_transfer.runs.training import kept_line, train_run
from neurenix_transfer.runs.write_up import write_card, write_report

Options = TypeVar("Options", bound=RunOptions)
Plan = TypeVar("Plan", bound=RunPlan)
Samples = TypeVar("Samples", bound="RunSamples")
Predictor = TypeVar("Predictor", bound=ClassPredictor)


@dataclass(frozen=True)
class RunSamples:
    """The samples of a run, read.

    Attributes:
        train: Those to train on.
        val: Those to validate on.
        train_labels: The class of each to train on.
        val_labels: The class of each to validate on.
        val_inputs: What the predictor's ``logits`` takes of those to validate on.
        val_paths: Their files; empty where they have none.
    """

    train: Dataset
    val: Dataset
    train_labels: Sequence[int]
    val_labels: Sequence[int]
    val_inputs: Any
    val_paths: tuple[Path, ...] = ()


class Job(ABC, Generic[Options, Plan, Samples, Predictor]):
    """A run on samples of some kind.

    Args:
        options: What to train on what, and how.
        console: Where lines, warnings and progress go.
    """

    noun: ClassVar[str]
    """What a sample is, such as ``"photo"``."""
    reading: ClassVar[str]
    """What it is called in the record's times to get hold of the samples."""
    to_predict: ClassVar[str]
    """What ``neurenix predict`` is given, in the last line that is printed."""

    def __init__(self, options: Options, console: Console | None = None) -> None:
        self.options = options
        self.console = console or Console()

    @abstractmethod
    def make_plan(self) -> Plan:
        """Decide everything that is decided before the first step."""

    @abstractmethod
    def read(self, plan: Plan) -> Samples:
        """Read the samples."""

    @abstractmethod
    def predictor(self, plan: Plan) -> Predictor:
        """Return what predicts with the plan's model."""

    @abstractmethod
    def save(self, path: Path, classifier: Any) -> None:
        """Write the file of the model."""

    @abstractmethod
    def samples_record(self, plan: Plan, samples: Samples) -> dict[str, Any]:
        """Return what ``run.json`` says of the samples and of their preprocessing."""

    @abstractmethod
    def draw(self, measured: Measured, samples: Samples) -> DrawSamples:
        """Return what draws the most wrong samples into the picture."""

    @abstractmethod
    def gallery(
        self,
        measured: Measured,
        samples: Samples,
        predictor: Predictor,
        numbers: Sequence[int],
    ) -> list[GalleryItem]:
        """Return what the page shows of some of the samples."""

    def describe(self) -> Plan:
        """Say what would be trained; write nothing."""
        try:
            check_output(self.options.out_folder, self.options.overwrite)
        except OutputExistsError as error:
            self.console.warn(str(error))
        plan = self._introduce()
        estimate = self.estimate(plan)
        if estimate is not None:
            self.console.line(estimate)
        self.console.line(
            f"Dry run: nothing was trained. A run would write {self.options.out_folder}"
        )
        return plan

    def estimate(self, plan: Plan) -> str | None:
        """Say how long a run would take, where that is known."""
        return None

    def run(self) -> RunResult:
        """Train, and write the run's folder."""
        options, watch = self.options, Stopwatch()
        check_output(options.out_folder, options.overwrite)
        # What is needed at the end is asked for now, not after the training.
        require(
            "matplotlib.figure", install="pip install matplotlib", purpose="the picture of a run"
        )
        plan = self._introduce()
        with staged_run(options.out_folder, options.overwrite) as stage:
            samples = self.read(plan)
            read = watch.seconds
            model = plan.classifier.model
            training = train_run(model, options, samples.train, samples.val, self.console)
            trained = watch.seconds
            history, interrupted = training.history, training.interrupted
            classifier: Classifier = plan.classifier
            predictor = self.predictor(plan)
            measured: Measured | None = None
            try:
                measured = measure(
                    predictor,
                    samples.val_inputs,
                    samples.val_labels,
                    samples.val_paths,
                    self.console,
                )
                classifier = replace(classifier, temperature=predictor.temperature)
            except KeyboardInterrupt:
                interrupted = True  # the weights are safe; a second Ctrl-C asks not to wait
            self.save(stage / MODEL_FILE, classifier)
            write_json(stage / HISTORY_FILE, history_record(history))
            digest = photo_digest(stage / MODEL_FILE)
            of_samples = self.samples_record(plan, samples)
            record = run_record(plan, training, measured, digest, of_samples)
            record["timings"] = {
                self.reading: round(read, 3),
                "training": round(trained - read, 3),
                "evaluation": round(watch.seconds - trained, 3),
            }
            try:
                write_card(stage, record, measured)
                if measured is not None:
                    draw = self.draw(measured, samples)
                    gallery = partial(self.gallery, measured, samples, predictor)
                    write_report(stage, record, history, measured, self.noun, draw, gallery)
            except KeyboardInterrupt:
                interrupted = True
            record |= {"interrupted": interrupted, "seconds": round(watch.seconds, 1)}
            write_json(stage / RUN_FILE, record)
        evaluation = None if measured is None else measured.evaluation
        self._conclude(kept_line(history), measured, samples.train_labels)
        return RunResult(options.out_folder, history, evaluation, interrupted)

    def _introduce(self) -> Plan:
        plan = self.make_plan()
        for line in plan.lines(self.noun):
            self.console.line(line)
        for warning in plan.layout.warnings:
            self.console.warn(warning)
        return plan

    def _conclude(
        self, kept: str | None, measured: Measured | None, train_labels: Sequence[int]
    ) -> None:
        folder, console = self.options.out_folder, self.console
        if kept is not None:
            console.line(kept)
        if measured is not None:
            for line in evaluation_lines(measured.evaluation, train_labels):
                console.line(line)
            console.line(measured.calibration.line())
        present = [name for name in RUN_FILES if (folder / name).exists()]
        console.line(f"Wrote {folder}: {', '.join(reversed(present))}")
        console.line(f"Next: neurenix predict {folder} {self.to_predict}")
