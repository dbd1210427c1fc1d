"""Refuses what is wrong in a task file, naming the file and the key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from ontology.errors import InputError


class Check:
    """Refuses what is wrong in a task file, naming the file.

    Args:
        path: The file; None where there is none.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path

    def fail(self, problem: str, remedy: str = "") -> NoReturn:
        """Refuse.

        Args:
            problem: What is wrong.
            remedy: What can be done about it.

        Raises:
            InputError: Always.
        """
        raise InputError(problem, path=self.path, remedy=remedy or "See configs/tasks for examples")

    @contextmanager
    def said(self, remedy: str) -> Iterator[None]:
        """Refuse with the file what a part of the task says is wrong with it.

        Args:
            remedy: Where that is explained.

        Raises:
            InputError: In the place of a ValueError.
        """
        try:
            yield
        except ValueError as error:
            self.fail(str(error), remedy)

    def keys(self, content: Any, what: str, required: tuple[str, ...], optional: tuple[str, ...]) -> None:
        """Refuse what is no mapping with these keys.

        Args:
            content: What stands there.
            what: What it is, for messages.
            required: Keys that must be there.
            optional: Keys that may be.

        Raises:
            InputError: If one is missing or unknown.
        """
        known = required + optional
        if not isinstance(content, dict):
            self.fail(f"{what} must be a mapping", f"Keys: {', '.join(known)}")
        if unknown := [str(key) for key in content if key not in known]:
            self.fail(f"{what} has the unknown key '{unknown[0]}'", f"Known keys: {', '.join(known)}")
        if missing := [key for key in required if key not in content]:
            self.fail(f"{what} has no key '{missing[0]}'", f"Known keys: {', '.join(known)}")

    def strings(self, value: Any, what: str) -> tuple[str, ...]:
        """Give a list of texts; numbers and truth values become the texts that they are written as.

        Args:
            value: What stands there.
            what: Its key, for messages.

        Raises:
            InputError: If it is no such list.
        """
        if not isinstance(value, list) or not all(isinstance(v, (str, int, bool)) for v in value):
            self.fail(f"'{what}' must be a list of texts")
        return tuple(("true" if v else "false") if isinstance(v, bool) else str(v) for v in value)
