"""What the command line says, and where: results on stdout, everything else on stderr."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")
_PAUSE = 30.0  # seconds between two lines of progress where no terminal is


def say(message: str) -> None:
    """Write one line for the person who waits, to stderr.

    Args:
        message: The line.
    """
    sys.stderr.write(message + "\n")
    sys.stderr.flush()


def out(text: str) -> None:
    """Write a result to stdout.

    Args:
        text: The text, without its last newline.
    """
    sys.stdout.write(text + "\n")


def out_json(document: Any) -> None:
    """Write exactly one JSON document to stdout.

    Args:
        document: Anything made of dicts, lists, strings, numbers and None.
    """
    out(json.dumps(document, indent=2, ensure_ascii=False, sort_keys=False, default=str))


@contextmanager
def steps(description: str) -> Iterator[None]:
    """Show the steps of what `ontology` does inside the block, with a bar where it is known how much is left.

    The description is one line at the start; on a terminal a bar follows, which is gone at the end; elsewhere, as in
    the log of a cluster, a line every half a minute.

    Args:
        description: What is being done.
    """
    say(description)
    from ontology.progress import listening

    if not sys.stderr.isatty():
        told = time.monotonic()

        def tell(what: str, done: float | None) -> None:
            nonlocal told
            if time.monotonic() - told >= _PAUSE:
                told = time.monotonic()
                say(what if done is None else f"{what} ({done:.0%})")

        with listening(tell):
            yield
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def show(what: str, done: float | None) -> None:
            bar.update(task, description=what)
            if done is not None:
                bar.update(task, completed=done, total=1.0)

        with listening(show):
            yield


def progress(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Iterate and show a bar on stderr while it is a terminal; otherwise one line at the start.

    Args:
        items: What to iterate over.
        description: What is being done.
        total: How many items there are, where `items` has no length.
    """
    if not sys.stderr.isatty():
        say(description)
        yield from items
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(
        items, description=description, total=total, console=Console(stderr=True), transient=True
    )
