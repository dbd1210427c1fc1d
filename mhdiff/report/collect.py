"""Everything a report reads, read once: the files of a run or of pooled runs, and those of the data it was made from.

Only `run.json` and `metrics.json` must be there. Any other file that is absent, damaged or of other data than
the run was trained on becomes a `Missing` with its reason: the report names it instead of leaving a gap.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import yaml

from mhdiff.report.documents import Document, Missing, checked, needed, read_json
from mhdiff.report.gaps import metrics_gaps
from mhdiff.report.pooled import ablation_of, evaluation, of_each, runs_of
from ontology.errors import InputError


@dataclass
class Sources:
    """The documents that a report is made from; None stands for one that is missing.

    Args:
        run: The run's folder.
        facts: run.json.
        metrics: metrics.json.
        config: config.yaml.
        history: history.json: one entry an epoch.
        preprocess: preprocess.json.
        explanation: The first file of explanations/.
        predictions: predictions.parquet, where it can be read.
        ontology: ontology.json.
        cohort: metadata/dataset.json.
        imported: metadata/import_report.json of a cohort that an adapter wrote.
        graph: graph.json.
        ablation: ablation.json.
        stages: stages.json: one entry a stage.
        places: Where what was read lies, by name.
        missing: What could not be read, and why.
    """

    run: Path
    facts: Document
    metrics: Document
    config: Document | None = None
    history: list[Document] | None = None
    preprocess: Document | None = None
    explanation: Document | None = None
    predictions: pl.DataFrame | None = None
    ontology: Document | None = None
    cohort: Document | None = None
    imported: Document | None = None
    graph: Document | None = None
    ablation: Document | None = None
    stages: list[Document] | None = None
    places: dict[str, Path] = field(default_factory=dict)
    missing: list[Missing] = field(default_factory=list)

    def lacks(self, part: str, reason: str, remedy: str) -> None:
        """Note that a part is missing.

        Args:
            part: What the reader will not find.
            reason: Why.
            remedy: What brings it into the next report.
        """
        self.missing.append(Missing(part, reason, remedy))

    def why(self, part: str) -> Missing | None:
        """Give why a part is missing, if it is.

        Args:
            part: As it was given to `lacks`.
        """
        return next((m for m in self.missing if m.part == part), None)


TERMINOLOGY, COHORT, GRAPH = "the terminology's account", "the cohort's account", "the graph's account"
CONFIG, CURVE, WINDOW = "the configuration", "the training curve", "what was read, left out and blinded"
PATIENT, ABLATION, COST = "one patient explained", "the ablation", "time and memory by stage"
RELIABILITY = "the reliability diagram after temperature scaling"


def collect(run: Path, ablation: Path | None = None, stages: Path | None = None) -> Sources:
    """Read what there is.

    Args:
        run: The run's folder.
        ablation: An ablation.json to include.
        stages: A stages.json to include.

    Raises:
        InputError: If the run or its metrics cannot be read, or the metrics are not this run's.
    """
    if not run.is_dir():
        raise InputError(
            "there is no such folder", path=run, remedy="Give the folder of a run: mhdiff evaluate RUN"
        )
    facts = needed(run / "run.json", "Give the folder of a run made by mhdiff fit, then: mhdiff evaluate RUN")
    metrics = needed(run / "metrics.json", f"Make it first: mhdiff evaluate {run}")
    for name in ("classes", "patterns", "n_subjects", "n_samples"):
        if not metrics.get(name):
            raise InputError(
                f"the entry '{name}' is missing or empty",
                path=run / "metrics.json",
                remedy=f"Make it again: mhdiff evaluate {run}",
            )
    if facts.get("classes", metrics["classes"]) != metrics["classes"]:
        raise InputError(
            "the metrics are of other classes than the run",
            path=run / "metrics.json",
            remedy=f"Make them again: mhdiff evaluate {run}",
        )
    found = Sources(run, facts, metrics)
    evaluate = shlex.join(evaluation(facts, run))
    found.config = _config(found)
    if runs_of(facts):
        found.missing.append(of_each(facts, CURVE, "mhdiff report"))
    elif facts.get("estimator"):
        found.lacks(
            CURVE,
            "an estimator has settings to choose from and no epochs: run.json has them",
            f"{run / 'run.json'}",
        )
    else:
        found.history = _list(found, CURVE, run / "history.json", f"Train again: mhdiff fit --out {run}")
    if runs_of(facts):
        found.missing.append(of_each(facts, WINDOW, "mhdiff report"))
    else:
        found.preprocess = _optional(
            found, WINDOW, run / "preprocess.json", f"Train again: mhdiff fit --out {run}"
        )
    found.explanation = _explanation(found)
    found.predictions = _predictions(found, evaluate)
    _data(found)
    found.missing += metrics_gaps(metrics, facts, evaluate)
    if ablation is None:
        known = ablation_of(facts) or "ablation.json"
        found.lacks(ABLATION, "no ablation.json was given", f"mhdiff report {run} --ablation {known}")
    else:
        path = ablation / "ablation.json" if ablation.is_dir() else ablation
        again = "mhdiff ablate -c configs/ablations/demo.yaml --out DIR"
        found.ablation = _optional(found, ABLATION, path, again)
        if found.ablation is not None:
            checked(found.ablation, path, again)
        found.places["ablation"] = path
    if stages is None:
        found.lacks(COST, "no stages.json was given", f"mhdiff report {run} --stages stages.json")
    else:
        found.stages = _list(found, COST, stages, "mhdiff demo writes one")
        found.places["stages"] = stages
    return found


def _optional(found: Sources, part: str, path: Path, remedy: str) -> Document | None:
    document, reason = read_json(path)
    if isinstance(document, dict):
        return document
    found.lacks(part, reason or f"{path} holds no JSON object", remedy)
    return None


def _list(found: Sources, part: str, path: Path, remedy: str) -> list[Document] | None:
    document, reason = read_json(path)
    if isinstance(document, list) and document and all(isinstance(entry, dict) for entry in document):
        return document
    found.lacks(part, reason or f"{path} holds no entries", remedy)
    return None


def _config(found: Sources) -> Document | None:
    path = found.run / "config.yaml"
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        document, reason = None, f"there is no {path}"
    except (OSError, ValueError, yaml.YAMLError) as error:
        document, reason = None, f"{path} cannot be read ({error})"
    else:
        reason = f"{path} holds no settings"
    if isinstance(document, dict):
        return document
    found.lacks(CONFIG, reason, f"Train again: mhdiff fit --out {found.run}")
    return None


def _explanation(found: Sources) -> Document | None:
    folder, remedy = found.run / "explanations", f"mhdiff explain {found.run}"
    if fitted := found.facts.get("estimator"):
        name = fitted.get("class", "an estimator")
        reason = f"{name} keeps its predictions and no model whose inputs could be attributed"
        found.lacks(PATIENT, reason, "mhdiff fit with a network, then mhdiff explain")
        return None
    if runs_of(found.facts):
        found.missing.append(of_each(found.facts, PATIENT, "mhdiff explain"))
        return None
    files = sorted(folder.glob("*.json"), key=lambda file: (len(file.stem), file.stem))
    if not files:
        found.lacks(PATIENT, f"there is none in {folder}", remedy)
        return None
    return _optional(found, PATIENT, files[0], remedy)


def _predictions(found: Sources, remedy: str) -> pl.DataFrame | None:
    path = found.run / "predictions.parquet"
    reason = f"there is no {path}"
    if path.is_file():
        try:
            return pl.read_parquet(path)
        except (OSError, pl.exceptions.PolarsError) as error:
            reason = f"{path} cannot be read ({error})"
    found.lacks(RELIABILITY, reason, remedy)
    return None


def _data(found: Sources) -> None:
    """Read the accounts of ontology, cohort and graph, if they are those that the run was trained on."""
    settings = (found.config or {}).get("data")
    settings = settings if isinstance(settings, dict) else {}
    trained = found.facts.get("fingerprints") or {}
    wanted = (
        ("ontology", TERMINOLOGY, "ontology.json", "mhdiff ontology build SOURCE --out DIR"),
        ("cohort", COHORT, "metadata/dataset.json", "mhdiff cohort import KIND SOURCE --out DIR"),
        ("graph", GRAPH, "graph.json", "mhdiff graph build --ontology DIR --cohort DIR --task T --out DIR"),
    )
    for name, part, marker, remedy in wanted:
        folder = settings.get(name)
        if not folder:
            found.lacks(part, f"the run's configuration names no folder (data.{name})", remedy)
            continue
        document = _optional(found, part, Path(folder) / marker, remedy)
        if document is None:
            continue
        for what, here in _fingerprints(name, document).items():
            if what in trained and here != trained[what]:
                reason = (
                    f"{folder} now holds or was made from another {what} ({str(here)[:12]}) than the run was "
                    f"trained on ({str(trained[what])[:12]})"
                )
                found.lacks(part, reason, "Put the old one back, or train again")
                break
        else:
            setattr(found, name, document)
            found.places[name] = Path(folder)
    if found.cohort is not None:  # only a cohort that an adapter wrote has this file
        imported, _ = read_json(found.places["cohort"] / "metadata" / "import_report.json")
        found.imported = imported if isinstance(imported, dict) else None


def _fingerprints(name: str, document: Document) -> Document:
    if name == "ontology":
        return {"ontology": document.get("fingerprint")}
    if name == "cohort":
        return {"cohort": (document.get("mhdiff") or {}).get("fingerprint")}
    return {what: (document.get(what) or {}).get("fingerprint") for what in ("ontology", "cohort")}
