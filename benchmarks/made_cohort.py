"""A cohort of any size from an ontology's own terms: coded events, and one note a patient.

How often a concept is drawn falls with its rank (Zipf, exponent 1), and each patient has a few of the frequent ones
and many seldom ones, as real charts have. Patients are written in shards, in the order of their number.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.bench_recognise import SENTENCES
from mhdiff.cohort import meds
from ontology import Ontology

SHARD = 5_000
TASK = """name: made
labels: made
classes: [well, ill]
modalities:
  note: {prefixes: [NOTE//]}
  codes: {prefixes: [SNOMED/]}
"""


def make_cohort(
    path: Path,
    ontology: Ontology,
    patients: int,
    events: int = 50,
    sentences: int = 6,
    vocabulary: int = 20_000,
) -> None:
    """Write a cohort and, beside its tables, the task that reads it (`task.yaml`).

    Args:
        path: The folder.
        ontology: Where concepts and terms come from.
        patients: How many.
        events: Coded events a patient.
        sentences: Sentences of the one note of each patient.
        vocabulary: How many concepts are ever drawn.
    """
    draw = np.random.default_rng(0)
    count = min(vocabulary, len(ontology.sctids))
    chosen = ontology.sctids[draw.choice(len(ontology.sctids), count, replace=False)]
    codes = pl.Series([f"SNOMED/{sctid}" for sctid in chosen])
    terms = [ontology.term(int(sctid)).rsplit(" (", 1)[0] for sctid in chosen]
    chance = 1 / np.arange(1.0, count + 1)
    chance /= chance.sum()
    when = datetime(2026, 1, 1)
    for number, first in enumerate(range(0, patients, SHARD)):
        many = min(SHARD, patients - first)
        subject = np.arange(first, first + many)
        coded = pl.DataFrame(
            {
                "subject_id": np.repeat(subject, events),
                "code": codes.gather(draw.choice(count, many * events, p=chance)),
            }
        )
        which = draw.integers(len(SENTENCES), size=(many, sentences))
        filling = draw.choice(count, (many, sentences), p=chance)
        notes = pl.DataFrame(
            {
                "subject_id": subject,
                "code": "NOTE//CLINICAL",
                "text_value": [
                    f"Patient {one}. "
                    + " ".join(
                        SENTENCES[s].format(terms[t]) for s, t in zip(which[i], filling[i], strict=True)
                    )
                    for i, one in enumerate(subject)
                ],
            }
        )
        table = pl.concat([coded, notes], how="diagonal").with_columns(time=pl.lit(when))
        meds.write_shard(path, number, table)
    everybody = pl.DataFrame({"subject_id": np.arange(patients)})
    known = pl.DataFrame({"code": [*codes, "NOTE//CLINICAL"], "description": ""})
    label = pl.lit("well").alias("categorical_value")
    meds.write_meds(
        path,
        events=None,
        codes=known,
        splits=everybody.with_columns(split=pl.lit("train")),
        labels={"made": everybody.with_columns(label, prediction_time=pl.lit(when))},
        metadata={"dataset_name": "made", "mhdiff": {"kind": "made"}},
    )
    (path / "task.yaml").write_text(TASK)
