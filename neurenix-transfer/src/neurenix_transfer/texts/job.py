"""The text job: a file of texts in, a fine-tuned model and what is known of it out."""

from __future__ import annotations

from neurenix.data.photo_files import photo_digest
from neurenix.errors import require
from neurenix_transfer.insight.temperature import Calibration
from neurenix_transfer.photos.evaluation import evaluation_lines
from neurenix_transfer.photos.record import history_record, write_json
from neurenix_transfer.runs.console import Console, Stopwatch
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
from neurenix_transfer.texts.model_file import save_text_classifier
from neurenix_transfer.texts.options import TextOptions
from neurenix_transfer.texts.outcome import measure, write_up
from neurenix_transfer.texts.plan import TextPlan, make_plan, plan_lines
from neurenix_transfer.texts.record import text_run_record


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


def fine_tune_texts(options: TextOptions, console: Console | None = None) -> RunResult:
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
    read = watch.seconds
    with staged_run(options.out_folder, options.overwrite) as stage:
        training = train_run(classifier.model, options, layout.train, layout.val, console)
        history, interrupted = training.history, training.interrupted
        trained = watch.seconds
        outcome = None
        try:
            outcome = measure(classifier, plan.device, layout.val, console)
            classifier = outcome.classifier
        except KeyboardInterrupt:
            interrupted = True  # the weights are safe; a second Ctrl-C asks not to wait for more
        evaluation = None if outcome is None else outcome.measured.evaluation
        calibration = None if outcome is None else outcome.measured.calibration
        save_text_classifier(stage / MODEL_FILE, classifier)
        write_json(stage / HISTORY_FILE, history_record(history))
        record = text_run_record(
            plan, history, training.learned, evaluation, photo_digest(stage / MODEL_FILE)
        )
        record["result"]["calibration"] = calibration and calibration.record()
        record["timings"] = {
            "reading": round(read, 3),
            "training": round(trained - read, 3),
            "evaluation": round(watch.seconds - trained, 3),
        }
        try:
            write_up(stage, record, history, outcome)
        except KeyboardInterrupt:
            interrupted = True
        record |= {"interrupted": interrupted, "seconds": round(watch.seconds, 1)}
        write_json(stage / RUN_FILE, record)
    result = RunResult(options.out_folder, history, evaluation, interrupted)
    _conclude(result, layout.train.labels or [], calibration, console)
    return result


def _introduce(options: TextOptions, console: Console) -> TextPlan:
    plan = make_plan(options)
    for line in plan_lines(plan):
        console.line(line)
    for warning in plan.layout.warnings:
        console.warn(warning)
    return plan


def _conclude(
    result: RunResult,
    train_labels: list[int],
    calibration: Calibration | None,
    console: Console,
) -> None:
    folder = result.folder
    kept = kept_line(result.history)
    if kept is not None:
        console.line(kept)
    if result.evaluation is not None:
        for line in evaluation_lines(result.evaluation, train_labels):
            console.line(line)
    if calibration is not None:
        console.line(calibration.line())
    present = [name for name in RUN_FILES if (folder / name).exists()]
    console.line(f"Wrote {folder}: {', '.join(reversed(present))}")
    console.line(f'Next: neurenix predict {folder} "a new message"')
