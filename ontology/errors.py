"""What is raised when the input, not the program, is wrong.

One class for the whole house: the command line turns an `InputError` into one message and exit code 2,
and anything else into exit code 1 (a defect of ours).
"""

from __future__ import annotations

from pathlib import Path


class InputError(Exception):
    """The input or the usage is wrong; the message names the place and the remedy.

    Args:
        problem: What is wrong, in one sentence without a full stop.
        path: The file or folder that is wrong.
        row: Line number in the file, counted from 1 (the header is line 1).
        column: Name of the column.
        remedy: What the user can do about it.
    """

    def __init__(
        self,
        problem: str,
        *,
        path: str | Path | None = None,
        row: int | None = None,
        column: str | None = None,
        remedy: str = "",
    ) -> None:
        self.problem, self.path, self.row, self.column, self.remedy = problem, path, row, column, remedy
        place = ", ".join(
            part
            for part in (
                str(path) if path is not None else "",
                f"line {row}" if row is not None else "",
                f"column '{column}'" if column is not None else "",
            )
            if part
        )
        message = f"{place}: {problem}" if place else problem
        super().__init__(f"{message}. {remedy}" if remedy else message)


class ConceptNotFound(InputError):
    """A concept identifier that the ontology does not hold."""


def panics() -> tuple[type[BaseException], ...]:
    """Give the classes of Rust's panics, which are no `Exception` and cannot be imported, for an `except` clause.

    Every library that is written in Rust has a class of its own, which appears with its first panic; so it is looked
    for when there is something to catch. `KeyboardInterrupt` and `SystemExit` are never among them.
    """
    return tuple(
        kind
        for kind in BaseException.__subclasses__()
        if (kind.__module__, kind.__name__) == ("pyo3_runtime", "PanicException")
    )
