"""The fake training, taking a second or two: so that something can die in the middle of it. It says where it runs."""

import os
import time
from pathlib import Path

from fake_training import fit_cell as quick
from fake_training import options


def fit_cell(config: Path, overrides: list[str], out: Path, patterns=()) -> None:
    given = options(overrides)
    with Path(given["places"]).open("a") as file:
        file.write(f"begin {os.environ.get('NODE', '')} {os.getpid()} {out.name}\n")
    time.sleep(2.0)
    quick(config, overrides, out, patterns)
    with Path(given["places"]).open("a") as file:
        file.write(f"end {os.environ.get('NODE', '')} {os.getpid()} {out.name}\n")
