"""What became of events, as counts that add up: the counts of two halves of a cohort give those of the whole.

A count of distinct things does not add up, so a tally holds which things there were. What it counts by sample (how many
samples have a modality) adds up where the halves share no sample.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from graph_builders.units import count_units, strange_units

if TYPE_CHECKING:
    from ontology import Ontology

#: What can become of an event.
OUTCOMES = {
    "evidence": "gave at least one concept",
    "blinded": "gave only concepts that define the label",
    "unmapped": "has a code that the ontology maps to nothing",
    "no_code": "has neither a vocabulary code nor a text",
    "empty_note": "is a note without text",
    "no_mention": "is a note in which no term was found",
    "in_range": "is a lab inside its reference range",
    "no_range": "is a lab without a reference range",
    "no_value": "is a lab whose value is neither a number nor positive or negative",
}
_TOP = 20
_N = pl.len().cast(pl.Int64).alias("n")


@dataclass(frozen=True)
class Tally:
    """Counts of what became of the events of some samples.

    Args:
        tables: By name, columns of what is counted and the count `n`; each combination once.
    """

    tables: Mapping[str, pl.DataFrame]

    @classmethod
    def of(
        cls,
        outcome: pl.DataFrame,
        found: pl.DataFrame,
        hidden: pl.DataFrame,
        labs: pl.DataFrame,
        uninterpreted: pl.DataFrame,
        unread: pl.DataFrame,
        defining: pl.DataFrame,
    ) -> Tally:
        """Count.

        Args:
            outcome: event, sample_id, modality, code, outcome.
            found: The rows that became evidence: sample_id, modality, concept, polarity.
            hidden: The rows that are blinded: event, concept.
            labs: The events that were read as labs.
            uninterpreted: Those of them that are abnormal without a finding that says so.
            unread: Events with a text that nobody reads.
            defining: code of the events that stand for a hidden concept.
        """
        blind = hidden.join(outcome, on="event")
        samples = pl.col("sample_id").n_unique().cast(pl.Int64).alias("n")
        events = pl.col("event").n_unique().cast(pl.Int64).alias("n")
        missing = pl.col("unit").is_null() & pl.col("numeric_value").is_not_null()
        units, ranges = count_units(labs)
        return cls(
            {
                "outcomes": outcome.group_by("modality", "code", "outcome").agg(_N),
                "samples": outcome.group_by("modality").agg(samples),
                "evidence": found.group_by("modality", "concept", "polarity").agg(_N),
                "samples_with_evidence": found.group_by("modality").agg(samples),
                "labs": labs.group_by("modality").agg(_N),
                "unit_missing": labs.filter(missing).group_by("code").agg(_N),
                "uninterpreted": uninterpreted.group_by("code").agg(_N),
                "units": units,
                "ranges": ranges,
                "unread": unread.group_by("modality").agg(_N),
                "hidden": blind.group_by("concept", "modality").agg(_N),
                "hidden_events": blind.group_by("modality").agg(events),
                "hidden_whole": blind.filter(pl.col("outcome") == "blinded").group_by("modality").agg(events),
                "hidden_samples": blind.group_by("modality").agg(samples),
                "defining": defining.group_by("code").agg(_N),
            }
        )

    @classmethod
    def sum(cls, tallies: Iterable[Tally]) -> Tally:
        """Add tallies of different samples up.

        Args:
            tallies: At least one.
        """
        every = [tally.tables for tally in tallies]
        return cls(
            {
                name: pl.concat([tables[name] for tables in every])
                .group_by(pl.exclude("n"))
                .agg(pl.col("n").sum())
                for name in every[0]
            }
        )

    def report(self, ontology: Ontology, hidden: np.ndarray[Any, Any], unknown: list[int]) -> dict[str, Any]:
        """Say in plain values what was used and what was not, by modality and reason.

        Args:
            ontology: Names the concepts that were dropped.
            hidden: The SCTIDs that give no evidence.
            unknown: SCTIDs that were to be blinded and are not in the ontology.
        """
        tables = self.tables
        outcome, evidence = tables["outcomes"], tables["evidence"]
        report: dict[str, Any] = {
            "events": _total(outcome),
            "evidence_rows": _total(evidence),
            "modalities": {name: self._modality(name) for name in sorted(outcome["modality"].unique())},
        }
        report["labs"] = {
            "events": _total(tables["labs"]),
            "unit_missing": _counts(tables["unit_missing"], "code"),
            "abnormal_without_a_finding": _counts(tables["uninterpreted"], "code"),
            **strange_units(tables["units"], tables["ranges"]),
        }
        report["text_not_read"] = _total(tables["unread"])
        report["blinded"] = {
            "concepts": len(hidden),
            "not_in_ontology": unknown,
            "rows_dropped": _total(tables["hidden"]),
            "dropped": self._dropped(ontology),
            "modalities": self._hidden(),
            "codes": sorted(
                {*tables["defining"]["code"], *(f"SNOMED/{sctid}" for sctid in [*hidden.tolist(), *unknown])}
            ),
        }
        return report

    def _modality(self, name: str) -> dict[str, Any]:
        mine, rows = (self.tables[t].filter(pl.col("modality") == name) for t in ("outcomes", "evidence"))
        by_outcome, events = _counts(mine, "outcome"), _total(mine)
        unmapped = mine.filter(pl.col("outcome") == "unmapped").sort(["n", "code"], descending=[True, False])
        return {
            "events": events,
            "outcomes": {key: by_outcome[key] for key in OUTCOMES if key in by_outcome},
            "coverage": by_outcome.get("evidence", 0) / events,
            "samples": self._of("samples", name),
            "samples_with_evidence": self._of("samples_with_evidence", name),
            "evidence_rows": _total(rows),
            "concepts": rows["concept"].n_unique(),
            "polarities": _counts(rows, "polarity"),
            "codes": mine["code"].n_unique(),
            "codes_unmapped": unmapped.height,
            "top_unmapped": [
                {"code": code, "events": n} for code, n in unmapped.select("code", "n").head(_TOP).iter_rows()
            ],
        }

    def _dropped(self, ontology: Ontology) -> list[dict[str, Any]]:
        """Name the blinded concepts that occurred, with how many rows there are in all and in each modality."""
        hidden = self.tables["hidden"]
        counts = hidden.group_by("concept").agg(pl.col("n").sum())
        each: dict[int, dict[str, int]] = {}
        for concept, modality, n in hidden.sort("modality").select("concept", "modality", "n").iter_rows():
            each.setdefault(concept, {})[modality] = n
        return [
            {"concept": c, "term": ontology.term(c), "rows": n, "modalities": each[c]}
            for c, n in counts.sort(["n", "concept"], descending=[True, False]).iter_rows()
        ]

    def _hidden(self) -> dict[str, dict[str, int]]:
        """Count what blinding took out of each modality; `events_left_empty` gave nothing but blinded concepts."""
        hidden = self.tables["hidden"]
        return {
            name: {
                "rows": _total(hidden.filter(pl.col("modality") == name)),
                "concepts": hidden.filter(pl.col("modality") == name)["concept"].n_unique(),
                "events": self._of("hidden_events", name),
                "events_left_empty": self._of("hidden_whole", name),
                "samples": self._of("hidden_samples", name),
            }
            for name in sorted(hidden["modality"].unique())
        }

    def _of(self, table: str, modality: str) -> int:
        return _total(self.tables[table].filter(pl.col("modality") == modality))


def _total(table: pl.DataFrame) -> int:
    return int(table["n"].sum())


def _counts(table: pl.DataFrame, key: str) -> dict[str, int]:
    return dict(table.group_by(key).agg(pl.col("n").sum()).sort(key).iter_rows())
