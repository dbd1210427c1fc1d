"""An ontology as RF2: a Snapshot of all of it, or a Delta of what it adds to and changes in another.

A Delta is the difference of two Snapshots, row by row: what is new or says something else is written as it is, and
what is no longer there is written with `active` 0. Components that have no SCTID get one of the namespace given, in the
order of their content; `identifiers.tsv` beside the files keeps them, and given back for the next release they stay.

Rows of a Delta that would otherwise claim to be the base's belong to a module of the extension's own: the one given,
or, where a namespace is given, a new one with a concept and a name. Its module dependency rows say which version of
each module of the base it was made for.

What RF2 has no place for is not hidden: maps that come from no reference set are in `maps.tsv`, and a non-exact synonym
is written as an acceptable synonym. Rows of descriptions, relationships and maps carry their concept's module, and
their effectiveTime is the one given or the concept's. An ontology does not keep the identifiers of members of language,
map and association reference sets: they are made of the content, so that a Delta can add such members to any base, and
withdraw those that this writer wrote.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from ontology.codes import FIRST
from ontology.disassemble import disassemble
from ontology.errors import InputError
from ontology.files import atomic_directory
from ontology.identifiers import CORE_MODULE, IS_A
from ontology.model import Ontology
from ontology.parts import Parts
from ontology.writers.rf2_identities import CONCEPT, DESCRIPTION, RELATIONSHIP, Minter, in_use, with_sctids
from ontology.writers.rf2_tables import CONCEPTS, MODULE_DEPENDENCY, Tables, members, tables_of

MARKER = "identifiers.tsv"
MODULES, DEPENDENCIES = 900000000000443000, 900000000000534007
_ROOT = 138875005
_NEW_MODULE = "the module of the extension"


def write(
    onto: Ontology,
    path: str | Path,
    *,
    base: Ontology | None = None,
    effective_time: int | str | None = None,
    module: int | None = None,
    namespace: int | None = None,
    identifiers: str | Path | None = None,
) -> Path:
    """Write an ontology as an RF2 folder, whole or not at all.

    Args:
        onto: The ontology.
        path: The folder; an older one that this function wrote is replaced.
        base: What the reader has already; then a Delta is written.
        effective_time: YYYYMMDD of every row of the Delta, and of the rows of a Snapshot whose concept has none.
        module: Module of the rows of a Delta, and of components of a Snapshot that have none; by default a new one
            of the namespace for a Delta, and the core module for a Snapshot.
        namespace: Seven digits from which components without an SCTID get theirs.
        identifiers: The `identifiers.tsv` of an earlier release, whose SCTIDs are used again.

    Returns:
        The folder.

    Raises:
        InputError: If an SCTID is needed and no namespace given, a text holds a tab or line end, or there is no date.
    """
    date = str(effective_time or onto.report.effective_time or "")
    if not (date.isascii() and date.isdecimal() and len(date) == 8):
        raise InputError(
            f"'{date}' is no effectiveTime" if date else "nothing says when these rows take effect",
            remedy="Give effective_time (--effective-time) as YYYYMMDD",
        )
    minter = Minter(namespace, identifiers)
    minter.pass_over(*(ids for one in (onto, base) if one is not None for ids in in_use(one)))
    if base is None:
        release = "Snapshot"
        tables = tables_of(with_sctids(disassemble(onto), onto, minter), int(date), module or CORE_MODULE)
    else:
        release = "Delta"
        tables = _delta(onto, base, int(date), module, minter, namespace)
    loose = _loose_maps(onto, minter)
    owner = "INT" if namespace is None else f"XX{namespace:07d}"
    with atomic_directory(path, marker=MARKER) as folder:
        for name, table in tables.items():
            file = folder / release / name.format(release=release, owner=owner, date=date)
            file.parent.mkdir(parents=True, exist_ok=True)
            _put(table, file, "\r\n")
        _put(minter.frame(), folder / MARKER)
        if loose.height:
            _put(loose, folder / "maps.tsv")
    return Path(path)


def _put(table: pl.DataFrame, file: Path, ending: str = "\n") -> None:
    _refuse_breaks(table, file)
    table.write_csv(file, separator="\t", quote_style="never", line_terminator=ending)


def _delta(
    onto: Ontology, base: Ontology, date: int, module: int | None, minter: Minter, namespace: int | None
) -> Tables:
    """Give the rows of a Delta: what is new or different, and what is gone with `active` 0."""
    before = tables_of(with_sctids(disassemble(base), base, minter), date, CORE_MODULE)
    parts = with_sctids(disassemble(onto), onto, minter)
    mine = module
    if module is None and namespace is not None:
        mine = minter(CONCEPT, _NEW_MODULE)
        parts = Parts.together([parts, _module_concept(onto, base, mine, minter)])
    delta = _difference(tables_of(parts, date, CORE_MODULE), before, date)
    if mine is None:
        return delta
    theirs = before[CONCEPTS]["moduleId"].unique().sort().to_list()
    belongs = pl.when(pl.col("moduleId").is_in([*theirs, CORE_MODULE])).then(mine).otherwise("moduleId")
    delta = {name: rows.with_columns(moduleId=belongs) for name, rows in delta.items()}
    known = delta.get(MODULE_DEPENDENCY)
    if known is None or mine not in known["moduleId"]:
        rows = _dependencies(base, [m for m in theirs if m != mine], mine, date)
        delta[MODULE_DEPENDENCY] = rows if known is None else pl.concat([known, rows.cast(known.schema)])  # type: ignore[arg-type]
    return delta


def _module_concept(onto: Ontology, base: Ontology, module: int, minter: Minter) -> Parts:
    """Give the concept of a new module: in the hierarchy of modules, or below the root, where the base has them."""
    above = next((sctid for sctid in (MODULES, _ROOT) if sctid in base), 0)
    names = {"fsn": f"{onto.name} module (core metadata concept)", "synonym": f"{onto.name} module"}
    ids = [minter(DESCRIPTION, f"{_NEW_MODULE}|{kind}") for kind in names]
    edge = minter(RELATIONSHIP, f"{_NEW_MODULE}|is a") if above else 0
    parts = Parts(
        concepts=pl.DataFrame({"sctid": [module]}),
        terms=pl.DataFrame({"sctid": module, "term": list(names.values()), "kind": list(names), "id": ids,
                            "preferred": True, "language": "en"}),
        relations=pl.DataFrame({"source": [module], "type": [IS_A], "target": [above], "id": [edge]}),
    )  # fmt: skip
    if not above:
        parts.relations = parts.relations.clear()
    if onto.dialects.height:  # else the preferred terms themselves become the language reference set
        refsets = onto.dialects["refset"].unique().sort()
        parts.dialects = pl.DataFrame({"refset": refsets}).join(
            pl.DataFrame({"id": ids, "preferred": True}), how="cross"
        )
    return parts


def _dependencies(base: Ontology, modules: list[int], mine: int, date: int) -> pl.DataFrame:
    """Say which version of each module of the base the extension's module needs."""
    versions: dict[int, str] = {}
    said = base.members.get("module dependency")
    if said is not None:
        newest = said.group_by("module").agg(pl.col("sourceEffectiveTime").max())
        versions = dict(newest.iter_rows())
    times = dict(base.details.group_by("module").agg(pl.col("effective_time").max()).iter_rows())
    rows = pl.DataFrame({"referencedComponentId": modules}, schema={"referencedComponentId": pl.Int64()})
    needed = [versions.get(m) or str(times.get(m) or base.report.effective_time or date) for m in modules]
    return members(
        rows.with_columns(
            effectiveTime=pl.lit(date), active=pl.lit(1), moduleId=pl.lit(mine, pl.Int64),
            refsetId=pl.lit(DEPENDENCIES), sourceEffectiveTime=pl.lit(str(date)),
            targetEffectiveTime=pl.Series(needed, dtype=pl.String),
        ),
        "sourceEffectiveTime", "targetEffectiveTime",
    )  # fmt: skip


def _loose_maps(onto: Ontology, minter: Minter) -> pl.DataFrame:
    maps = disassemble(onto).maps
    keys = dict(onto.codes.select("key", "code").iter_rows())
    loose = maps.filter(~pl.col("origin").str.contains(r"^(refset|identifier):[0-9]+$"))
    owners = [minter(CONCEPT, keys[k]) if k >= FIRST else k for k in loose["sctid"].to_list()]
    return loose.with_columns(pl.Series("sctid", np.array(owners, dtype=np.int64)))


def _difference(new: Tables, old: Tables, date: int) -> Tables:
    delta = {}
    for name in dict.fromkeys([*new, *old]):
        here = new.get(name, old.get(name, pl.DataFrame()).clear())
        before = old.get(name, here.clear()).select(here.columns).cast(dict(here.schema))  # type: ignore[arg-type]
        identity = here.columns[0]
        said = [column for column in here.columns if column != "effectiveTime"]
        changed = here.join(before.select(said), on=said, how="anti")
        gone = before.filter(pl.col("active") == 1).join(here.select(identity), on=identity, how="anti")
        rows = pl.concat([changed, gone.with_columns(pl.lit(0).cast(here.schema["active"]).alias("active"))])
        times = pl.lit(date).cast(here.schema["effectiveTime"])
        if rows.height or name.startswith(("Terminology/sct2_Concept", "Terminology/sct2_Relationship_")):
            delta[name] = rows.with_columns(effectiveTime=times).select(here.columns)
    return delta


def _refuse_breaks(table: pl.DataFrame, file: Path) -> None:
    for column, kind in table.schema.items():
        if kind != pl.String():
            continue
        broken = table.filter(pl.col(column).str.contains(r"[\t\r\n]"))
        if broken.height:
            row = broken.row(0, named=True)
            owner = row.get("conceptId") or row.get("referencedComponentId") or row.get("sctid")
            raise InputError(
                f"the text {row[column][:40]!r} of {owner} holds a tab or a line end, which RF2 cannot say",
                path=file.name,
                column=column,
                remedy="Change the text",
            )
