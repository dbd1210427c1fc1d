"""Put a run's documents together into one HTML file that needs nothing else: no network, no script.

Every number comes from the run's files; a part that is not there is named, with what would bring it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from mhdiff.report import flow, guidance, patient, plots, provenance, results, stress
from mhdiff.report.collect import Sources, collect
from mhdiff.report.text import figure, number, signed_figure, words
from ontology.files import atomic_write


@dataclass(frozen=True)
class Section:
    """One entry of the table of contents.

    Args:
        id: Its anchor.
        title: Its heading.
    """

    id: str
    title: str


SECTIONS = (
    Section("guidance", "Did the ontology help?"),
    Section("data", "The data on their way"),
    Section("metrics", "Metrics against the ceiling"),
    Section("patterns", "When modalities are missing"),
    Section("classes", "By class"),
    Section("calibration", "Calibration"),
    Section("training", "Training"),
    Section("spoilt", "When records are spoilt"),
    Section("latents", "What the prior draws"),
    Section("ablation", "The ablation"),
    Section("patient", "One patient"),
    Section("cost", "Cost"),
    Section("repeat", "To repeat it"),
)


def write_report(run: Path, out: Path, *, ablation: Path | None = None, stages: Path | None = None) -> Path:
    """Write the report of an evaluated run, whole or not at all.

    Args:
        run: The run's folder, with run.json and metrics.json.
        out: The HTML file.
        ablation: An ablation.json to include.
        stages: A stages.json to include.

    Returns:
        The file.

    Raises:
        InputError: If the run or its metrics cannot be read.
    """
    found = collect(Path(run), ablation, stages)
    atomic_write(out, render(context(found, Path(out), ablation, stages)))
    return Path(out)


def context(
    found: Sources, out: Path, ablation: Path | None = None, stages: Path | None = None
) -> dict[str, Any]:
    """Give everything that the template shows.

    Args:
        found: What was read.
        out: The HTML file that will be written.
        ablation: The ablation.json that was given.
        stages: The stages.json that was given.
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
        "pattern_table": results.pattern_table(found, stress.spread(found)),
        "classes": results.classes(found),
        "calibration": plots.calibration(found),
        "curve": plots.curve(found),
        "corruptions": stress.corruptions(found),
        "latents": stress.latents(found),
        "ablation": guidance.describe(found),
        "patient": patient.describe(found),
        "cost": provenance.cost(found),
        "fingerprints": provenance.fingerprints(found),
        "commands": provenance.commands(found, out, ablation, stages),
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
    environment.filters |= {"figure": figure, "signed_figure": signed_figure, "number": number}
    return environment.get_template(template).render(values)
