"""The tables of a report as files: one .csv, one .tex and one .md a table, and tables.json that says what they are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mhdiff.report.table import Table
from ontology.errors import InputError
from ontology.files import atomic_directory

INDEX = "tables.json"


def check_folder(folder: Path) -> None:
    """Refuse a folder that holds anything but the tables of an earlier report, since it will be replaced.

    Args:
        folder: Where tables are going to be written; need not be there.

    Raises:
        InputError: If it is a file, or holds something else.
    """
    remedy = "Give --tables a folder of its own"
    if folder.is_file():
        raise InputError("a file stands where the folder should go", path=folder, remedy=remedy)
    if not folder.is_dir():
        return
    listed: Any = []
    if (folder / INDEX).is_file():
        try:
            listed = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{INDEX} is no JSON ({error})", path=folder, remedy=remedy) from error
    rows = [row for row in listed if isinstance(row, dict)] if isinstance(listed, list) else []
    ours = {INDEX, *(str(name) for row in rows for name in row.get("files") or [])}
    if strange := sorted({file.name for file in folder.iterdir()} - ours):
        raise InputError(
            f"the folder holds {strange[0]}, which is no table of a report, so it is not replaced",
            path=folder,
            remedy=remedy,
        )


def write_tables(tables: Sequence[Table], folder: Path) -> Path:
    """Write tables into a folder, which appears whole or not at all.

    Args:
        tables: The tables.
        folder: The folder; an earlier one of tables is replaced.

    Returns:
        The folder.

    Raises:
        InputError: If it is a file, or holds something else.
    """
    check_folder(folder)
    with atomic_directory(folder) as work:
        index = []
        for table in tables:
            written = {"csv": table.csv(), "tex": table.latex(), "md": table.markdown()}
            files = {f"{table.id}.{form}": text for form, text in written.items()}
            for name, text in files.items():
                (work / name).write_text(text, encoding="utf-8", newline="")
            index.append({"id": table.id, "caption": table.caption, "files": list(files)})
        (work / INDEX).write_text(json.dumps(index, indent=1), encoding="utf-8")
    return folder
