"""What verbs said of patients whose every word, name, id and file name is a string of its own, and what of it leaks."""

from __future__ import annotations

import io
import logging
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

from marked_cohort import Marks

from mhdiff.cli import main

#: verb -> kinds of strings that it may show, and why.
MEANT = {
    "explain": ({"text", "name", "subject"}, "shows the words that spoke for one patient, who is asked for"),
    "explain-bias": ({"subject"}, "says whose bias it tells, who is asked for"),
    "graph view": ({"text", "name", "subject"}, "draws one patient, who is asked for"),
    "report after explain": ({"text", "name"}, "shows the patient whom somebody had explained before"),
    "cohort audit --cases": ({"subject"}, "the file that --cases asks for says whose records are meant"),
    "cohort validate --cases": ({"subject"}, "the file that --cases asks for says whose records are meant"),
}
#: Files that are a cohort's or a run's data and no report of them.
DATA = {".parquet", ".png", ".safetensors", ".ckpt", ".npz", ".pt"}


class Terminal(io.StringIO):
    """Progress bars are drawn."""

    def isatty(self) -> bool:
        return True


@dataclass
class Told:
    """What verbs said, by verb, and the exit codes."""

    marks: Marks
    said: dict[str, str] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)

    def run(self, verb: str, *arguments: object, code: int = 0, about: str = "") -> None:
        out, err, log = Terminal(), Terminal(), io.StringIO()
        handler = logging.StreamHandler(log)
        loggers = [
            logging.getLogger(n) for n in ("", "pytorch_lightning", "lightning.pytorch", "presidio-analyzer")
        ]
        for logger in loggers:
            logger.addHandler(handler)
        try:
            with redirect_stdout(out), redirect_stderr(err):
                got = main([*verb.split(), *map(str, arguments)])
        finally:
            for logger in loggers:
                logger.removeHandler(handler)
        name = f"{verb} {about}".strip()
        self.codes[name] = got
        self.said[name] = self.said.get(name, "") + out.getvalue() + err.getvalue() + log.getvalue()
        assert got == code, f"{name}: {err.getvalue()}"

    def wrote(self, verb: str, *places: Path) -> None:
        """Take what was written as said too."""
        for place in places:
            for file in [place] if place.is_file() else sorted(place.rglob("*")):
                if file.is_file() and file.suffix not in DATA:
                    self.said[verb] += f"\n{file.name}\n" + file.read_text(encoding="utf-8", errors="replace")

    def leaks(self, verb: str) -> list[str]:
        allowed = MEANT.get(verb, (set(), ""))[0]
        return [found for found in self.marks.found_in(self.said[verb]) if found.split()[0] not in allowed]
