"""`mhdiff ontology validate`: every problem of a source, with its file, line and column."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mhdiff import console
from mhdiff.commands import Verb
from mhdiff.commands.ontology.common import BUILTIN
from ontology.errors import InputError

if TYPE_CHECKING:
    from ontology.validation import Findings, Problem

_LIMIT = 5


def _configure_validate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source", nargs="+", metavar="SOURCE",
        help="file or folder of any format, what build wrote, or the word builtin; of RF2 several, the edition first",
    )  # fmt: skip
    parser.add_argument("--format", metavar="NAME", help="rf2, owl, rdf, obo, omop ...; found out by default")
    parser.add_argument(
        "--limit", type=int, default=_LIMIT, metavar="N",
        help=f"print N problems of each kind at most; 0 prints all (default: {_LIMIT})",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one JSON document, with every problem")


def _validate(args: argparse.Namespace) -> None:
    from ontology.validation import validate

    if args.limit < 0:
        raise InputError(f"--limit {args.limit} is no number of problems", remedy="0 prints all")
    with _sources(args.source) as sources:
        findings = validate(sources, args.format, say=console.say)
        if args.json:
            console.out_json(findings.as_dict())
        else:
            for line in _lines(findings, args.limit):
                console.out(line)
    if findings.errors:
        raise InputError(f"{_count(findings.errors, 'error')} in {', '.join(args.source)}")


@contextmanager
def _sources(given: list[str]) -> Iterator[list[str]]:
    """Give the paths, the built-in terminology written to a folder for the while."""
    if BUILTIN not in given:
        yield given
        return
    from ontology.builtin import write_rf2

    with tempfile.TemporaryDirectory() as folder:
        yield [str(write_rf2(Path(folder) / BUILTIN)) if source == BUILTIN else source for source in given]


def _lines(findings: Findings, limit: int) -> Iterator[str]:
    from ontology.validation import KINDS

    counts = findings.counts()
    for kind, count in counts.items():
        known = KINDS[kind]
        yield f"{known.severity} {kind}: {known.what} ({count:,})"
        remedies = set()
        for problem in findings.problems(kind, limit or None):
            yield f"  {_line(problem, known.what)}"
            remedies.add(problem.remedy)
        if limit and count > limit:
            yield f"  ... and {count - limit:,} more; --limit 0 prints all"
        yield from (f"  remedy: {remedy}" for remedy in sorted(remedies) if remedy)
    if counts:
        yield ""
        width = max(map(len, counts))
        yield from (
            f"{KINDS[kind].severity:<8} {kind:<{width}} {count:>9,}" for kind, count in counts.items()
        )
    rows = sum(findings.rows.values())
    total = ", ".join(_count(number, severity) for severity, number in findings.severities().items())
    yield f"{total} in {rows:,} rows of {_count(len(findings.rows), 'file')} ({findings.format or 'unknown format'})"
    yield from (f"not checked: {reason}" for reason in findings.unchecked)
    yield from (f"not read: {entry['file']}: {entry['reason']}" for entry in findings.unread)


def _line(problem: Problem, what: str) -> str:
    place = [problem.file]
    place += [f"line {problem.line}"] if problem.line is not None else []
    place += [f"column '{problem.column}'"] if problem.column else []
    said = [problem.value] if problem.value else []
    said += [problem.message.removeprefix(what).removeprefix(": ")] if problem.message != what else []
    return ": ".join([", ".join(place), *said])


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


VERBS = {
    "validate": Verb(
        "every problem of a source with file, line and column; exit code 2 if there are errors",
        _configure_validate,
        _validate,
    )
}
