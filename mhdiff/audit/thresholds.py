"""At which figures the audit warns and fails, and what is accepted: configs/audit.yaml says why each is what it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from mhdiff.config import find
from ontology.errors import InputError

SHIPPED = "audit.yaml"


@dataclass(frozen=True)
class Thresholds:
    """The thresholds.

    Attributes:
        note_similarity: Jaccard index of two notes' word triples from which they are near-duplicates, 0 to 1.
        note_words: Shorter notes are not compared.
        image_distance: Share of two pictures' hash bits that differ, up to which they are near-duplicates, 0 to .5.
        image_relative: Or up to this share of what strangers differ in, 0 to 1.
        shortcut_fail: A shortcut fails if its AUROC is surely above this, 0.5 to 1.
        shortcut_warn: And warns if surely above this.
        feature_auroc: AUROC from which a single feature is near-perfect, either way round, 0.5 to 1.
        patients: A class, or a feature, of fewer patients is not judged; no word of fewer is ever shown.
        alpha: Chance of a false claim among all shortcuts, and among all single features.
        folds: Folds of the shortcuts' cross-validation.
        replicates: Resamples of patients for their intervals.
        seed: Seed of the folds and of the resamples.
        static: Prefixes of codes that are facts without a time, which may be known at any time.
        allowed_codes: Codes that name the label by their words and are allowed among the inputs all the same.
        accepted: Name of a finding -> why it is accepted; it is told, and does not fail.
    """

    note_similarity: float = 0.5
    note_words: int = 20
    image_distance: float = 0.12
    image_relative: float = 0.55
    shortcut_fail: float = 0.7
    shortcut_warn: float = 0.5
    feature_auroc: float = 0.95
    patients: int = 10
    alpha: float = 0.05
    folds: int = 5
    replicates: int = 2000
    seed: int = 0
    static: tuple[str, ...] = ("GENDER//", "RACE//", "ETHNICITY//", "Race/", "Ethnicity/", "SITE//")
    allowed_codes: tuple[str, ...] = ()
    accepted: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, path: str | Path | None = None) -> Thresholds:
        """Read thresholds; those that a file does not name are the shipped ones.

        Args:
            path: A YAML file; None for the shipped ones.

        Raises:
            InputError: If a key is unknown, or its value of the wrong kind or impossible.
        """
        shipped = _read(find(SHIPPED))
        own = {} if path is None else _read(find(path))
        return cls.from_dict({**shipped, **own}, None if path is None else Path(path))

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], path: Path | None = None) -> Thresholds:
        """Make thresholds of plain data.

        Args:
            content: Name -> value.
            path: The file, for messages.

        Raises:
            InputError: If a key is unknown, or its value of the wrong kind or impossible.
        """
        from mhdiff.audit.finding import NAMES

        known = {f.name: f.default for f in fields(cls)}
        values: dict[str, Any] = {}
        for name, value in content.items():
            if name not in known:
                raise InputError(
                    f"'{name}' is no threshold", path=path, remedy=f"Thresholds: {', '.join(known)}"
                )
            values[name] = _checked(name, value, path)
        if strange := sorted(set(values.get("accepted", {})) - set(NAMES)):
            raise InputError(
                f"'accepted' names the finding '{strange[0]}', which there is none of",
                path=path,
                remedy=f"Findings: {', '.join(NAMES)}",
            )
        return cls(**values)


_RANGES: dict[str, tuple[float, float]] = {
    "note_similarity": (0.05, 1.0), "note_words": (3, 10_000), "image_distance": (0.0, 0.5),
    "image_relative": (0.0, 1.0),
    "shortcut_fail": (0.5, 1.0), "shortcut_warn": (0.5, 1.0), "feature_auroc": (0.5, 1.0),
    "patients": (5, 1_000_000), "alpha": (1e-6, 0.5), "folds": (2, 100), "replicates": (200, 100_000),
    "seed": (0, 2**32 - 1),
}  # fmt: skip
_WHOLE = ("note_words", "patients", "folds", "replicates", "seed")


def _checked(name: str, value: Any, path: Path | None) -> Any:
    if name in _RANGES:
        low, high = _RANGES[name]
        kinds = (int,) if name in _WHOLE else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
            what = "a whole number" if name in _WHOLE else "a number"
            raise InputError(f"'{name}' must be {what} from {low:g} to {high:g}", path=path)
        return value
    if name == "accepted":
        if not isinstance(value, dict) or not all(isinstance(v, str) and v.strip() for v in value.values()):
            raise InputError("'accepted' must map names of findings to reasons", path=path)
        return {str(k): v for k, v in value.items()}
    if not isinstance(value, list) or not all(isinstance(v, str) and v for v in value):
        raise InputError(f"'{name}' must be a list of texts", path=path)
    return tuple(value)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        mark = getattr(error, "problem_mark", None)
        raise InputError(
            "the thresholds are not YAML", path=path, row=mark.line + 1 if mark else None
        ) from error
    if not isinstance(content, dict):
        raise InputError("the thresholds must be a mapping", path=path, remedy=f"See configs/{SHIPPED}")
    return content
