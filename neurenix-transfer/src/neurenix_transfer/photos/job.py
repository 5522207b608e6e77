"""The main job: a folder of photos in, a fine-tuned model and what is known of it out."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurenix.data import Dataset
from neurenix.data.photo_files import photos_digest
from neurenix.data.photos import PhotoError
from neurenix_transfer.insight.gallery import GalleryItem, gallery_items
from neurenix_transfer.insight.grad_cam import GradCamError, explain
from neurenix_transfer.photos.decoding import (
    MEMORY_BUDGET_BYTES,
    DecodedFolder,
    DecodedPhotos,
    check_classes,
    decode_folder,
)
from neurenix_transfer.photos.estimate import SAMPLE, measure_pace
from neurenix_transfer.photos.model_file import PhotoClassifier, save_classifier
from neurenix_transfer.photos.options import FineTuneOptions
from neurenix_transfer.photos.plan import Plan, make_plan
from neurenix_transfer.photos.predictor import Predictor
from neurenix_transfer.photos.preprocessing import augmented_preprocessing, split_preprocessing
from neurenix_transfer.photos.report import draw_photos
from neurenix_transfer.runs.console import Console, Stopwatch, duration
from neurenix_transfer.runs.job import Job, RunSamples
from neurenix_transfer.runs.measuring import Measured
from neurenix_transfer.runs.options import OptionError
from neurenix_transfer.runs.report import DrawSamples
from neurenix_transfer.runs.result import RunResult

Pixels = npt.NDArray[np.uint8]


def describe_run(options: FineTuneOptions, console: Console | None = None) -> Plan:
    """Say what would be trained, and about how long it would take; write nothing."""
    return PhotoJob(options, console).describe()


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
    return PhotoJob(options, console).run()


@dataclass(frozen=True)
class PhotoSamples(RunSamples):
    """The photos of a run, decoded.

    Attributes:
        train: Those to train on.
        val: Those to validate on.
        train_labels: The class of each to train on.
        val_labels: The class of each to validate on.
        val_inputs: The pixels of those to validate on.
        val_paths: Their files.
        train_paths: The files of those to train on.
        broken: The errors of those that cannot be read.
    """

    val_inputs: DecodedPhotos
    train_paths: tuple[Path, ...] = ()
    broken: tuple[PhotoError, ...] = ()


class PhotoJob(Job[FineTuneOptions, Plan, PhotoSamples, Predictor]):
    """A run on photos."""

    noun = "photo"
    reading = "decoding"
    to_predict = "PHOTO-OR-FOLDER"

    def make_plan(self) -> Plan:
        """Find the photos, load the base, and join it with a new head."""
        return make_plan(self.options)

    def estimate(self, plan: Plan) -> str:
        """Time a few photos, and say how long a run would take."""
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
        counts = (len(plan.layout.train), len(plan.layout.val))
        reading = watch.seconds / len(sample) * sum(counts)
        return self._estimated(plan, sample, counts, reading)

    def read(self, plan: Plan) -> PhotoSamples:
        """Decode every photo once, and say how long the training takes."""
        preprocessing = plan.classifier.preprocessing
        resize, to_tensor = split_preprocessing(preprocessing)
        train_resize, train_transform = resize, to_tensor
        if self.options.augment:
            train_resize, train_transform = augmented_preprocessing(preprocessing)
        train, val = self._decode(plan, train_resize, resize)
        sample = [to_tensor(val.photos[index]) for index in range(min(SAMPLE, len(val.photos)))]
        counts = (len(train.photos), len(val.photos))
        self.console.line(self._estimated(plan, sample, counts))
        return PhotoSamples(
            Dataset(train.photos, train.labels, train_transform),
            Dataset(val.photos, val.labels, to_tensor),
            train.labels,
            val.labels,
            val.photos,
            tuple(val.photos.paths),
            tuple(train.photos.paths),
            (*train.broken, *val.broken),
        )

    def predictor(self, plan: Plan) -> Predictor:
        """Return what predicts with the plan's model."""
        return Predictor(plan.classifier, plan.device)

    def save(self, path: Path, classifier: PhotoClassifier) -> None:
        """Write the file of the model."""
        save_classifier(path, classifier)

    def samples_record(self, plan: Plan, samples: PhotoSamples) -> dict[str, Any]:
        """Return what ``run.json`` says of the photos."""
        root, classes = plan.layout.root, plan.layout.classes

        def counts(labels: Sequence[int]) -> dict[str, int]:
            return {name: list(labels).count(label) for label, name in enumerate(classes)}

        photos = {
            "classes": list(classes),
            "train": counts(samples.train_labels),
            "val": counts(samples.val_labels),
            "val_fraction": plan.layout.val_fraction,
            "broken": [error.path for error in samples.broken],
            "sha256": {
                "train": photos_digest(samples.train_paths, root),
                "val": photos_digest(samples.val_paths, root),
            },
            "val_files": [path.relative_to(root).as_posix() for path in samples.val_paths],
        }
        return {"photos": photos, "preprocessing": plan.classifier.preprocessing}

    def draw(self, measured: Measured, samples: PhotoSamples) -> DrawSamples:
        """Return what draws the most wrong photos into the picture."""
        return partial(draw_photos, photos=samples.val_inputs)

    def gallery(
        self,
        measured: Measured,
        samples: PhotoSamples,
        predictor: Predictor,
        numbers: Sequence[int],
    ) -> list[GalleryItem]:
        """Return photos with where the model looked."""

        def pictures(number: int) -> tuple[Pixels, Pixels | None]:
            pixels = samples.val_inputs[number]
            batch = predictor.to_tensor(pixels).unsqueeze(0)
            predicted = int(measured.evaluation.predicted[number])
            try:
                heat_map = explain(predictor.model, batch, pixels, predicted)
            except GradCamError:
                return pixels, None  # a base without feature maps, such as a transformer
            return pixels, heat_map.overlay()

        return gallery_items(measured.evaluation, numbers, pictures)

    def _decode(
        self, plan: Plan, train_resize: Any, resize: Any
    ) -> tuple[DecodedFolder, DecodedFolder]:
        watch, console = Stopwatch(), self.console
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

    def _estimated(
        self, plan: Plan, sample: list[Any], counts: tuple[int, int], reading: float = 0.0
    ) -> str:
        pace = measure_pace(plan.classifier.model, sample, plan.device)
        epochs = self.options.epochs
        seconds = pace.seconds(*counts, epochs, self.options.augment)
        return pace.line(reading + seconds, epochs)
