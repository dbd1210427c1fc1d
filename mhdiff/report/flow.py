"""The data on their way: terminology, cohort, evidence, graph, model, evaluation, with what was lost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mhdiff.report.collect import COHORT, GRAPH, TERMINOLOGY, WINDOW, Sources
from mhdiff.report.documents import Document, Missing
from mhdiff.report.pooled import notes
from mhdiff.report.results import level
from mhdiff.report.text import METRICS, count, duration, listed, number, percent, plural, words

SPLITS = {"train": "to train", "tuning": "to tune", "held_out": "held out"}
OUTCOMES = {
    "evidence": "became evidence",
    "in_range": "normal: within the reference range",
    "no_mention": "no concept mentioned",
    "no_code": "carry no code: seen by the encoder alone",
    "unmapped": "with codes that the ontology does not map",
    "blinded": "blinded",
}
TIMES = "\N{MULTIPLICATION SIGN}"
MEASURED = {
    "converted": "brought to another unit",
    "respelled": "whose unit was written in another way",
    "kept_apart": "in a unit that does not convert, kept apart",
    "unit_unknown": "in a unit that nobody knows, kept apart",
    "unit_missing": "without a unit, kept apart",
    "range_left_out": "whose range was left out, in a unit that does not convert",
    "impossible": "that cannot be, left out",
}
MOST = 10  # entries of a long list that are named


LABS = {
    "unit_missing": "without a unit",
    "abnormal_without_a_finding": "abnormal, without a finding of their own",
}


@dataclass
class Step:
    """One step on the way.

    Args:
        title: What it is.
        facts: (count, what was counted).
        notes: What else the reader must know.
        lost: What was dropped, blinded or not used.
        missing: Parts that the report cannot show.
    """

    title: str
    facts: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)


def steps(found: Sources) -> list[Step]:
    """Describe every step.

    Args:
        found: What the report is made from.
    """
    return [
        _terminology(found),
        _cohort(found),
        _evidence(found),
        _graph(found),
        _model(found),
        _evaluation(found),
    ]


def _missing(found: Sources, *parts: str) -> list[Missing]:
    return [m for m in map(found.why, parts) if m is not None]


def _terminology(found: Sources) -> Step:
    step = Step("Terminology", missing=_missing(found, TERMINOLOGY))
    if (onto := found.ontology) is None:
        return step
    names = {"concepts": "concepts", "relations": "relations", "terms": "terms", "maps": "maps to codes"}
    step.facts = [(count(onto[key]), name) for key, name in names.items() if onto.get(key) is not None]
    report: Document = onto.get("report") or {}
    effective = f", effective {report['effective_time']}" if report.get("effective_time") else ""
    step.notes.append(f"{onto.get('name', 'unnamed')}{effective}")
    expected = set(report.get("expected") or [])
    for kind, reasons in (report.get("dropped") or {}).items():
        for reason, n in reasons.items():
            usual = " (as in any release)" if f"{kind}: {reason}" in expected else ""
            step.lost.append(f"{plural(n, f'{kind} row')} dropped: {reason}{usual}")
    tolerated = report.get("tolerated") or {}
    step.lost += [f"{count(n)} {TIMES} {what}, tolerated" for what, n in tolerated.items()]
    unread = report.get("files_not_read") or []
    if unread:
        files = _some([f"{f['file']} ({f['reason']})" for f in unread])
        step.lost.append(f"{plural(len(unread), 'file')} not read: {files}")
    if not step.lost:
        step.lost.append("nothing was dropped")
    return step


def _cohort(found: Sources) -> Step:
    step = Step("Cohort", missing=_missing(found, COHORT, WINDOW))
    state = found.preprocess or {}
    window = state.get("window") or ((found.graph or {}).get("coverage") or {}).get("window") or {}
    splits = state.get("splits") or {}
    if window.get("samples") is not None:
        step.facts.append((count(window["samples"]), "samples"))
    step.facts += [(count(splits[s]), name) for s, name in SPLITS.items() if s in splits]
    if found.cohort:
        ours = found.cohort.get("mhdiff") or {}
        step.notes.append(
            f"{found.cohort.get('dataset_name', 'unnamed')}, {words(ours.get('kind', 'unknown'))}"
        )
        drawn = ours.get("settings") or {}
        if "signal" in drawn:
            step.notes.append(
                f"drawn from a known model: {plural(drawn.get('patients', 0), 'patient')}, "
                f"seed {drawn.get('seed')}, strength of the ontology's signal {number(drawn['signal'], 2)}, "
                f"{drawn.get('missingness', 'unknown')} missingness"
            )
    with_modality = window.get("samples_with") or {}
    if with_modality:
        step.notes.append("samples with " + ", ".join(f"{m} {count(n)}" for m, n in with_modality.items()))
    for title in ("dropped", "changed"):
        for reason, entry in ((found.imported or {}).get(title) or {}).items():
            step.lost.append(f"{title} on import: {count(entry['count'])} {TIMES} {reason}")
    small = (found.imported or {}).get("small_classes") or []
    if small:
        step.notes.append("small classes: " + _some(small))
    left_out = window.get("left_out") or {}
    step.lost += [f"{plural(n, 'event')} left out: {why}" for why, n in left_out.items()]
    if removed := window.get("deidentified"):
        notes = plural(removed["notes"], "note")
        step.lost.append(f"identifiers replaced in {notes}: {_words(removed['replaced'])}")
    step.lost += _measured(window.get("measurements") or {})
    blinded = window.get("blinded") or {}
    if blinded.get("notes"):
        notes = plural(blinded["notes"], "note")
        step.lost.append(f"words that name the label blinded in {notes}: {_words(blinded['words'])}")
    elif window:
        step.lost.append("no word of a note named the label: nothing was blinded")
    return step


def _measured(found: Document) -> list[str]:
    """Say what was done to measurements before anything read them."""
    return [
        f"numbers {told}: " + _some([f"{what} {count(n)}" for what, n in found[key].items()])
        for key, told in MEASURED.items()
        if found.get(key)
    ]


def _words(counts: Document) -> str:
    from mhdiff.cohort.suppress import cell

    return _some([f"{word} {cell(n)}" for word, n in counts.items()])


def _some(items: list[str]) -> str:
    more = f" and {len(items) - MOST} more" if len(items) > MOST else ""
    return ", ".join(items[:MOST]) + more


def _evidence(found: Sources) -> Step:
    step = Step("Evidence", missing=_missing(found, GRAPH))
    coverage = (found.graph or {}).get("coverage") or {}
    if not coverage:
        return step
    step.facts = [
        (count(coverage["events"]), "events"),
        (count(coverage["evidence_rows"]), "rows of evidence"),
    ]
    for name, m in coverage["modalities"].items():
        share = f"{count(m['samples_with_evidence'])} of {plural(m['samples'], 'sample')}"
        step.notes.append(f"{name}: {share} have evidence, {plural(m['concepts'], 'concept')}")
        for key, n in m["outcomes"].items():
            if key != "evidence":
                step.lost.append(f"{name}: {plural(n, 'event')} {OUTCOMES.get(key, words(key))}")
        if m.get("top_unmapped"):
            step.lost.append(f"{name}, unmapped codes: " + _some([u["code"] for u in m["top_unmapped"]]))
    labs = coverage.get("labs") or {}
    for key, told in LABS.items():
        if labs.get(key):
            step.lost.append(f"labs {told}: " + _some([f"{c} {count(n)}" for c, n in labs[key].items()]))
    blinded = coverage.get("blinded") or {}
    if blinded.get("concepts"):
        dropped = f"; {plural(blinded['rows_dropped'], 'row')} of evidence dropped for it"
        step.lost.append(f"{plural(blinded['concepts'], 'concept')} that define the label blinded{dropped}")
    return step


def _graph(found: Sources) -> Step:
    step = Step("Graph", missing=_missing(found, GRAPH))
    if (graph := found.graph) is None:
        return step
    nodes, edges = graph["counts"]["nodes"], graph["counts"]["edges"]
    step.facts = [(count(n), f"{words(kind)} nodes") for kind, n in nodes.items() if kind != "modality"]
    step.facts.append((count(sum(edges.values())), "edges"))
    own = {k.split()[1]: n for k, n in edges.items() if k.split()[0] == k.split()[-1] == "concept"}
    ranked = sorted(own.items(), key=lambda item: -item[1])
    step.notes.append("relations: " + _some([f"{words(k)} {count(n)}" for k, n in ranked]))
    view = graph.get("view") or {}
    kept = "everything above" if view.get("kind") == "closure" else f"{view.get('hops')} hops around"
    step.notes.append(f"of the ontology: {kept} what was found")
    step.notes += [f"transformed: {t}" for t in graph.get("transforms") or []]
    if (limit := (((found.config or {}).get("data")) or {}).get("max_concepts")) is not None:
        cut = [m for m, t in (graph.get("tokens") or {}).items() if t["max"] > limit]
        if cut:
            step.lost.append(
                f"beyond the {limit} strongest concepts, evidence of {listed(cut)} is not read as tokens"
            )
    return step


def _class(settings: Any) -> str:
    """Name a part of the configuration: a class_path's last name, with that of its convolution."""
    path = settings.get("class_path") if isinstance(settings, dict) else settings
    name = str(path).rsplit(".", 1)[-1]
    options = settings.get("init_args") or {} if isinstance(settings, dict) else {}
    return f"{name} with {_class(options['conv'])}" if options.get("conv") else name


def _model(found: Sources) -> Step:
    facts, config = found.facts, found.config or {}
    model, data = config.get("model") or {}, config.get("data") or {}
    step = Step("Model")
    if facts.get("parameters") is not None:
        step.facts.append((count(facts["parameters"]), "parameters"))
    step.facts += [
        (count(len(facts.get("modalities") or [])), "modalities"),
        (count(len(found.metrics["classes"])), "classes"),
    ]
    names = ("guidance", "fusion", "prior", "masking")
    parts = [f"{name} {_class(model[name])}" for name in names if model.get(name)]
    if model.get("encoders"):
        step.notes.append("encoders: " + ", ".join(f"{m} {_class(e)}" for m, e in model["encoders"].items()))
    if parts:
        step.notes.append(", ".join(parts))
    if model.get("granularity"):
        step.notes.append(f"one token for each {model['granularity']}")
    if data.get("null") not in (None, "none"):
        null = f"{data['null']}, seed {data.get('null_seed')}"
        step.lost.append(f"a null graph in place of the real one ({null}): a control, no model to use")
    if facts.get("seconds") is not None:
        step.notes.append(f"trained in {duration(facts['seconds'])}")
    if not facts.get("finished", True):
        step.lost.append("training is not finished")
    for modality, reports in ((found.preprocess or {}).get("reports") or {}).items():
        fitted = [
            f"{k} {count(v)}" for k, v in (reports.get("fit") or {}).items() if isinstance(v, int) and v
        ]
        if fitted:
            step.notes.append(f"{modality} as fitted on training: {_some(fitted)}")
        told = [
            f"{k} {count(v)}" for k, v in (reports.get("train") or {}).items() if isinstance(v, int) and v
        ]
        if told:
            step.notes.append(f"{modality} as read for training: {_some(told)}")
    step.missing = [m for m in found.missing if m.part == "the configuration"]
    return step


def _evaluation(found: Sources) -> Step:
    metrics = found.metrics
    step = Step("Evaluation")
    step.facts = [
        (count(metrics["n_subjects"]), "held-out patients"),
        (count(metrics["n_samples"]), "samples"),
        (count(len(metrics["patterns"])), "patterns of modalities"),
    ]
    split = metrics.get("held_out")
    if split:
        step.notes.append("split: " + ("as stored with the cohort" if split == "stored" else str(split)))
    step.notes += notes(found.facts)
    if metrics.get("replicates"):
        step.notes.append(
            f"{level(metrics)} intervals: {count(metrics['replicates'])} resamples of patients, "
            f"seed {metrics.get('seed')}"
        )
    prevalence = metrics.get("prevalence") or {}
    if prevalence:
        step.notes.append(
            "classes: " + ", ".join(f"{words(c)} {percent(p, 1)}" for c, p in prevalence.items())
        )
    gone = {
        m for p in metrics["patterns"].values() for m, e in p["metrics"].items() if e.get("value") is None
    }
    undefined = [name for key, (name, _) in METRICS.items() if key in gone]
    if undefined:
        step.lost.append(f"undefined, and shown as such: {listed(undefined)}")
    ceiling = [p for p in metrics["patterns"].values() if p.get("ceiling")]
    if not ceiling:
        reason = next(
            (p["ceiling_reason"] for p in metrics["patterns"].values() if p.get("ceiling_reason")), ""
        )
        step.notes.append(f"no ceiling: {reason or 'no exact posterior is known'}")
    return step
