"""What a run on texts will train: everything that is decided before the first step."""

from __future__ import annotations

from dataclasses import dataclass

import neurenix
from neurenix.backends.registry import resolve
from neurenix.data.text import Tokenizer
from neurenix.graph import check_precision
from neurenix.models import bert
from neurenix_transfer.runs.model_file import new_head, weights_licence
from neurenix_transfer.runs.plan import RunPlan
from neurenix_transfer.runs.training import unfreeze_for
from neurenix_transfer.texts.layout import TextLayout, find_layout
from neurenix_transfer.texts.model_file import TextClassifier
from neurenix_transfer.texts.options import TextOptions
from neurenix_transfer.transfer_model import TransferModel


@dataclass(frozen=True)
class TextPlan(RunPlan):
    """A run on texts before its first step.

    Attributes:
        options: As they were given.
        classifier: The model to train, with its classes and its tokenizer.
        device: Where the model is.
        weights_path: The file of the encoder's weights.
        layout: The texts.
        tokenizer: The tokenizer, ready.
    """

    options: TextOptions
    classifier: TextClassifier
    layout: TextLayout
    tokenizer: Tokenizer


def make_plan(options: TextOptions) -> TextPlan:
    """Read the texts, load the encoder, and join it with a new head.

    Raises:
        DeviceError: The device cannot be used.
        PrecisionError: It has no plans of the precision asked for.
        TextFileError: The file of texts is not as expected.
        ModelFolderError: The base is no folder of a model.
        PretrainedWeightsError: The base is neither on this machine nor to be had.
        TokenizerMissingError: The base has no tokenizer.
        UnknownLayerError: ``unfreeze`` names a layer that the base does not have.
    """
    device = resolve(options.device)
    check_precision(device, options.precision)
    layout = find_layout(
        options.texts, options.text_column, options.label_column, options.val_fraction, options.seed
    )
    neurenix.manual_seed(options.seed)
    encoder = bert(options.base)
    weights = encoder.weights
    assert weights is not None
    tokenizer = weights.transforms()
    tokenizer("")  # a tokenizer that cannot be read shows now
    model = TransferModel(encoder, new_head(encoder.num_features, len(layout.classes)))
    unfreeze_for(model, options)
    model.to(device)
    preprocessing, licence = dict(weights.preprocessing), weights_licence(weights.path)
    classifier = TextClassifier(
        model, layout.classes, preprocessing, options.base_name, licence=licence
    )
    layout.train.transform = layout.val.transform = tokenizer
    return TextPlan(options, classifier, device, weights.path, layout, tokenizer)
