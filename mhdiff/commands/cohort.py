"""`mhdiff cohort`: patients in, as a MEDS dataset; who they are; whether everything is there."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from mhdiff import console
from mhdiff.commands import Verb, audit, deidentify, image_cache, where
from ontology.errors import InputError


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def _configure_import(parser: argparse.ArgumentParser) -> None:
    from mhdiff.cohort.adapters import KINDS

    parser.add_argument("kind", metavar="KIND", help=f"kind of the source: {', '.join(KINDS)}")
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="the source's folder, the manifest, or (omop) a database's SQLAlchemy URL",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write the cohort to")
    parser.add_argument(
        "--ranges",
        metavar="FILE",
        help="reference ranges for values that the source gives none (omop, eicu, uk-biobank): CSV",
    )
    parser.add_argument(
        "--loinc",
        metavar="FILE",
        help="LOINC codes of laboratory items (mimic-cxr): CSV with itemid, loinc_code",
    )
    parser.add_argument(
        "--split",
        choices=("ours", "official"),
        help="which split is stored (mimic-cxr); ours where not given",
    )
    parser.add_argument(
        "--volume", choices=("T1", "T1_brain"), help="which T1 image (uk-biobank); T1 where not given"
    )
    parser.add_argument(
        "--images",
        metavar="FILE",
        help="table of images to add: subject_id (meds) or person_id (omop), time, path, modality",
    )
    parser.add_argument(
        "--schema",
        metavar="NAMES",
        help="schemas of a database that hold the tables (omop), with commas between",
    )
    parser.add_argument("--columns", metavar="FILE", help="what the columns are (manifest): YAML")
    parser.add_argument(
        "--max-bad", default="1%", metavar="N|P%",
        help="stop if more broken rows are refused: a count, or per cent of the rows of a file (default: 1%%)",
    )  # fmt: skip
    where.configure_shards(parser, workers=True)
    _json(parser)


def _import(args: argparse.Namespace) -> None:
    from mhdiff.cohort.adapters import DATABASES, KINDS, OPTIONS, adapter
    from mhdiff.cohort.omop_sql import is_url, shown
    from mhdiff.cohort.refused import MaxBad

    max_bad = MaxBad.parse(args.max_bad)
    files = {name: getattr(args, name) for name in ("ranges", "columns", "images", "loinc")}
    words = {name: getattr(args, name) for name in ("split", "volume", "schema")}
    options: dict[str, Any] = {name: Path(value) for name, value in files.items() if value is not None}
    options |= {name: value for name, value in words.items() if value is not None}
    if (on := where.mapper(args)) is not None:
        options["on"] = on
    if args.workers is not None and args.kind in KINDS and "on" not in OPTIONS.get(args.kind, ()):
        raise InputError(f"the cohort adapter '{args.kind}' has no --workers", remedy="These have: omop")
    run = adapter(args.kind, options)
    database = is_url(args.source)
    if database and args.kind not in DATABASES:
        raise InputError(
            f"the cohort adapter '{args.kind}' reads no database", remedy=f"These do: {', '.join(DATABASES)}"
        )
    source = args.source if database else Path(args.source)
    with console.steps(f"reading {shown(args.source)}"):
        report = run(source, Path(args.out), max_bad=max_bad, **options)
    console.say(f"wrote {args.out}; this report is in metadata/import_report.json")
    if args.json:
        console.out_json(report.to_dict())
    else:
        console.out(report.text())


def _configure_join(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("cohorts", metavar="DIR", nargs="+", help="folders of two or more cohorts")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write the joined cohort to")
    _json(parser)


def _join(args: argparse.Namespace) -> None:
    from mhdiff.cohort.join import join

    report = join(args.cohorts, args.out)
    console.say(f"wrote {args.out}; this report is in metadata/import_report.json")
    if args.json:
        console.out_json(report.to_dict())
    else:
        console.out(report.text())


def _configure_label(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("cohort", metavar="DIR", help="the cohort's folder, which gets the labels")
    parser.add_argument("--task", required=True, metavar="NAME|FILE", help="a task with an outcome")
    parser.add_argument("--ontology", required=True, metavar="DIR", help="what `mhdiff ontology build` wrote")
    _json(parser)


def _label(args: argparse.Namespace) -> None:
    from mhdiff.cohort import Cohort, Task
    from mhdiff.cohort.relabel import relabel, text, told
    from ontology import Ontology

    task, ontology, cohort = Task.load(args.task), Ontology.open(args.ontology), Cohort.open(args.cohort)
    report = told(relabel(cohort, task, ontology))
    console.say(
        f"wrote labels/{task.labels}.parquet in {args.cohort}; graphs of the cohort must be built again"
    )
    if args.json:
        console.out_json(report)
    else:
        console.out(text(report))


def _configure_info(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("cohort", metavar="DIR", help="the cohort's folder")
    parser.add_argument("--task", metavar="NAME|FILE", help="describe the samples of this task too")
    parser.add_argument("--html", metavar="FILE", help="write it as a page")
    parser.add_argument(
        "--svg", metavar="FILE", help="draw which modalities the task's samples have together"
    )
    _json(parser)


def _info(args: argparse.Namespace) -> None:
    from mhdiff.cohort.cohort import Cohort
    from mhdiff.cohort.describe import describe, text
    from mhdiff.cohort.task import Task

    task = Task.load(args.task) if args.task else None
    if args.svg and task is None:
        raise InputError("--svg draws a task's modalities", remedy="Name the task: --task NAME")
    document = describe(Cohort.open(args.cohort), task)
    if args.html:
        from mhdiff.report.cohort_page import write_cohort

        write_cohort(document, Path(args.cohort), Path(args.html), args.task)
        console.say(f"wrote {args.html}")
    if args.svg:
        from mhdiff.report.upset import upset
        from ontology.files import atomic_write

        atomic_write(args.svg, upset(document["task"]["modality_patterns"], document["task"]["samples_with"]))
        console.say(f"wrote {args.svg}")
    if args.json:
        console.out_json(document)
    else:
        console.out(text(document))


def _configure_validate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("cohort", metavar="DIR", help="the cohort's folder")
    parser.add_argument(
        "--cases",
        metavar="FILE",
        help="write whose records are meant as CSV: it holds subject ids, keep it with the data",
    )
    _json(parser)


def _validate(args: argparse.Namespace) -> None:
    from collections import Counter

    import polars as pl

    from mhdiff.cohort.cohort import Cohort

    cohort = Cohort.open(args.cohort)
    found = cohort.validate()
    told = Counter((finding.check, finding.detail) for finding in found)
    if args.cases:
        from ontology.files import atomic_write

        rows = [(f.check, f.detail, s, f.file) for f in found for s in f.subjects]
        table = pl.DataFrame(rows, schema=["check", "detail", "subject_id", "file"], orient="row")
        atomic_write(args.cases, table.write_csv())
        console.say(f"wrote {args.cases}; it holds subject ids")
    if args.json:
        findings = [{"check": check, "detail": detail, "times": n} for (check, detail), n in told.items()]
        console.out_json({"valid": not found, "findings": findings})
    else:
        for (check, detail), n in told.items():
            console.out(f"{check}: {detail}" + (f" ({n} times)" if n > 1 else ""))
    if found:
        raise InputError(f"the cohort has {len(found)} faults, listed on stdout", path=args.cohort)
    if not args.json:
        console.out(f"{cohort.name}: no faults found")


_FRACTIONS = "one number for all modalities, or image=0.2,note=0.4"


def _configure_synthesize(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write the cohort to")
    parser.add_argument("--patients", type=int, metavar="N", help="number of patients")
    parser.add_argument("--seed", type=int, metavar="N", help="seed of everything that is drawn")
    parser.add_argument("--signal", type=float, metavar="S", help="ontology signal, 1 full, 0 none")
    parser.add_argument("--noise", metavar="P", help=f"noise per draw: {_FRACTIONS}")
    parser.add_argument(
        "--off-topic", metavar="P", help=f"probability that a modality is off-topic: {_FRACTIONS}"
    )
    parser.add_argument("--missingness", metavar="MECHANISM", help="MCAR, MAR or MNAR")
    parser.add_argument(
        "--missing-rate", metavar="P", help=f"probability that a modality is missing: {_FRACTIONS}"
    )
    parser.add_argument("--rare-prevalence", type=float, metavar="P", help="prevalence of each rare label")
    parser.add_argument("--sites", type=int, metavar="N", help="number of hospitals")
    parser.add_argument("--image-size", type=int, metavar="PIXELS", help="side of the square radiographs")


def _synthesize(args: argparse.Namespace) -> None:
    from mhdiff.cohort.synthetic import Settings, synthesize

    names = ("patients", "seed", "signal", "missingness", "rare_prevalence", "sites", "image_size")
    given = {name: getattr(args, name) for name in names}
    given |= {n: _fractions(n, getattr(args, n)) for n in ("noise", "off_topic", "missing_rate")}
    settings = Settings.from_dict({name: value for name, value in given.items() if value is not None})
    synthesize(Path(args.out), settings)
    console.say(f"wrote {args.out}")


def _fractions(name: str, value: str | None) -> float | dict[str, float] | None:
    """Read "0.2" or "image=0.2,note=0.4"."""
    if value is None:
        return None
    try:
        if "=" not in value:
            return float(value)
        return {part.split("=")[0].strip(): float(part.split("=")[1]) for part in value.split(",")}
    except (ValueError, IndexError) as error:
        option = f"--{name.replace('_', '-')}"
        raise InputError(f"{option} {value} is not understood", remedy=f"Give {_FRACTIONS}") from error


VERBS = {
    "import": Verb("write a cohort from a source of a known kind", _configure_import, _import),
    "join": Verb("cohorts of several hospitals as one", _configure_join, _join),
    "label": Verb("labels for a task with an outcome, from what happens later", _configure_label, _label),
    "info": Verb("who is in a cohort; cells under 5 are not shown", _configure_info, _info),
    "audit": audit.VERB,
    "deidentify": deidentify.VERB,
    "deidentify-check": deidentify.CHECK,
    "image-cache": image_cache.VERB,
    "validate": Verb("list every fault of a cohort's files and tables", _configure_validate, _validate),
    "synthesize": Verb("draw the known-answer cohort", _configure_synthesize, _synthesize),
}
