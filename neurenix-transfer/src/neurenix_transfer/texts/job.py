"""The text job: a file of texts in, a fine-tuned model and what is known of it out."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from neurenix.data.text import texts_digest
from neurenix_transfer.insight.gallery import GalleryItem, gallery_items
from neurenix_transfer.runs.console import Console
from neurenix_transfer.runs.job import Job, RunSamples
from neurenix_transfer.runs.measuring import Measured
from neurenix_transfer.runs.report import DrawSamples
from neurenix_transfer.runs.result import RunResult
from neurenix_transfer.texts.model_file import TextClassifier, save_text_classifier
from neurenix_transfer.texts.options import TextOptions
from neurenix_transfer.texts.plan import TextPlan, make_plan
from neurenix_transfer.texts.predictor import TextPredictor
from neurenix_transfer.texts.report import draw_texts

_LONGEST = 400  # characters of a text on the page


def describe_text_run(options: TextOptions, console: Console | None = None) -> TextPlan:
    """Say what would be trained; write nothing."""
    return TextJob(options, console).describe()


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
    return TextJob(options, console).run()


class TextJob(Job[TextOptions, TextPlan, RunSamples, TextPredictor]):
    """A run on texts."""

    noun = "text"
    reading = "reading"
    to_predict = '"a new message"'

    def make_plan(self) -> TextPlan:
        """Read the texts, load the encoder, and join it with a new head."""
        return make_plan(self.options)

    def read(self, plan: TextPlan) -> RunSamples:
        """Return the texts, which were read to decide on the rest."""
        train, val = plan.layout.train, plan.layout.val
        return RunSamples(train, val, train.labels or [], val.labels or [], val.texts)

    def predictor(self, plan: TextPlan) -> TextPredictor:
        """Return what predicts with the plan's model."""
        return TextPredictor(plan.classifier, plan.device)

    def save(self, path: Path, classifier: TextClassifier) -> None:
        """Write the file of the model."""
        save_text_classifier(path, classifier)

    def samples_record(self, plan: TextPlan, samples: RunSamples) -> dict[str, Any]:
        """Return what ``run.json`` says of the texts."""
        layout, tokenizer = plan.layout, plan.tokenizer
        texts = {
            "rows": len(layout.source),
            "skipped_lines": layout.source.skipped,
            "text_column": layout.source.text_column,
            "label_column": layout.source.label_column,
            "classes": list(layout.classes),
            "train": layout.train.class_counts,
            "val": layout.val.class_counts,
            "val_fraction": layout.val_fraction,
            "sha256": {
                name: texts_digest(part.texts, part.labels)
                for name, part in (("train", layout.train), ("val", layout.val))
            },
        }
        preprocessing = {
            "max_length": tokenizer.max_length,
            "bucket": tokenizer.bucket,
            "vocab_size": tokenizer.vocab_size,
        }
        return {"texts": texts, "preprocessing": preprocessing}

    def draw(self, measured: Measured, samples: RunSamples) -> DrawSamples:
        """Return what draws the most wrong texts into the picture."""
        return partial(draw_texts, texts=samples.val_inputs)

    def gallery(
        self,
        measured: Measured,
        samples: RunSamples,
        predictor: TextPredictor,
        numbers: Sequence[int],
    ) -> list[GalleryItem]:
        """Return texts, shortened."""
        texts = [textwrap.shorten(text, _LONGEST, placeholder=" …") for text in samples.val_inputs]
        return gallery_items(measured.evaluation, numbers, texts=texts)
