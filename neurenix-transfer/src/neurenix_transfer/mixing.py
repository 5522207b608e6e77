"""Mixup: training on mixtures of two samples.

A batch is mixed with itself in another order: ``x = share * x + (1 - share) * x[order]``, with one
share a batch, drawn from Beta(alpha, alpha) and taken as the larger of itself and its rest, so that
a sample always weighs at least as much as its partner (mixing a with b by 0.3 is mixing b with a by
0.7). The same goes for labels that are numbers; for class indices the two losses are mixed, which
is the same for every loss that is linear in its target, such as cross-entropy.

Reference:
    Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2018.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from neurenix import Generator, Tensor, randperm
from neurenix.autograd import no_grad
from neurenix.dtypes import is_floating
from neurenix_transfer.numbers import check_positive
from neurenix_transfer.sources import Batch, map_tensors


@dataclass(frozen=True)
class Mixed:
    """A batch that was mixed.

    Attributes:
        batch: The mixed inputs, with the labels of those that weigh more. No sample is itself any
            more, so their numbers are gone.
        partners: The labels of those that weigh less.
        share: The weight of the former, from 0.5 to 1.
    """

    batch: Batch
    partners: Tensor
    share: float

    def loss(self, loss_of: Callable[[Tensor], Tensor], labels: Tensor, partners: Tensor) -> Tensor:
        """Return the loss of the mixed batch.

        Args:
            loss_of: The loss of the batch's outputs under labels.
            labels: The labels of those that weigh more, as the loss takes them.
            partners: The labels of the others, likewise.
        """
        rest = 1.0 - self.share
        if is_floating(labels.dtype):
            return loss_of(labels * self.share + partners * rest)
        return loss_of(labels) * self.share + loss_of(partners) * rest


@dataclass(frozen=True)
class Mixup:
    """Mixes batches.

    Attributes:
        alpha: The parameter of the Beta distribution: near 0 samples are hardly mixed, at 1 any
            share is as likely, above 1 shares near a half are.

    Raises:
        ValueError: It is not above 0.
    """

    alpha: float

    def __post_init__(self) -> None:
        check_positive(mixup=self.alpha)

    def __call__(self, batch: Batch, seed: int, step: int) -> Mixed:
        """Mix a batch; what is drawn depends on the seed and the step alone.

        Raises:
            TypeError: The inputs are whole numbers, which have no mixture.
        """
        stream = Generator(seed).fork("mixup", step)
        low, high, _ = stream.get_state()
        # Drawn on the host: a share is one number, and Beta is no op.
        share = random.Random((high << 32) | low).betavariate(self.alpha, self.alpha)
        share = max(share, 1.0 - share)

        def mix(values: Tensor) -> Tensor:
            if not is_floating(values.dtype):
                raise TypeError(
                    f"mixup mixes inputs of floats, and these are {values.dtype}. Give images as "
                    "floats; token numbers cannot be mixed, so leave mixup out for text"
                )
            order = randperm(batch.size, device=values.device, generator=stream)
            stream.set_state((low, high, 0))  # every part of the input in the same order
            return values * share + values[order] * (1.0 - share)

        with no_grad():
            inputs = map_tensors(mix, batch.inputs)
            stream.set_state((low, high, 0))
            order = randperm(batch.size, device=batch.labels.device, generator=stream)
            partners = batch.labels[order]
        return Mixed(Batch(inputs, batch.labels, None), partners, share)
