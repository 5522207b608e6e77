"""The text job: a file of texts in, a fine-tuned model and what is known of it out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from neurenix.data.photo_files import photo_digest
from neurenix.errors import require
from neurenix_transfer.history import History
from neurenix_transfer.insight.evaluation import Evaluation
from neurenix_transfer.photos.console import Console, Stopwatch
from neurenix_transfer.photos.evaluation import evaluation_lines
from neurenix_transfer.photos.record import history_record, write_json
from neurenix_transfer.photos.report import Report, save_report
from neurenix_transfer.photos.run_folder import (
    HISTORY_FILE,
    MODEL_FILE,
    REPORT_FILE,
    RUN_FILE,
    RUN_FILES,
    OutputExistsError,
    check_output,
    staged_run,
)
from neurenix_transfer.runs.training import kept_line, train_run
from neurenix_transfer.texts.model_file import save_text_classifier
from neurenix_transfer.texts.options import TextOptions
from neurenix_transfer.texts.plan import TextPlan, make_plan, plan_lines
from neurenix_transfer.texts.predictor import TextPredictor
from neurenix_transfer.texts.record import text_run_record
from neurenix_transfer.texts.report import draw_texts


@dataclass(frozen=True)
class TextRunResult:
    """What a run came to.

    Attributes:
        folder: Where its files are.
        history: What each epoch measured.
        evaluation: The validation texts beside the predictions of the weights that were kept;
            None where Ctrl-C prevented it.
        interrupted: Whether Ctrl-C ended the training.
    """

    folder: Path
    history: History
    evaluation: Evaluation | None
    interrupted: bool


def describe_text_run(options: TextOptions, console: Console | None = None) -> TextPlan:
    """Say what would be trained; write nothing."""
    console = console or Console()
    try:
        check_output(options.out_folder, options.overwrite)
    except OutputExistsError as error:
        console.warn(str(error))
    plan = _introduce(options, console)
    console.line(f"Dry run: nothing was trained. A run would write {options.out_folder}")
    return plan


def fine_tune_texts(options: TextOptions, console: Console | None = None) -> TextRunResult:
    """Fine-tune a pretrained text encoder on labelled texts, and write the run's folder.

    Args:
        options: What to train on what, and how.
        console: Where lines, warnings and progress go.

    Raises:
        OutputExistsError: The output folder holds a run, and ``overwrite`` is false.
        TextFileError: The file of texts is not as expected.
        ModelFolderError: The base is no folder of a model.
        KeyboardInterrupt: Ctrl-C before the first epoch had ended; nothing was written.
    """
    console = console or Console()
    watch = Stopwatch()
    check_output(options.out_folder, options.overwrite)
    # What is needed at the end is asked for now, not after the training.
    require("matplotlib.figure", install="pip install matplotlib", purpose="the picture of a run")
    plan = _introduce(options, console)
    layout, classifier = plan.layout, plan.classifier
    with staged_run(options.out_folder, options.overwrite) as stage:
        history, interrupted = train_run(
            classifier.model, options, layout.train, layout.val, console
        )
        save_text_classifier(stage / MODEL_FILE, classifier)
        write_json(stage / HISTORY_FILE, history_record(history))
        evaluation = None
        try:
            evaluation = _evaluate(plan, console)
            _save_report(stage / REPORT_FILE, plan, history, evaluation)
        except KeyboardInterrupt:
            interrupted = True  # the weights are safe; a second Ctrl-C asks not to wait for more
        record = text_run_record(plan, history, evaluation, photo_digest(stage / MODEL_FILE))
        record |= {"interrupted": interrupted, "seconds": round(watch.seconds, 1)}
        write_json(stage / RUN_FILE, record)
    result = TextRunResult(options.out_folder, history, evaluation, interrupted)
    _conclude(result, layout.train.labels or [], console)
    return result


def _introduce(options: TextOptions, console: Console) -> TextPlan:
    plan = make_plan(options)
    for line in plan_lines(plan):
        console.line(line)
    for warning in plan.layout.warnings:
        console.warn(warning)
    return plan


def _evaluate(plan: TextPlan, console: Console) -> Evaluation:
    """Predict the validation texts as `neurenix predict` will: by the same code."""
    predictor = TextPredictor(plan.classifier, plan.device)
    val = plan.layout.val
    rows = []
    with console.progress("Evaluating", len(val)) as step:
        for row in predictor.probabilities(val.texts):
            rows.append(row)
            step()
    return Evaluation(plan.classifier.classes, np.array(val.labels, np.int64), np.stack(rows))


def _save_report(path: Path, plan: TextPlan, history: History, evaluation: Evaluation) -> None:
    classes = plan.classifier.classes
    names = ", ".join(classes) if len(classes) <= 4 else f"{len(classes)} classes"
    title = f"{plan.classifier.base} fine-tuned on {plan.options.texts.name} ({names})"
    report = Report(title, history, history.best_epoch, evaluation, noun="texts")
    save_report(path, report, partial(draw_texts, texts=plan.layout.val.texts))


def _conclude(result: TextRunResult, train_labels: list[int], console: Console) -> None:
    folder = result.folder
    kept = kept_line(result.history)
    if kept is not None:
        console.line(kept)
    if result.evaluation is not None:
        for line in evaluation_lines(result.evaluation, train_labels):
            console.line(line)
    present = [name for name in RUN_FILES if (folder / name).exists()]
    console.line(f"Wrote {folder}: {', '.join(reversed(present))}")
    console.line(f'Next: neurenix predict {folder} "a new message"')
