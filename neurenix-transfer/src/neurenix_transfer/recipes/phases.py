"""The history of several phases as one."""

from __future__ import annotations

from neurenix_transfer.history import History


def empty_like(history: History) -> History:
    """Return a history of the same quantities, without an epoch."""
    return History(
        history.metric,
        history.validated,
        [name for name in history.metrics if name != history.metric],
    )


def rows_of(history: History) -> list[dict[str, float]]:
    """Return what each epoch measured."""
    return [
        {key: values[epoch] for key, values in history.items() if epoch < len(values)}
        for epoch in range(history.epochs)
    ]


def joined(first: History, second: History) -> History:
    """Return the epochs of two histories as one, with the phase of each.

    What ended the second ended the whole; the best epoch is found anew.
    """
    whole = empty_like(second)
    for row in [*rows_of(first), *rows_of(second)]:
        whole.record(row)
    whole.phases = [*first.phases, *second.phases]
    whole.stopped_early = second.stopped_early
    whole.restored = second.restored
    if second.restored and second.best_epoch is not None:
        whole.best_epoch = second.best_epoch + first.epochs
    return whole
