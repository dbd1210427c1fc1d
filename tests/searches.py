"""How many examples a search of Hypothesis tries: a quarter in `make test`, all of them in `make slow`.

`make slow` sets MHDIFF_FUZZ and runs every test that Hypothesis has marked as one of its own beside those marked slow.
"""

from __future__ import annotations

import os

#: How many examples a search at length tries; MHDIFF_FUZZ=10000 when a reader was written anew.
LENGTH = int(os.environ.get("MHDIFF_FUZZ", "2000"))
FEWEST = 10


def examples(full: int) -> int:
    """Give `full` where MHDIFF_FUZZ is set, and a quarter of it, or FEWEST, elsewhere."""
    return full if "MHDIFF_FUZZ" in os.environ else min(full, max(FEWEST, full // 4))
