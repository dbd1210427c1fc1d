"""A copy of a cohort whose texts are de-identified, for those who may not hold the original.

Texts of events are rewritten, file by file; images, labels, splits and groups are taken over. Tables of ours beside
them, such as the source's ids in metadata/subjects.parquet, are left behind. Subjects keep their numbers and times stay
as they are: shifting dates or numbering anew is the source's business.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Final

import polars as pl

from graph_builders.collect import FILE_CODES
from mhdiff.cohort import meds
from mhdiff.cohort.cohort import Cohort
from mhdiff.cohort.deidentify.deidentifier import Deidentification, Deidentifier
from mhdiff.cohort.deidentify.rules import Rules
from mhdiff.cohort.relabel import link
from ontology.errors import InputError
from ontology.files import atomic_directory
from ontology.progress import step

_CARRIED: Final = (meds.CODES_FILE, meds.SPLITS_FILE, meds.GROUPS_FILE, meds.REPORT_FILE)


def deidentify(cohort: Cohort, out: str | Path, rules: Rules) -> dict[str, Any]:
    """Write the copy.

    Args:
        cohort: The cohort.
        out: Folder of the cohort to make or to replace.
        rules: What is taken out.

    Returns:
        The rules, the number of texts, in how many something was replaced, and how much of which kind; also in the
        copy's metadata/dataset.json.

    Raises:
        InputError: If `out` and the cohort lie in one another, or the rules cannot be followed.
    """
    root, target = cohort.path.resolve(), Path(out).resolve()
    if root.is_relative_to(target) or target.is_relative_to(root):
        raise InputError("--out and the cohort lie in one another", path=out, remedy="Choose another --out")
    clean, told, texts = Deidentifier(rules), Deidentification(), 0
    with atomic_directory(out, marker=meds.MARKER) as folder:
        for name in ("images", "signals", "labels"):
            if (root / name).is_dir():
                shutil.copytree(root / name, folder / name, copy_function=link)
        for name in _CARRIED:
            if (root / name).is_file():
                (folder / name).parent.mkdir(exist_ok=True)
                link(str(root / name), str(folder / name))
        for number, file in enumerate(sorted((root / "data").rglob("*.parquet"))):
            step(f"reading file {number + 1} of the cohort's events")
            events = pl.read_parquet(file)
            texts += _rewrite(events, file, folder / file.relative_to(root), clean, told)
        report = {
            "rules": rules.describe(),
            "texts": texts,
            "texts_changed": told.notes,
            "replaced": dict(sorted(told.replaced.items(), key=lambda item: (-item[1], item[0]))),
        }
        ours = {**(cohort.metadata.get("mhdiff") or {"kind": cohort.kind}), "deidentified": report}
        ours["fingerprint"] = meds.fingerprint(folder)
        document = json.dumps({**cohort.metadata, "mhdiff": ours}, indent=2, ensure_ascii=False) + "\n"
        (folder / meds.MARKER).write_text(document, encoding="utf-8")
    return report


def _rewrite(
    events: pl.DataFrame, source: Path, target: Path, clean: Deidentifier, told: Deidentification
) -> int:
    """Write a file of events with clean texts, or link it where it has none to change; give the number of texts."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if "text_value" not in events.columns:
        link(str(source), str(target))
        return 0
    old = events.select(pl.col("code", "text_value").cast(pl.String)).rows()
    readable = [text is not None and not code.startswith(FILE_CODES) for code, text in old]
    new = [clean(text, told) if read else text for (_, text), read in zip(old, readable, strict=True)]
    if new == [text for _, text in old]:
        link(str(source), str(target))
    else:
        events.with_columns(pl.Series("text_value", new, dtype=pl.String)).write_parquet(target)
    return sum(readable)


def text(report: dict[str, Any]) -> str:
    """Give the counts for a person to read.

    Args:
        report: What `deidentify` gave.
    """
    replaced = ", ".join(f"{kind} {n}" for kind, n in report["replaced"].items()) or "nothing"
    return (
        f"{report['texts_changed']} of {report['texts']} texts changed; replaced: {replaced}\n"
        "What no rule knows is still there. How much that is: mhdiff cohort deidentify-check, on notes of yours "
        "that you have marked"
    )
