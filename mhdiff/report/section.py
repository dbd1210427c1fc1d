"""One entry of a page's table of contents."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Section:
    """One entry of the table of contents.

    Args:
        id: Its anchor.
        title: Its heading.
    """

    id: str
    title: str
