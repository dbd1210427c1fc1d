"""Made-up predictions whose strength is chosen."""

import numpy as np
import polars as pl

CLASSES = ["none", "bacterial", "viral"]


def predictions(
    n=300,
    *,
    strength=2.0,
    seed=0,
    classes=3,
    patterns=("image+note",),
    splits=("tuning", "held_out"),
    per_subject=1,
    prevalence=None,
):
    """Logits = strength * onehot(label) + noise; subjects have `per_subject` samples with related noise."""
    rng = np.random.default_rng(seed)
    subjects = np.repeat(np.arange(n), per_subject)
    labels = rng.choice(classes, size=n * per_subject, p=prevalence)
    frames = []
    for i, pattern in enumerate(patterns):
        noise = rng.normal(size=(n, classes))[subjects] + 0.3 * rng.normal(size=(n * per_subject, classes))
        logits = noise + strength / (i + 1) * np.eye(classes)[labels]
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        frames.append(
            pl.DataFrame(
                {
                    "sample_id": np.arange(n * per_subject),
                    "subject_id": subjects + 1000,
                    "site": np.where(subjects % 2, "a", "b"),
                    "split": np.array(splits)[subjects % len(splits)],
                    "pattern": pattern,
                    "label": labels,
                }
                | {f"p_{c}": p[:, c] for c in range(classes)}
            )
        )
    return pl.concat(frames)
