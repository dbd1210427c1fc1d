"""The fake training, whose process dies: once, or whenever it is given some settings."""

import os
from pathlib import Path

from fake_training import fit_cell as quick
from fake_training import options


def fit_cell(config: Path, overrides: list[str], out: Path, patterns=()) -> None:
    given = options(overrides)
    deaths = Path(given["deaths"])
    times = len(deaths.read_text()) if deaths.exists() else 0
    if (
        given["strength"] == "1.0"
        and given["data.split"].startswith("nested:1")
        and times < int(given["times"])
    ):
        deaths.write_text("x" * (times + 1))
        os._exit(9)
    quick(config, overrides, out, patterns)
