"""A made-up terminology and a patient with as many concepts as wanted."""

from datetime import datetime

import numpy as np
import polars as pl

from graph_builders import Evidence, PatientGraph
from ontology.model import Ontology, Relations
from ontology.report import LoadReport
from ontology.tables import MAPS, TERMS

IS_A, SITE = 116680003, 363698007
MODALITIES = ("image", "note", "labs", "codes")
HOSTILE = (
    'lung </script><script>document.title="broken"</script><img src=x onerror="document.title=1"> & "quoted"'
)


def terminology(count, seed=0):
    """Concepts 1 to `count`: each is a child of one or two before it; every fifth has a site."""
    rng = np.random.default_rng(seed)
    edges = set()
    for child in range(1, count):
        for parent in rng.integers(max(0, child // 3), child, 1 + (child % 4 == 0)):
            edges.add((child, 0, int(parent)))
        if child % 5 == 0:
            edges.add((child, 1, int(rng.integers(0, child))))
    source, kind, target = np.array(sorted(edges)).T
    names = [
        (c, term, what, True, "ci", 0, "")
        for c in range(count)
        for term, what in ((f"Condition number {c + 1} (disorder)", "fsn"), (f"ailment{c + 1}", "synonym"))
    ]
    return Ontology(
        "made-up", np.arange(1, count + 1), np.zeros(count, bool), np.array([IS_A, SITE]),
        Relations(source.astype(np.int32), target.astype(np.int32), kind.astype(np.int16),
                  np.zeros(len(source), np.int32)),
        pl.DataFrame(names, TERMS, orient="row"), pl.DataFrame([], MAPS, orient="row"), LoadReport(),
    )  # fmt: skip


def patient(ontology, concepts, text=HOSTILE):
    """One sample with these concepts as evidence: modality and polarity in turn; a second sample without any."""
    polarities = ("present", "absent", "uncertain", "family", "historical")
    rows = [
        (7, MODALITIES[i % 4], int(c), polarities[i % 5], 0.25 if i % 3 == 0 else 1.0, "NOTE//CLINICAL", 3, 9, text,
         datetime(2026, 1, 2, 3, 4))
        for i, c in enumerate(concepts)
    ]  # fmt: skip
    schema = {
        "sample_id": pl.Int64, "modality": pl.String, "concept": pl.Int64, "polarity": pl.String,
        "weight": pl.Float32, "source": pl.String, "start": pl.Int32, "end": pl.Int32, "text": pl.String,
        "time": pl.Datetime("us"),
    }  # fmt: skip
    observed = pl.DataFrame({"sample_id": [8], "modality": ["image"]})
    evidence = Evidence(pl.DataFrame(rows, schema, orient="row"), observed=observed)
    samples = pl.DataFrame({"sample_id": [7, 8, 9], "subject_id": [70, 80, 80]})
    return PatientGraph.build(ontology, evidence, samples, MODALITIES)
