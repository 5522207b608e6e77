"""The recipe ``"lp-ft"``: a linear probe, then fine-tuning at a small rate.

A head that starts from nothing sends large, random gradients into the base, which distort what it
knows. After a probe they are small, and point where the features can still be improved.

Reference: Kumar, Raghunathan, Jones, Ma and Liang, "Fine-Tuning can Distort Pretrained Features and
Underperform Out-of-Distribution", 2022.
"""

from __future__ import annotations

import math

from neurenix_transfer.callbacks.early_stopping import Snapshot
from neurenix_transfer.history import History
from neurenix_transfer.recipes.job import Job
from neurenix_transfer.recipes.layers import find_stages, head_parameters, statistics_kept
from neurenix_transfer.recipes.phases import joined
from neurenix_transfer.recipes.probe import ProbeData, read_probe_data, run_probe
from neurenix_transfer.recipes.rates import BASE_LR, adamw, warm_up_then_cosine

PHASE = "fine-tune"


def run_lp_ft(job: Job, data: ProbeData | None = None) -> History:
    """Fit a probe, then train head and base together.

    Args:
        job: The job.
        data: What `read_probe_data` returned for it, if that was called already.

    Raises:
        RecipeError: The head is not one Linear, or no layer of the base may learn.
    """
    data = data or read_probe_data(job)
    model = job.model
    first = job.checked()[0].first
    stages = find_stages(model, head_parameters(model, data.head.linear), first, job.unfreeze)
    stages.freeze_base()
    probed = run_probe(job, data)
    for stage in stages.learning:
        stage.set_trainable(True)
    base_lr = job.base_lr or BASE_LR
    lr = job.lr or base_lr
    base = [param for stage in stages.learning for param in stage.params]
    optimizer = adamw([(stages.head.params, lr), (base, base_lr)])
    job.say(f"Then fine-tuned at the rates {lr:g} (head) and {base_lr:g} ({stages.names})")
    start = Snapshot(model)
    scheduler = job.options.get("scheduler") or warm_up_then_cosine()
    try:
        with statistics_kept(model):
            tuned: History = job.train(optimizer, scheduler=scheduler)
    except KeyboardInterrupt as interrupt:
        history = getattr(interrupt, "history", None)
        interrupt.history = (  # type: ignore[attr-defined]
            probed if history is None else _whole(job, probed, history, start)
        )
        raise
    return _whole(job, probed, tuned, start)


def _whole(job: Job, probed: History, tuned: History, start: Snapshot) -> History:
    """Join the two phases; where the best weights are kept, the probe may be the best."""
    tuned.phases = [PHASE] * tuned.epochs
    whole = joined(probed, tuned)
    if not job.keeps_best:
        return whole
    key = whole.monitor
    best = math.inf if tuned.best_epoch is None else tuned[key][tuned.best_epoch]
    if probed[key][0] <= best:
        start.restore()
        whole.best_epoch, whole.restored = 0, True
        job.say("The weights of the probe, the best, are kept")
    return whole
