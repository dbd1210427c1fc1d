"""What is taken out of notes, as a task or a file of its own declares it.

    deidentify:
      kinds: [date, age, id, phone, mail, url, address, name]   # all, where not given
      names: names.txt          # a list of one's own, a name a line: patients, staff, towns' villages
      keep: keep.txt            # words that are never names here, a word a line
      presidio: analyzer.yaml   # Presidio's own YAML of an analyzer, with one's own model: extra `presidio`

`deidentify: {}` is all of ours. Files are looked for beside the YAML. A run keeps what was declared and the SHA-256
of the files, never a name of them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from mhdiff.cohort.deidentify.spans import KINDS
from ontology.errors import InputError
from ontology.files import sha256

FILES: Final = ("names", "keep", "presidio")
#: What the rules of this package find; raised when they find something else, so that an older run or graph is refused.
EDITION: Final = 1


@dataclass(frozen=True)
class Rules:
    """What is taken out.

    Attributes:
        kinds: Kinds of identifiers.
        names: The user's own list of names.
        keep: Words that are never names.
        presidio: Presidio's YAML of an analyzer.
    """

    kinds: tuple[str, ...] = KINDS
    names: Path | None = None
    keep: Path | None = None
    presidio: Path | None = None

    @classmethod
    def from_dict(cls, content: Any, path: Path | None = None) -> Rules:
        """Make rules of plain data.

        Args:
            content: The mapping under `deidentify`.
            path: The YAML file, for messages and to find files beside it.

        Raises:
            InputError: If a key is unknown or of the wrong kind, or a file is missing.
        """

        def fail(problem: str) -> InputError:
            return InputError(problem, path=path, remedy="See docs/deidentification.md")

        if not isinstance(content, dict):
            raise fail("'deidentify' must be a mapping; {} takes out all kinds")
        if unknown := [str(key) for key in content if key not in ("kinds", *FILES)]:
            raise fail(f"'deidentify' has the unknown key '{unknown[0]}'")
        kinds = content.get("kinds")
        if kinds is not None and (
            not isinstance(kinds, list) or not kinds or not set(map(str, kinds)) <= set(KINDS)
        ):
            raise fail(f"'deidentify.kinds' must list some of {', '.join(KINDS)}")
        files = {}
        for key in FILES:
            given = content.get(key)
            if given is None:
                continue
            if not isinstance(given, str):
                raise fail(f"'deidentify.{key}' must name a file")
            place = Path(given) if path is None else path.parent / given
            if not place.is_file():
                raise InputError(
                    f"there is no such file, which 'deidentify.{key}' names", path=place,
                    remedy="Lists of names do not travel with a model: put your own one there, perhaps an empty one",
                )  # fmt: skip
            files[key] = place
        chosen = KINDS if kinds is None else tuple(kind for kind in KINDS if kind in kinds)
        return cls(chosen, **files)

    @classmethod
    def load(cls, path: str | Path | None) -> Rules:
        """Read rules from a YAML file of their own; all kinds by our rules where none is given.

        Args:
            path: The file: the mapping, or one that has it under `deidentify`, as a task has.

        Raises:
            InputError: If it is no such file.
        """
        if path is None:
            return cls()
        file = Path(path)
        try:
            content = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise InputError("the rules are no readable YAML", path=file) from error
        if isinstance(content, dict) and "deidentify" in content:
            content = content["deidentify"]
        return cls.from_dict({} if content is None else content, file)

    def listed(self, which: str) -> Iterator[str]:
        """Give the lines of the file `names` or `keep`; empty ones and those that begin with # are left out.

        Args:
            which: "names" or "keep".

        Raises:
            InputError: If the file is not UTF-8.
        """
        file: Path | None = getattr(self, which)
        if file is None:
            return
        try:
            lines = file.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError):
            # without the cause, whose message quotes bytes of the file
            raise InputError(
                "the list is not readable as UTF-8", path=file, remedy="Save it as UTF-8"
            ) from None
        yield from (line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#"))

    def describe(self) -> dict[str, Any]:
        """Give what a run, a graph and a cohort keep of the rules: plain data, without a name and without a path."""
        files = {key: sha256(file) for key in FILES if (file := getattr(self, key)) is not None}
        return {"kinds": list(self.kinds), **files, "edition": EDITION}

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all that decides what is taken out."""
        return hashlib.sha256(json.dumps(self.describe(), sort_keys=True).encode()).hexdigest()
