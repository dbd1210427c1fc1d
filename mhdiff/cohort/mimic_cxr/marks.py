"""De-identification marks: where MIMIC took a name, a date or an age out, its texts have three underscores or more.

A mark says nothing but that something was there, so it is left out of every text, with the blanks around it and what
hangs on it alone: "___F with ___-year history" becomes "F with year history". Otherwise tokenisers would spend tokens
on underscores, and their number would tell reports apart that say the same.
"""

from __future__ import annotations

import re

_MARK = re.compile(r"_{2,}")
_AROUND = re.compile(r"(?:[ \t]*[-/#(\[]?_{2,}[-/)\]]?)+")
_BLANKS = re.compile(r"[ \t]{2,}")
_BEFORE_STOP = re.compile(r"[ \t]+([.,;:?!)])")


def without_marks(text: str) -> tuple[str, int]:
    """Give a text without marks, and how many it had.

    Args:
        text: A note, or a value.
    """
    n = len(_MARK.findall(text))
    if not n:
        return text, 0
    clean = _AROUND.sub(" ", text)
    clean = _BLANKS.sub(" ", _BEFORE_STOP.sub(r"\1", clean))
    return "\n".join(line.strip() for line in clean.split("\n")), n
