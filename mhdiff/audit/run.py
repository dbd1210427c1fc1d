"""All checks of an audit, in order, and what they say together: plain data, text, and whose records are meant."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from mhdiff.audit import graph as of_graph
from mhdiff.audit import (
    label_codes,
    label_words,
    near_images,
    near_notes,
    overlap,
    shortcuts,
    single_features,
    times,
)
from mhdiff.audit.finding import ACCEPTED, CASES, FAILURE, WARNING, Check, Finding
from mhdiff.audit.material import Material
from mhdiff.audit.thresholds import Thresholds
from mhdiff.report.text import figure, plural

if TYPE_CHECKING:
    from mhdiff.cohort import Cohort, Task
    from ontology import Ontology

CHECKS = (overlap, times, label_codes, label_words, near_notes, near_images, shortcuts, single_features)


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes:
        material: What was audited.
        checks: What each check did.
    """

    material: Material
    checks: tuple[Check, ...]

    def findings(self, level: str) -> list[Finding]:
        """Give the findings of a level, in the order of the checks.

        Args:
            level: `FAILURE`, `WARNING` or `ACCEPTED`.
        """
        return [f for check in self.checks for f in check.findings if f.level == level]

    @property
    def clean(self) -> bool:
        """Whether nothing failed."""
        return not self.findings(FAILURE)

    def table(self, name: str) -> list[dict[str, Any]]:
        """Give the rows of a check's table.

        Args:
            name: "shortcuts" or "features".
        """
        return next((check.tables[name] for check in self.checks if name in check.tables), [])

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain data, for JSON; no words of a patient and no id are in it."""
        m = self.material
        limits = {k: list(v) if isinstance(v, tuple) else v for k, v in vars(m.thresholds).items()}
        split = m.samples["split"].value_counts().sort("split")
        return {
            "cohort": m.cohort.name,
            "fingerprint": m.cohort.fingerprint,
            "task": m.task.name,
            "split": m.split,
            "samples": m.samples.height,
            "samples_by_split": dict(split.iter_rows()),
            "patients": m.samples["subject_id"].n_unique(),
            "ontology": None if m.ontology is None else m.ontology.name,
            "clean": self.clean,
            "failures": [f.name for f in self.findings(FAILURE)],
            "warnings": [f.name for f in self.findings(WARNING)],
            "accepted": [f.name for f in self.findings(ACCEPTED)],
            "checks": [
                {"name": c.name, "title": c.title, "status": c.status, "examined": c.examined,
                 "findings": [f.to_dict() for f in c.findings]}
                for c in self.checks
            ],
            "shortcuts": self.table("shortcuts"),
            "features": self.table("features"),
            "thresholds": limits,
        }  # fmt: skip

    def cases(self) -> pl.DataFrame:
        """Give whose records are meant: finding, level, subject_id, other_subject_id, what."""
        tables = [
            f.cases.select(pl.lit(f.name).alias("finding"), pl.lit(f.level).alias("level"), *CASES)
            for check in self.checks
            for f in check.findings
        ]
        schema = {"finding": pl.String(), "level": pl.String(), **CASES}
        return pl.concat([pl.DataFrame(schema=schema), *tables])

    def text(self) -> str:
        """Give it for a person to read."""
        m = self.material
        lines = [
            f"Audit of {m.cohort.name}, task {m.task.name}, split '{m.split}': {m.samples.height:,} samples of "
            f"{m.samples['subject_id'].n_unique():,} patients"
        ]
        for check in self.checks:
            lines += ["", f"{check.status.upper():<8} {check.title}", f"         {check.examined}"]
            lines += [f"  {f.level}: {f.name}: {f.detail}" for f in check.findings]
            lines += _highest(check.tables.get("shortcuts", []))
        lines += ["", _verdict(self)]
        return "\n".join(lines)


def audit(
    cohort: Cohort,
    task: Task,
    *,
    ontology: Ontology | None = None,
    split: str = "stored",
    split_seed: int = 0,
    thresholds: Thresholds | None = None,
    graph: str | Path | None = None,
) -> Audit:
    """Look for every leak that is known here.

    Args:
        cohort: The cohort.
        task: The task.
        ontology: Says which codes and terms the blinded concepts have.
        split: How samples are split, see `mhdiff.cohort.splits`.
        split_seed: Seed of that.
        thresholds: At which figures findings are made; None for the shipped ones.
        graph: A graph of the cohort, to be held against the task too.

    Raises:
        InputError: If the task does not fit the cohort, or nobody trains or is held out.
    """
    limits = thresholds or Thresholds.load()
    material = Material(cohort, task, limits, ontology, split, split_seed).checked()
    checks = [module.check(material) for module in CHECKS]
    if graph is not None:
        checks.append(of_graph.check(material, graph))
    return Audit(material, tuple(_accepted(check, limits) for check in checks))


def _accepted(check: Check, limits: Thresholds) -> Check:
    def judge(finding: Finding) -> Finding:
        reason = limits.accepted.get(finding.name)
        if reason is None or finding.level != FAILURE:
            return finding
        return replace(finding, level=ACCEPTED, detail=f"{finding.detail}. Accepted: {reason}")

    return replace(check, findings=[judge(finding) for finding in check.findings])


def _highest(rows: list[dict[str, Any]]) -> list[str]:
    """Tell of each shortcut the class that it tells best; JSON and page have all."""
    lines = []
    for name in dict.fromkeys(row["shortcut"] for row in rows):
        own = [row for row in rows if row["shortcut"] == name]
        best = max(own, key=lambda row: row["auroc"] or 0.0)
        which = f"for '{best['class']}'" + (f", the highest of {len(own)} classes" if len(own) > 1 else "")
        told = figure({**best, "value": best["auroc"]})
        lines.append(f"  {best['told']}: AUROC {told} {which}; {plural(best['samples'], 'sample')}")
    return lines


def _verdict(found: Audit) -> str:
    failures, warnings, accepted = (len(found.findings(level)) for level in (FAILURE, WARNING, ACCEPTED))
    told = [plural(failures, "failure"), plural(warnings, "warning")]
    told += [f"{accepted} accepted"] if accepted else []
    return f"{'CLEAN' if found.clean else 'NOT CLEAN'}: {', '.join(told)}"
