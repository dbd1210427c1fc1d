"""A terminology of 15 concepts and a window of events whose evidence can be counted by hand."""

from datetime import datetime

import numpy as np
import polars as pl

from ontology.model import Ontology, Relations
from ontology.report import LoadReport
from ontology.tables import MAPS, TERMS

IS_A, SITE, AGENT = 116680003, 363698007, 246075003
INTERPRETS, HAS_INTERPRETATION = 363714003, 363713009
NAMES = {
    1: "Everything", 2: "Finding", 3: "Disease", 4: "Pneumonia", 5: "Bacterial pneumonia",
    6: "Viral pneumonia", 7: "Lung structure", 8: "Body structure", 9: "Organism", 10: "Bacteria",
    11: "Leukocytosis",
    12: "White blood cell count", 13: "Cough", 14: "Above reference range", 15: "C-reactive protein",
}  # fmt: skip
RELATIONS = [
    *((child, IS_A, parent) for child, parent in (
        (2, 1), (3, 2), (4, 3), (5, 4), (6, 4), (7, 8), (8, 1), (9, 1), (10, 9), (11, 2), (12, 1), (13, 2),
        (14, 1), (15, 1),
    )),
    (4, SITE, 7), (5, AGENT, 10), (11, INTERPRETS, 12), (11, HAS_INTERPRETATION, 14),
]  # fmt: skip
CODES = [("J18.9", "ICD-10", 4), ("J15.9", "ICD-10", 5), ("J99", "ICD-10", 5), ("J99", "ICD-10", 6),
         ("6690-2", "LOINC", 12), ("1988-5", "LOINC", 15)]  # fmt: skip


def make_ontology(names, relations, codes=(), name="toy"):
    """Put an Ontology together from names, (source, type, target) and (code, system, concept)."""
    sctids = np.array(sorted(names), dtype=np.int64)
    types = np.array([IS_A, *sorted({kind for _, kind, _ in relations} - {IS_A})], dtype=np.int64)
    node = {int(sctid): i for i, sctid in enumerate(sctids)}
    rows = sorted((node[s], int(np.flatnonzero(types == kind)[0]), node[t]) for s, kind, t in relations)
    source, kind, target = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    columns = Relations(
        source.astype(np.int32), target.astype(np.int32), kind.astype(np.int16), np.zeros(len(rows), np.int32)
    )
    terms = [
        (node[s], term, what, True, "ci", 0, "")
        for s, text in sorted(names.items())
        for term, what in ((f"{text} (thing)", "fsn"), (text, "synonym"))
    ]
    maps = [(node[s], system, 1, 1, "", "", code, "", float("nan"), "", 0) for code, system, s in codes]
    return Ontology(
        name, sctids, np.zeros(len(sctids), bool), types, columns,
        pl.DataFrame(terms, TERMS, orient="row"), pl.DataFrame(maps, MAPS, orient="row"), LoadReport(),
    )  # fmt: skip


MODALITIES = ("image", "note", "labs", "codes")


def event(sample, modality, code, *, value=None, text=None, parents=None, unit=None, low=None, high=None):
    return (sample, sample, datetime(2026, 1, 1), modality, code, value, text, parents, unit, low, high)


EVENT_COLUMNS = {
    "sample_id": pl.Int64, "subject_id": pl.Int64, "time": pl.Datetime("us"), "modality": pl.String,
    "code": pl.String, "numeric_value": pl.Float32, "text_value": pl.String,
    "parent_codes": pl.List(pl.String), "unit": pl.String, "ref_low": pl.Float64, "ref_high": pl.Float64,
}  # fmt: skip


def make_window(events):
    return pl.DataFrame(events, EVENT_COLUMNS, orient="row")
