"""Rows that say something of the same component: twice in a file, in several packages, in Snapshot, Full and Delta."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from ontology.rf2_files import RF2File
from ontology.validation.findings import FILE, LINE, Findings
from ontology.validation.package import Packages

_HASH = "_hash"
TIME = "effectiveTime"


def key_of(kind: str) -> list[str]:
    """Give the columns that tell components of a kind apart.

    Args:
        kind: A kind of file.
    """
    return ["identifierSchemeId", "alternateIdentifier"] if kind == "identifier" else ["id"]


def latest(
    kind: str, tables: Sequence[tuple[RF2File, pl.DataFrame]], packages: Packages, findings: Findings
) -> pl.DataFrame:
    """Give the latest row of each component, over all packages, and note rows that contradict one another.

    Args:
        kind: The kind of the files.
        tables: The files with their rows, in the packages' order.
        packages: The packages.
        findings: Where problems are noted.

    Returns:
        The rows of the files that are loaded, one a component, with `_package`.
    """
    key = key_of(kind)
    content = []
    for number in range(len(packages.chosen)):
        releases: dict[str, list[pl.DataFrame]] = {}
        for file, rows in tables:
            if file.package == number:
                identified = rows.drop_nulls(key).with_columns(pl.lit(number, pl.UInt16()).alias("_package"))
                releases.setdefault(file.release or packages.chosen[number], []).append(identified)
        whole = {release: _together(frames) for release, frames in releases.items()}
        for release, rows in whole.items():
            _again(rows, key if release in ("Snapshot", "") else [*key, TIME], key, findings)
        chosen = whole.get(packages.chosen[number])
        if len(whole) > 1:
            _compare(whole, key, findings)
        if chosen is not None:
            content.append(_newest(chosen, key))
    rows = _together(content)
    if len(content) > 1:
        _layers(rows, key, findings)
        rows = _newest(rows, key)
    return rows


def _together(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    if not frames:
        return pl.DataFrame()
    return frames[0] if len(frames) == 1 else pl.concat(frames, how="diagonal")


def _newest(rows: pl.DataFrame, key: list[str]) -> pl.DataFrame:
    """Keep the latest row of each component as the loader does: no effectiveTime is the latest, then the last row."""
    if not _repeated(rows, key):
        return rows
    return rows.sort(TIME, nulls_last=True, maintain_order=True).unique(key, keep="last", maintain_order=True)


def _repeated(rows: pl.DataFrame, key: list[str]) -> bool:
    return bool((rows[key[0]] if len(key) == 1 else rows.select(key)).n_unique() < rows.height)


def _content(rows: pl.DataFrame) -> pl.DataFrame:
    own = [column for column in rows.columns if not column.startswith("_")]
    return rows.with_columns(rows.select(own).hash_rows(seed=7).alias(_HASH))


def _again(rows: pl.DataFrame, once: list[str], key: list[str], findings: Findings) -> None:
    """Note components that occur again within one release of one package."""
    if not _repeated(rows, once):
        return
    some = _content(
        rows.filter(pl.struct(once).is_duplicated() if len(once) > 1 else pl.col(once[0]).is_duplicated())
    )
    first: dict[tuple[object, ...], tuple[str, set[int]]] = {}
    same: list[tuple[int, str]] = []
    other: list[tuple[int, str]] = []
    where = some.select(*once, _HASH, FILE, LINE).iter_rows()
    for place, (*identity, content, file, line) in enumerate(where):
        known = first.get(tuple(identity))
        if known is None:
            first[tuple(identity)] = (findings.place(file, line), {content})
            continue
        (same if content in known[1] else other).append((place, f"first in {known[0]}"))
        known[1].add(content)
    for kind, found in (("duplicate-row", same), ("duplicate-id", other)):
        if found:
            chosen = some[[place for place, _ in found]]
            detailed = chosen.with_columns(pl.Series("_detail", [detail for _, detail in found]))
            findings.add(kind, detailed, key[-1], detail="_detail")


def _layers(rows: pl.DataFrame, key: list[str], findings: Findings) -> None:
    """Note rows that an earlier package has with the same effectiveTime and another content."""
    if not _repeated(rows, key):
        return
    some = _content(rows.filter(pl.struct([*key, TIME]).is_duplicated()))
    over = [*key, TIME]
    differ = some.filter((pl.col(_HASH) != pl.col(_HASH).first().over(over)) & pl.col(TIME).is_not_null())
    findings.add("layers-differ", differ, key[-1])


def _compare(releases: dict[str, pl.DataFrame], key: list[str], findings: Findings) -> None:
    """Note where Snapshot, Full and Delta of one package contradict one another."""
    slim = {r: _content(rows).select(*key, TIME, _HASH, FILE, LINE) for r, rows in releases.items()}
    snapshot, full, delta = (slim.get(release) for release in ("Snapshot", "Full", "Delta"))

    def differ(rows: pl.DataFrame, detail: str) -> None:
        findings.add("releases-differ", rows.with_columns(_detail=pl.lit(detail)), key[-1], detail="_detail")

    if snapshot is not None and full is not None:
        newest = _newest(full, key)
        differ(snapshot.join(newest, on=key, how="anti"), "the Full does not have it")
        differ(newest.join(snapshot, on=key, how="anti"), "the Snapshot does not have it")
        both = snapshot.join(newest.select(*key, _there=_HASH), on=key, how="inner")
        differ(both.filter(pl.col(_HASH) != pl.col("_there")), "the Full's latest row says something else")
    if delta is not None:
        if full is not None:
            differ(
                delta.join(full, on=[*key, _HASH], how="anti"), "the Full does not have this row of the Delta"
            )
        elif snapshot is not None:
            newest = _newest(delta, key)
            differ(
                newest.join(snapshot, on=[*key, _HASH], how="anti"),
                "the Snapshot does not have this row of the Delta",
            )
