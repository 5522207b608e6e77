"""The linear probe on features as large as those of ResNet-18 and MiniLM, beside scikit-learn's.

Both choose among the same strengths by five-fold cross-validation; the probe's time includes the
standardisation and the final fit.
"""

from __future__ import annotations

import sys
import warnings

import machine
import peer

SIZES = {"244 photos, ResNet-18": (244, 512, 2), "5,000 messages, MiniLM": (5000, 384, 2)}
STRENGTHS = [10.0**power for power in range(-4, 4)]


def main() -> None:
    options = peer.options(__doc__, rounds=3, peers_optional=False).parse_args()
    options.threads = machine.use_threads(options.threads)

    import numpy as np

    try:
        from sklearn.linear_model import LogisticRegressionCV
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
    except ModuleNotFoundError as error:
        sys.exit(f"{error.name} is the peer and is not installed: pip install scikit-learn")

    from results import Results, in_ms

    from neurenix_transfer.linear_probe import fit_linear_probe

    results = Results("linear_probe.py", options.json, options.threads)
    warnings.simplefilter("ignore")  # scikit-learn's about its own defaults
    for title, (count, width, classes) in SIZES.items():
        rng = np.random.default_rng(0)
        labels = np.arange(count) % classes
        centres = rng.standard_normal((classes, width)) * 0.3
        features = (centres[labels] + rng.standard_normal((count, width))).astype(np.float32)
        theirs = make_pipeline(
            StandardScaler(),
            # Ours weighs the penalty against the mean over the samples, theirs against the sum.
            LogisticRegressionCV(Cs=[1 / (s * count) for s in STRENGTHS], cv=5),
        )
        probe = fit_linear_probe(features, labels, strengths=STRENGTHS)
        theirs.fit(features, labels)
        same = (probe.predict(features) == theirs.predict(features)).mean()
        results.remark(f"{title}: both classify {same:.2%} of the samples alike")
        times = peer.measure(
            {
                "neurenix": lambda x=features, y=labels: fit_linear_probe(
                    x, y, strengths=STRENGTHS
                ),
                "scikit-learn": lambda x=features, y=labels, m=theirs: m.fit(x, y),
            },
            rounds=options.rounds,
            warm_ups=0,
        )
        results.compare(f"Linear probe, {title}: {count} x {width}", "ms", in_ms(times))


if __name__ == "__main__":
    peer.start_fairly()
    main()
