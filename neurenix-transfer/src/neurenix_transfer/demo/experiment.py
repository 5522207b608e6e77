"""The experiment: the same network on the same few examples, with and without transfer."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

import neurenix
from neurenix import Tensor, nn
from neurenix.data import Dataset
from neurenix.data.transforms import RandomCrop
from neurenix.optim import AdamW, CosineAnnealingLR, LinearWarmup, Optimizer
from neurenix_transfer.demo.digits import Digits
from neurenix_transfer.demo.network import DigitResNet
from neurenix_transfer.fine_tune import fine_tune
from neurenix_transfer.history import History
from neurenix_transfer.runs.model_file import new_head
from neurenix_transfer.transfer_model import TransferModel

PER_CLASS = 10
EPOCHS = 20
# Of 1e-3, 3e-3 and 1e-2 the best from scratch, so that transfer is compared with its best.
LR = 3e-3
BATCH_SIZE = 16
PRETRAIN_EPOCHS = 10
PRETRAIN_BATCH_SIZE = 32
TRAINED = ("layer1", "layer2", "layer3")
"""What is trained of the pretrained network. Its stem stays: strokes are strokes."""
_MEASURED = frozenset({1, 2, 3, 4, 6, 8, 10, 12, 16, 20})
"""Epochs after which the other digits are tested; all of them would double the time."""


@dataclass
class Curve:
    """How one way of training went, tested on digits that were not trained on.

    Attributes:
        epochs: When it was tested.
        accuracy: The share of digits read right at each of these.
        loss: The cross-entropy at each.
        probabilities: What the network says at the end.
    """

    epochs: list[int] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    probabilities: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 0)))


@dataclass(frozen=True)
class Draw:
    """Both ways on one draw of examples.

    Attributes:
        test: The digits tested on.
        scratch: The network with new weights.
        transfer: The network with pretrained weights.
    """

    test: Digits
    scratch: Curve
    transfer: Curve


def pretrain(digits: Digits) -> DigitResNet:
    """Train the network on digits with plenty of examples, each moved a little at every use."""
    neurenix.manual_seed(0)
    network = DigitResNet(len(digits.names))
    fine_tune(
        network,
        AdamW(network.parameters(), lr=LR),
        Dataset(
            [Tensor(image) for image in digits.images], digits.labels, RandomCrop(8, padding=1)
        ),
        epochs=PRETRAIN_EPOCHS,
        batch_size=PRETRAIN_BATCH_SIZE,
        # Without it the features keep only what tells these five classes apart.
        loss_fn=nn.CrossEntropyLoss(label_smoothing=0.1),
        scheduler=_schedule,
        verbose=0,
    )
    return network


def compare(pretrained: DigitResNet, digits: Digits, seed: int, step: Callable[[], None]) -> Draw:
    """Draw examples, and train on them both ways: same optimizer, rates, order and epochs.

    Args:
        pretrained: The pretrained network; it is copied.
        digits: The digits to learn.
        seed: Of the draw, of the order and of new weights.
        step: Called once an epoch.
    """
    examples, test = digits.draw(PER_CLASS, seed)
    neurenix.manual_seed(seed)
    scratch = DigitResNet(len(digits.names))
    base = copy.deepcopy(pretrained)
    head = new_head(base.num_features, len(digits.names))
    transfer = TransferModel(base, head, fine_tune_layers=TRAINED)
    return Draw(
        test,
        scratch=_train(scratch, examples, test, seed, step),
        transfer=_train(transfer, examples, test, seed, step),
    )


def _train(
    model: nn.Module, examples: Digits, test: Digits, seed: int, step: Callable[[], None]
) -> Curve:
    curve = Curve()

    def measure(epoch: int, history: History) -> None:
        step()
        if epoch + 1 not in _MEASURED:
            return
        model.eval()
        with neurenix.no_grad():
            logits = model(Tensor(test.images)).numpy().astype(np.float64)
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
        curve.probabilities = shifted / shifted.sum(axis=1, keepdims=True)
        truth = curve.probabilities[np.arange(len(test)), test.labels]
        curve.epochs.append(epoch + 1)
        curve.loss.append(float(-np.log(np.maximum(truth, 1e-12)).mean()))
        curve.accuracy.append(float((logits.argmax(axis=1) == test.labels).mean()))

    fine_tune(
        model,
        AdamW(model.parameters(), lr=LR),
        examples.images,
        examples.labels,
        epochs=EPOCHS,
        batch_size=BATCH_SIZE,
        callbacks=[measure],
        seed=seed,
        scheduler=_schedule,
        verbose=0,
    )
    return curve


def _schedule(optimizer: Optimizer, total_steps: int) -> LinearWarmup:
    warmup = max(total_steps // 10, 1)
    return LinearWarmup(optimizer, warmup, then=CosineAnnealingLR(optimizer, total_steps - warmup))
