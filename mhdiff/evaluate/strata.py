"""Into which groups samples are put: by sex, by age band, by both, by site; read from the predictions' own columns."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

BANDS = ((0, 17), (18, 39), (40, 64), (65, 79), (80, None))
FEWEST = 10  # patients; sites with fewer are told together
KINDS = ("sex", "age", "sex and age", "site")


def band_of(age: int | None) -> str | None:
    """Give the age band, such as "40 to 64"; None where the age is unknown.

    Args:
        age: In whole years.
    """
    if age is None or age < 0:
        return None
    low, high = next((low, high) for low, high in reversed(BANDS) if age >= low)
    return f"{low} and over" if high is None else f"{low} to {high}"


def strata(rows: pl.DataFrame) -> dict[str, list[str | None] | str]:
    """Give, by kind, the group of each sample, or why there is none.

    Args:
        rows: One row a sample, in the order in which its figures stand.
    """
    found: dict[str, list[str | None] | str] = {}
    for kind in ("sex", "age", "site"):
        if kind not in rows.columns:
            found[kind] = f"the predictions hold no column '{kind}': predict again with mhdiff predict"
        elif rows[kind].null_count() == rows.height:
            found[kind] = f"{kind} is not known of any of these samples"
        else:
            found[kind] = [band_of(v) if kind == "age" else v for v in rows[kind].to_list()]
    sex, age = found["sex"], found["age"]
    found["sex and age"] = (
        "; ".join(reason for reason in (sex, age) if isinstance(reason, str))
        if isinstance(sex, str) or isinstance(age, str)
        else [None if s is None or a is None else f"{s}, {a}" for s, a in zip(sex, age, strict=True)]
    )
    if not isinstance(found["site"], str):
        found["site"] = _pooled(found["site"], rows["subject_id"].to_list())
    return {kind: found[kind] for kind in KINDS}


def _pooled(groups: Sequence[str | None], subjects: Sequence[int]) -> list[str | None]:
    """Put groups of few patients together, where there is more than one such."""
    patients: dict[str, set[int]] = {}
    for group, subject in zip(groups, subjects, strict=True):
        if group is not None:
            patients.setdefault(group, set()).add(subject)
    small = {group for group, members in patients.items() if len(members) < FEWEST}
    if len(small) < 2:
        return list(groups)
    name = f"{len(small)} with fewer than {FEWEST} patients each"
    return [name if group in small else group for group in groups]
