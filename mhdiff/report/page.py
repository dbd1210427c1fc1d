"""Put a run's documents together into one HTML file that needs nothing else: no network, no script.

Every number comes from the run's files; a part that is not there is named, with what would bring it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from mhdiff.report import (
    against,
    curve,
    decisions,
    flow,
    guidance,
    mechanisms,
    patient,
    provenance,
    reliability,
    results,
    stress,
    subgroups,
)
from mhdiff.report.ablation_page import collect_ablation, is_ablation
from mhdiff.report.ablation_page import context as ablation_context
from mhdiff.report.collect import Sources, collect
from mhdiff.report.export import write_tables
from mhdiff.report.section import Section
from mhdiff.report.table import tables_of, width
from mhdiff.report.text import figure, number, signed_figure, words
from ontology.errors import InputError
from ontology.files import atomic_write

SECTIONS = (
    Section("guidance", "Did the ontology help?"),
    Section("data", "The data on their way"),
    Section("metrics", "Metrics against the ceiling"),
    Section("patterns", "When modalities are missing"),
    Section("classes", "By class"),
    Section("calibration", "Calibration"),
    Section("decisions", "Would acting on it help?"),
    Section("subgroups", "Subgroups and sites"),
    Section("mechanisms", "Missing by a mechanism, and robustness"),
    Section("against", "Against other runs"),
    Section("training", "Training"),
    Section("spoilt", "When records are spoilt"),
    Section("latents", "What the prior draws"),
    Section("ablation", "The ablation"),
    Section("patient", "One patient"),
    Section("cost", "Cost"),
    Section("repeat", "To repeat it"),
)


def write_report(
    run: Path,
    out: Path,
    *,
    ablation: Path | None = None,
    stages: Path | None = None,
    tables: Path | None = None,
) -> Path:
    """Write the report of an evaluated run or of an ablation, whole or not at all.

    Args:
        run: The run's folder, with run.json and metrics.json, or that of an ablation.
        out: The HTML file.
        ablation: An ablation.json, or the folder of one, to include in a run's report.
        stages: A stages.json to include in a run's report.
        tables: A folder for the report's tables as CSV, LaTeX and Markdown; one of an earlier report is replaced.

    Returns:
        The file.

    Raises:
        InputError: If run, metrics or ablation cannot be read, or the folder of tables holds something else.
    """
    run, out = Path(run), Path(out)
    if is_ablation(run):
        given = ablation or stages
        if given is not None:
            raise InputError(
                "the folder is that of an ablation, whose report takes neither --ablation nor --stages",
                path=run,
                remedy=f"mhdiff report {run}",
            )
        values = ablation_context(collect_ablation(run), out, tables)
        text = render(values, "ablation_page.html.jinja")
    else:
        values = context(collect(run, ablation, stages), out, ablation, stages, tables)
        text = render(values)
    if tables is not None:
        write_tables(tables_of(values), Path(tables))
    atomic_write(out, text)
    return out


def context(
    found: Sources,
    out: Path,
    ablation: Path | None = None,
    stages: Path | None = None,
    tables: Path | None = None,
) -> dict[str, Any]:
    """Give everything that the template shows.

    Args:
        found: What was read.
        out: The HTML file that will be written.
        ablation: The ablation.json that was given.
        stages: The stages.json that was given.
        tables: The folder of tables that will be written.
    """
    task = words(found.facts.get("task") or found.metrics.get("task") or found.run.name)
    return {
        "title": f"MH-Diff: {task}",
        "sections": SECTIONS,
        "headline": results.headline(found),
        "level": results.level(found.metrics),
        "offered": results.offered(results.fullest(found.metrics)[0]),
        "n": found.metrics["n_samples"],
        "subjects": found.metrics["n_subjects"],
        "missing": found.missing,
        "why": {m.part: m for m in found.missing},
        "steps": flow.steps(found),
        "overall": results.overall(found),
        "lost_resamples": results.lost_resamples(found),
        "patterns": results.patterns(found),
        "pattern_tables": results.pattern_tables(found, stress.spread(found)),
        "classes": results.classes(found),
        "calibration": reliability.calibration(found),
        "decisions": decisions.describe(found),
        "subgroups": subgroups.describe(found),
        "mechanisms": mechanisms.describe(found),
        "against": against.describe(found),
        "better": against.better(found),
        "curve": curve.curve(found),
        "corruptions": stress.corruptions(found),
        "latents": stress.latents(found),
        "ablation": guidance.describe(found.ablation),
        "patient": patient.describe(found),
        "cost": provenance.cost(found),
        "fingerprints": provenance.fingerprints(found),
        "commands": provenance.commands(found, out, ablation, stages, tables),
    }


def render(values: dict[str, Any], template: str = "report.html.jinja") -> str:
    """Fill a template.

    Args:
        values: What it shows; for the report what `context` gave.
        template: Which one.
    """
    environment = Environment(
        loader=PackageLoader("mhdiff.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "figure": figure,
        "signed_figure": signed_figure,
        "number": number,
        "width": width,
    }
    return environment.get_template(template).render(values)
