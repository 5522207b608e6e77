"""What a run prints of its evaluation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neurenix_transfer.insight.evaluation import Evaluation


def evaluation_lines(
    evaluation: Evaluation, train_labels: Sequence[int] | None = None, noun: str = "samples"
) -> list[str]:
    """Lay the figures out as lines of text: a row a class, then the accuracies.

    Args:
        evaluation: The predictions.
        train_labels: The labels trained on, for a column of their counts.
        noun: What the samples are.
    """
    width = max(len("class"), *(len(name) for name in evaluation.classes))
    counts = np.bincount(train_labels, minlength=len(evaluation.classes)) if train_labels else None
    head = f"{'class':<{width}}" + (f"  {'train':>6}" if train_labels else "")
    lines = [f"{head}  {'val' if train_labels else noun:>6}  {'recall':>7}"]
    for index, (name, recall) in enumerate(evaluation.recall.items()):
        trained = f"  {counts[index]:>6}" if counts is not None else ""
        shown = "-" if recall is None else f"{recall:.4f}"
        count = int(evaluation.confusion[index].sum())
        lines.append(f"{name:<{width}}{trained}  {count:>6}  {shown:>7}")
    lines.append(evaluation.accuracy_line())
    return lines
