"""The main job: a folder of photos in, a fine-tuned model and what is known of it out."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from neurenix.data import Dataset
from neurenix.data.photo_files import photo_digest
from neurenix.data.photos import PhotoError
from neurenix.errors import require
from neurenix_transfer.insight.temperature import Calibration
from neurenix_transfer.photos.decoding import (
    MEMORY_BUDGET_BYTES,
    DecodedFolder,
    DecodedPhotos,
    check_classes,
    decode_folder,
)
from neurenix_transfer.photos.estimate import SAMPLE, measure_pace
from neurenix_transfer.photos.evaluation import evaluation_lines
from neurenix_transfer.photos.model_file import save_classifier
from neurenix_transfer.photos.options import FineTuneOptions
from neurenix_transfer.photos.outcome import measure, write_up
from neurenix_transfer.photos.plan import Plan, make_plan, plan_lines
from neurenix_transfer.photos.preprocessing import augmented_preprocessing, split_preprocessing
from neurenix_transfer.photos.record import history_record, run_record, write_json
from neurenix_transfer.runs.console import Console, Stopwatch, duration
from neurenix_transfer.runs.options import OptionError
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
from neurenix_transfer.runs.training import Training, kept_line, train_run


def describe_run(options: FineTuneOptions, console: Console | None = None) -> Plan:
    """Say what would be trained, and about how long it would take; write nothing."""
    console = console or Console()
    try:
        check_output(options.out_folder, options.overwrite)
    except OutputExistsError as error:
        console.warn(str(error))
    plan = _introduce(options, console)
    resize, to_tensor = split_preprocessing(plan.classifier.preprocessing)
    sample: list[Any] = []
    watch = Stopwatch()
    for path in plan.layout.train.paths:
        with suppress(PhotoError):  # the run itself names every broken photo
            sample.append(to_tensor(DecodedPhotos(resize).decode(path)))
        if len(sample) == SAMPLE:
            break
    if not sample:
        raise OptionError(
            "none of the photos to train on can be read, so that nothing can be timed"
        )
    reading = watch.seconds / len(sample) * (len(plan.layout.train) + len(plan.layout.val))
    console.line(_estimate(plan, sample, len(plan.layout.train), len(plan.layout.val), reading))
    console.line(f"Dry run: nothing was trained. A run would write {options.out_folder}")
    return plan


def fine_tune_photos(options: FineTuneOptions, console: Console | None = None) -> RunResult:
    """Fine-tune a pretrained model on a folder of photos, and write the run's folder.

    Args:
        options: What to train on what, and how.
        console: Where lines, warnings and progress go.

    Raises:
        OutputExistsError: The output folder holds a run, and ``overwrite`` is false.
        PhotoFolderError: The photos are not as expected.
        WeightsFileError: The weights are not the base's.
        KeyboardInterrupt: Ctrl-C before the first epoch had ended; nothing was written.
    """
    console = console or Console()
    watch = Stopwatch()
    check_output(options.out_folder, options.overwrite)
    # What is needed at the end is asked for now, not after the training.
    require("matplotlib.figure", install="pip install matplotlib", purpose="the picture of a run")
    plan = _introduce(options, console)
    with staged_run(options.out_folder, options.overwrite) as stage:
        train, val = _decode(plan, console)
        decoded = watch.seconds
        training = _train(plan, train, val, console)
        history, interrupted = training.history, training.interrupted
        trained = watch.seconds
        outcome, classifier = None, plan.classifier
        try:
            outcome = measure(classifier, plan.device, val.photos, val.labels, console)
            classifier = outcome.classifier
        except KeyboardInterrupt:
            interrupted = True  # the weights are safe; a second Ctrl-C asks not to wait for more
        evaluation = None if outcome is None else outcome.evaluation
        save_classifier(stage / MODEL_FILE, classifier)
        write_json(stage / HISTORY_FILE, history_record(history))
        sha256 = photo_digest(stage / MODEL_FILE)
        record = run_record(plan, history, training.learned, evaluation, train, val, sha256)
        record["weights"]["licence"] = classifier.licence or None
        record["result"]["calibration"] = outcome and outcome.calibration.record()
        record["timings"] = {
            "decoding": round(decoded, 3),
            "training": round(trained - decoded, 3),
            "evaluation": round(watch.seconds - trained, 3),
        }
        try:
            write_up(stage, record, history, outcome)
        except KeyboardInterrupt:
            interrupted = True
        record |= {"interrupted": interrupted, "seconds": round(watch.seconds, 1)}
        write_json(stage / RUN_FILE, record)
    result = RunResult(options.out_folder, history, evaluation, interrupted)
    _conclude(result, train, None if outcome is None else outcome.calibration, console)
    return result


def _introduce(options: FineTuneOptions, console: Console) -> Plan:
    plan = make_plan(options)
    for line in plan_lines(plan):
        console.line(line)
    for warning in plan.layout.warnings:
        console.warn(warning)
    return plan


def _decode(plan: Plan, console: Console) -> tuple[DecodedFolder, DecodedFolder]:
    watch = Stopwatch()
    preprocessing = plan.classifier.preprocessing
    resize, _ = split_preprocessing(preprocessing)
    train_resize = augmented_preprocessing(preprocessing)[0] if plan.options.augment else resize
    layout, budget = plan.layout, MEMORY_BUDGET_BYTES
    val = decode_folder(layout.val, resize, console, "Decoding val", budget)
    budget -= val.photos.bytes
    train = decode_folder(layout.train, train_resize, console, "Decoding train", budget)
    for folder, decoded in ((layout.train, train), (layout.val, val)):
        check_classes(folder, decoded)
    count = len(train.photos) + len(val.photos)
    kept = train.photos.in_memory + val.photos.in_memory
    memory = f"{(train.photos.bytes + val.photos.bytes) / 2**20:.0f} MiB"
    rest = "" if kept == count else f" for {kept} of them; the rest is decoded at each use"
    console.line(f"Decoded {count} photos in {duration(watch.seconds)}, {memory}{rest}")
    return train, val


def _train(plan: Plan, train: DecodedFolder, val: DecodedFolder, console: Console) -> Training:
    options, classifier = plan.options, plan.classifier
    _, to_tensor = split_preprocessing(classifier.preprocessing)
    transform = to_tensor
    if options.augment:
        transform = augmented_preprocessing(classifier.preprocessing)[1]
    sample = [to_tensor(val.photos[index]) for index in range(min(SAMPLE, len(val.photos)))]
    console.line(_estimate(plan, sample, len(train.photos), len(val.photos)))
    return train_run(
        classifier.model,
        options,
        Dataset(train.photos, train.labels, transform),
        Dataset(val.photos, val.labels, to_tensor),
        console,
    )


def _estimate(
    plan: Plan, sample: list[Any], train_count: int, val_count: int, reading: float = 0.0
) -> str:
    pace = measure_pace(plan.classifier.model, sample, plan.device)
    options = plan.options
    seconds = pace.seconds(train_count, val_count, options.epochs, options.augment)
    return pace.line(reading + seconds, options.epochs)


def _conclude(
    result: RunResult, train: DecodedFolder, calibration: Calibration | None, console: Console
) -> None:
    history, folder = result.history, result.folder
    kept = kept_line(history)
    if kept is not None:
        console.line(kept)
    if result.evaluation is not None:
        for line in evaluation_lines(result.evaluation, train.labels):
            console.line(line)
    if calibration is not None:
        console.line(calibration.line())
    present = [name for name in RUN_FILES if (folder / name).exists()]
    console.line(f"Wrote {folder}: {', '.join(reversed(present))}")
    console.line(f"Next: neurenix predict {folder} PHOTO-OR-FOLDER")
