"""What a run on texts leaves behind in ``run.json``."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from typing import Any

from neurenix.data.text import texts_digest
from neurenix_transfer.history import History
from neurenix_transfer.insight.evaluation import Evaluation
from neurenix_transfer.photos.record import installed_versions, result_record
from neurenix_transfer.runs.learned import Learned
from neurenix_transfer.texts.plan import TextPlan


def text_run_record(
    plan: TextPlan,
    history: History,
    learned: Learned,
    evaluation: Evaluation | None,
    model_sha256: str,
) -> dict[str, Any]:
    """Return everything that a run was made of and came to, for JSON."""
    layout = plan.layout
    tokenizer = plan.tokenizer
    return {
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "options": plan.options.in_force(),
        "versions": installed_versions(),
        "device": str(plan.device),
        "platform": platform.platform(),
        "weights": {
            "name": plan.options.card_base,
            "path": str(plan.weights_path),
            "sha256": plan.weights_sha256,
            "licence": plan.classifier.licence or None,
        },
        "texts": {
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
        },
        "preprocessing": {
            "max_length": tokenizer.max_length,
            "bucket": tokenizer.bucket,
            "vocab_size": tokenizer.vocab_size,
        },
        "model": {
            "sha256": model_sha256,
            "trained_parameters": learned.parameters,
            "trained_layers": list(learned.layers),
            "total_parameters": plan.total_parameters,
        },
        "result": result_record(history, evaluation),
    }
