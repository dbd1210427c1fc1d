"""An ontology as RF2: a Snapshot of all of it, or a Delta of what it adds to and changes in another.

A Delta is the difference of two Snapshots, row by row: what is new or says something else is written as it is, and
what is no longer there is written with `active` 0. Components that have no SCTID get one of the namespace given, in the
order of their content; `identifiers.tsv` beside the files keeps them, and given back for the next release they stay.

What RF2 has no place for is not hidden: maps that come from no reference set are in `maps.tsv`, and a non-exact synonym
is written as an acceptable synonym. Rows of descriptions, relationships and maps carry their concept's module, and
their effectiveTime is the one given or the concept's.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import polars as pl

from ontology import codes as _codes
from ontology.disassemble import disassemble
from ontology.errors import InputError
from ontology.files import atomic_directory
from ontology.identifiers import (
    ACCEPTABLE,
    CASES,
    CONCEPT_INACTIVATION,
    CORE_MODULE,
    DEFINITION,
    EXISTENTIAL,
    FSN,
    FULLY_DEFINED,
    INFERRED,
    PREFERRED,
    PRIMITIVE,
    STATED,
    SYNONYM,
    UNSPECIFIED_CORRELATION,
    US_ENGLISH,
)
from ontology.model import Ontology
from ontology.parts import Parts
from ontology.rf2_files import COLUMNS, MEMBER
from ontology.rf2_refsets import OWL_AXIOMS
from ontology.sctid import make_sctid
from ontology.tables import MEMBERS

MARKER = "identifiers.tsv"
_SPACE = uuid.UUID("6f0b0f0e-7d4c-5a53-9d5f-7a1f5f5f9e11")
_CONCEPT, _DESCRIPTION, _RELATIONSHIP = "10", "11", "12"
_IDENTIFIERS = {"kind": pl.String(), "content": pl.String(), "sctid": pl.Int64()}
_CASES = {short: sctid for sctid, short in CASES.items()}
_TYPES = {"fsn": FSN, "synonym": SYNONYM, "other": SYNONYM, "definition": DEFINITION}


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
        module: Module of components that have none; the core module by default.
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
    minter = _Minter(namespace, _earlier(identifiers))
    tables = _tables(onto, int(date), module or CORE_MODULE, minter)
    release = "Snapshot"
    if base is not None:
        release = "Delta"
        tables = _difference(tables, _tables(base, int(date), module or CORE_MODULE, minter), date)
    loose = _loose_maps(onto, minter)
    owner = "INT" if namespace is None else f"XX{namespace:07d}"
    with atomic_directory(path, marker=MARKER) as folder:
        for name, table in tables.items():
            file = folder / release / name.format(release=release, owner=owner, date=date)
            file.parent.mkdir(parents=True, exist_ok=True)
            _refuse_breaks(table, file)
            table.write_csv(file, separator="\t", quote_style="never", line_terminator="\r\n")
        minter.frame().write_csv(folder / MARKER, separator="\t", quote_style="never")
        if loose.height:
            loose.write_csv(folder / "maps.tsv", separator="\t", quote_style="never")
    return Path(path)


class _Minter:
    """Gives SCTIDs of a namespace to contents that have none, and remembers which."""

    def __init__(self, namespace: int | None, earlier: pl.DataFrame) -> None:
        if namespace is not None and not 10**6 <= namespace < 10**7:
            raise InputError(
                f"{namespace} is no namespace", remedy="It has seven digits and begins with no zero"
            )
        self._namespace = namespace
        self._known = {(kind, content): sctid for kind, content, sctid in earlier.iter_rows()}
        self._next = {
            partition: 1
            + max((s // 10**10 for (k, _), s in self._known.items() if k == partition), default=0)
            for partition in (_CONCEPT, _DESCRIPTION, _RELATIONSHIP)
        }

    def __call__(self, partition: str, content: str) -> int:
        found = self._known.get((partition, content))
        if found is None:
            if self._namespace is None:
                raise InputError(
                    f"'{content}' has no SCTID",
                    remedy="Give the namespace that SNOMED International allocated to you (--namespace)",
                )
            found = make_sctid(self._next[partition], self._namespace, partition)
            self._next[partition] += 1
            self._known[partition, content] = found
        return found

    def frame(self) -> pl.DataFrame:
        rows = sorted((kind, content, sctid) for (kind, content), sctid in self._known.items())
        return pl.DataFrame(rows, schema=_IDENTIFIERS, orient="row")


def _earlier(path: str | Path | None) -> pl.DataFrame:
    if path is None:
        return pl.DataFrame(schema=_IDENTIFIERS)
    try:
        found = pl.read_csv(path, separator="\t", quote_char=None, schema=_IDENTIFIERS)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(
            f"the table of identifiers cannot be read ({error})",
            path=path,
            remedy="Give the one that was written",
        ) from error
    return found


def _tables(onto: Ontology, date: int, module: int, minter: _Minter) -> dict[str, pl.DataFrame]:
    """Give every file of a Snapshot as a frame with the columns of its header."""
    parts = _with_sctids(disassemble(onto), onto, minter)
    concepts = pl.concat([
        parts.concepts.select("sctid", "defined", "module", "effective_time", pl.lit(1).alias("active")),
        parts.inactive.select("sctid", "defined", "module", "effective_time", pl.lit(0).alias("active")),
    ]).with_columns(
        module=pl.when(pl.col("module") == 0).then(module).otherwise("module"),
        effective_time=pl.when(pl.col("effective_time") == 0).then(date).otherwise("effective_time"),
    ).sort("sctid")  # fmt: skip
    owner = concepts.select("sctid", moduleId="module", effectiveTime="effective_time")

    def owned(rows: pl.DataFrame, concept: str) -> pl.DataFrame:
        return rows.join(
            owner, left_on=concept, right_on="sctid", how="left", maintain_order="left"
        ).with_columns(
            pl.col("moduleId").fill_null(module), pl.col("effectiveTime").fill_null(date), active=pl.lit(1)
        )

    files = {
        "Terminology/sct2_Concept_{release}_{owner}_{date}.txt": concepts.select(
            id="sctid", effectiveTime="effective_time", active="active", moduleId="module",
            definitionStatusId=pl.when("defined").then(FULLY_DEFINED).otherwise(PRIMITIVE),
        ),
        **_descriptions(owned(parts.terms, "sctid")),
        "Terminology/sct2_Relationship_{release}_{owner}_{date}.txt": _relationships(
            owned(parts.relations, "source"), INFERRED
        ),
        **_refsets(parts, owned, date, module),
    }  # fmt: skip
    if parts.stated.height:
        files["Terminology/sct2_StatedRelationship_{release}_{owner}_{date}.txt"] = _relationships(
            owned(parts.stated, "source"), STATED
        )
    if parts.values.height:
        files["Terminology/sct2_RelationshipConcreteValues_{release}_{owner}_{date}.txt"] = _relationships(
            owned(parts.values, "source").rename({"value": "target"}), INFERRED
        ).rename({"destinationId": "value"})
    return files


def _with_sctids(parts: Parts, onto: Ontology, minter: _Minter) -> Parts:
    """Give an SCTID to every component that has none, in the order of their content."""
    keys = sorted((onto.identifier(key), key) for key in parts.codes["key"].to_list())
    used = set(parts.relations["type"].unique()) | set(onto.sctids.tolist()) | set(parts.inactive["sctid"])
    new = {key: minter(_CONCEPT, code) for code, key in keys if key in used}

    def known(column: str) -> pl.Expr:
        return pl.col(column).replace(new) if new else pl.col(column)

    parts = parts.copy()
    for name, columns in {
        "concepts": ("sctid",), "inactive": ("sctid",), "terms": ("sctid",), "maps": ("sctid",), "axioms": ("sctid",),
        "relations": ("source", "type", "target"), "stated": ("source", "type", "target"), "values": ("source", "type"),
        "history": ("source", "target"),
    }.items():  # fmt: skip
        setattr(parts, name, getattr(parts, name).with_columns(known(column) for column in columns))
    parts.members = {kind: frame.with_columns(known("component")) for kind, frame in parts.members.items()}
    nameless = (pl.col("id") == 0) & (pl.col("language") == "")
    parts.terms = parts.terms.with_columns(
        language=pl.when(nameless).then(pl.lit("en")).otherwise("language")
    )
    parts.terms = _numbered(parts.terms, ("sctid", "kind", "term", "language"), _DESCRIPTION, minter)
    parts.relations = _numbered(parts.relations, ("source", "type", "target", "group"), _RELATIONSHIP, minter)
    parts.stated = _numbered(parts.stated, ("source", "type", "target", "group"), _RELATIONSHIP, minter)
    parts.values = _numbered(parts.values, ("source", "type", "value", "group"), _RELATIONSHIP, minter)
    return parts


def _numbered(rows: pl.DataFrame, content: tuple[str, ...], partition: str, minter: _Minter) -> pl.DataFrame:
    if not (rows["id"] == 0).any():
        return rows
    lacking = rows.filter(pl.col("id") == 0).sort(*content)
    texts = (
        lacking.select(pl.concat_str(pl.col(*content).cast(pl.String), separator="|")).to_series().to_list()
    )
    numbered = lacking.with_columns(id=pl.Series([minter(partition, text) for text in texts], dtype=pl.Int64))
    return pl.concat([rows.filter(pl.col("id") != 0), numbered.select(rows.columns)])


def _descriptions(terms: pl.DataFrame) -> dict[str, pl.DataFrame]:
    rows = terms.sort("sctid", "id").select(
        "id", "effectiveTime", "active", "moduleId", "kind",
        conceptId="sctid",
        languageCode="language",
        typeId=pl.col("kind").cast(pl.String).replace_strict(_TYPES, return_dtype=pl.Int64),
        term="term",
        caseSignificanceId=pl.col("case_significance").cast(pl.String).replace_strict(_CASES, return_dtype=pl.Int64),
    )  # fmt: skip
    definition = pl.col("kind") == "definition"
    files = {
        "Terminology/sct2_Description_{release}-en_{owner}_{date}.txt": rows.filter(~definition).drop("kind")
    }
    if len(texts := rows.filter(definition).drop("kind")):
        files["Terminology/sct2_TextDefinition_{release}-en_{owner}_{date}.txt"] = texts
    return files


def _relationships(rows: pl.DataFrame, characteristic: int) -> pl.DataFrame:
    return rows.sort("source", "type", "target", "group").select(
        "id", "effectiveTime", "active", "moduleId",
        sourceId="source", destinationId="target", relationshipGroup="group", typeId="type",
        characteristicTypeId=pl.lit(characteristic), modifierId=pl.lit(EXISTENTIAL),
    )  # fmt: skip


def _members(rows: pl.DataFrame, *own: str) -> pl.DataFrame:
    """Give rows the columns of a reference set, with identifiers made of their content."""
    wanted = rows.select("effectiveTime", "active", "moduleId", "refsetId", "referencedComponentId", *own)
    content = pl.concat_str(pl.col("refsetId", "referencedComponentId", *own).cast(pl.String), separator="|")
    texts = wanted.select(content).to_series().to_list()
    identities = pl.Series("id", [str(uuid.uuid5(_SPACE, text)) for text in texts], dtype=pl.String)
    return wanted.select(identities, pl.all())


def _refsets(
    parts: Parts, owned: Callable[[pl.DataFrame, str], pl.DataFrame], date: int, module: int
) -> dict[str, pl.DataFrame]:
    language = _acceptability(parts).join(
        parts.terms.select("id", "sctid").unique("id", keep="first", maintain_order=True), on="id", how="left"
    )
    files = {
        "Refset/Language/der2_cRefset_Language{release}-en_{owner}_{date}.txt": _members(
            owned(language, "sctid").rename({"refset": "refsetId", "id": "referencedComponentId"}),
            "acceptabilityId",
        )
    }
    history = _members(
        owned(parts.history, "source").rename(
            {"refset": "refsetId", "source": "referencedComponentId", "target": "targetComponentId"}
        ),
        "targetComponentId",
    )
    reasons = _members(
        owned(parts.inactive.filter(pl.col("reason") != 0).select("sctid", valueId="reason"), "sctid")
        .rename({"sctid": "referencedComponentId"})
        .with_columns(refsetId=pl.lit(CONCEPT_INACTIVATION)),
        "valueId",
    )
    axioms = _members(
        owned(parts.axioms, "sctid")
        .rename({"sctid": "referencedComponentId", "axiom": "owlExpression"})
        .with_columns(refsetId=pl.lit(OWL_AXIOMS)),
        "owlExpression",
    )
    own = {"association": history, "attribute value": reasons, "OWL expression": axioms}
    for kind, frame in parts.members.items():
        renamed = frame.rename({
            "effective_time": "effectiveTime", "module": "moduleId", "refset": "refsetId",
            "component": "referencedComponentId",
        }).with_columns(
            active=pl.lit(1),
            moduleId=pl.when(pl.col("moduleId") == 0).then(module).otherwise("moduleId"),
            effectiveTime=pl.when(pl.col("effectiveTime") == 0).then(date).otherwise("effectiveTime"),
        )  # fmt: skip
        columns = [c for c in frame.columns if c not in MEMBERS]
        named = renamed.select(*MEMBER, *columns)
        own[kind] = pl.concat([own[kind].cast(named.schema), named]) if kind in own else named
    for number, (kind, frame) in enumerate(own.items()):
        if frame.height:
            files[_file_of(kind, frame.columns[len(MEMBER) :], number)] = frame
    return {**files, **_maps(parts, owned)}


_NAMES = {
    "association": "Refset/Content/der2_cRefset_Association",
    "attribute value": "Refset/Content/der2_cRefset_AttributeValue",
    "OWL expression": "Terminology/sct2_sRefset_OWLExpression",
    "reference set": "Refset/Content/der2_Refset_Simple",
    "module dependency": "Refset/Metadata/der2_ssRefset_ModuleDependency",
}


def _file_of(kind: str, own: list[str], number: int) -> str:
    letters = "".join("c" if column.endswith("Id") else "s" for column in own)
    name = (
        "".join(word.capitalize() for word in kind.split(" with ")[0].split())
        if kind in COLUMNS
        else f"Own{number}"
    )
    return (
        f"{_NAMES.get(kind, f'Refset/Content/der2_{letters}Refset_{name}')}{{release}}_{{owner}}_{{date}}.txt"
    )


def _acceptability(parts: Parts) -> pl.DataFrame:
    """Give the language reference set rows; preferred terms of an ontology without any become US English ones."""
    table = parts.dialects
    if table.is_empty() and parts.terms["preferred"].any():
        table = parts.terms.filter(pl.col("kind") != "other").select(
            pl.lit(US_ENGLISH).alias("refset"), "id", pl.col("preferred") | (pl.col("kind") == "fsn")
        )
    acceptability = pl.when("preferred").then(PREFERRED).otherwise(ACCEPTABLE)
    return table.select("refset", "id", acceptabilityId=acceptability).sort("refset", "id")


def _maps(parts: Parts, owned: Callable[[pl.DataFrame, str], pl.DataFrame]) -> dict[str, pl.DataFrame]:
    rows = owned(parts.maps, "sctid").with_columns(
        refsetId=pl.col("origin").str.extract(r"^refset:([0-9]+)$").cast(pl.Int64),
        scheme=pl.col("origin").str.extract(r"^identifier:([0-9]+)$").cast(pl.Int64),
        referencedComponentId="sctid",
    )
    files = {}
    in_refsets = rows.filter(pl.col("refsetId").is_not_null())
    extended = in_refsets.filter(
        (pl.col("category") != 0) | (pl.col("rule") != "TRUE") | (pl.col("group") != 1) | (pl.col("priority") != 1)
        | (pl.col("predicate") != "")
    )["refsetId"].unique()  # fmt: skip
    complex_ = in_refsets.filter(pl.col("refsetId").is_in(extended.implode())).select(
        "effectiveTime", "active", "moduleId", "refsetId", "referencedComponentId",
        mapGroup="group", mapPriority="priority", mapRule="rule", mapAdvice="advice", mapTarget="target",
        correlationId=pl.when(pl.col("predicate") == "")
        .then(pl.lit(str(UNSPECIFIED_CORRELATION)))
        .otherwise(pl.col("predicate").str.strip_prefix("sct:")),
        mapCategoryId=pl.when(pl.col("category") == 0).then(pl.lit("")).otherwise(pl.col("category").cast(pl.String)),
    )  # fmt: skip
    if complex_.height:
        files["Refset/Map/der2_iisssccRefset_ExtendedMap{release}_{owner}_{date}.txt"] = _members(
            complex_, *COLUMNS["extended map"][len(MEMBER) :], "mapCategoryId"
        )
    simple = in_refsets.filter(~pl.col("refsetId").is_in(extended.implode())).rename({"target": "mapTarget"})
    noted = simple["advice"].str.len_bytes().sum() > 0
    if simple.height:
        own = ("mapTarget", "mapTargetDescription") if noted else ("mapTarget",)
        name = f"Refset/Map/der2_{'s' * len(own)}Refset_SimpleMap{{release}}_{{owner}}_{{date}}.txt"
        files[name] = _members(simple.with_columns(mapTargetDescription="advice"), *own)
    named = rows.filter(pl.col("scheme").is_not_null())
    if named.height:
        files["Terminology/sct2_Identifier_{release}_{owner}_{date}.txt"] = named.select(
            alternateIdentifier="target", effectiveTime="effectiveTime", active="active", moduleId="moduleId",
            identifierSchemeId="scheme", referencedComponentId="sctid",
        )  # fmt: skip
    return files


def _loose_maps(onto: Ontology, minter: _Minter) -> pl.DataFrame:
    maps = disassemble(onto).maps
    keys = dict(onto.codes.select("key", "code").iter_rows())
    loose = maps.filter(~pl.col("origin").str.contains(r"^(refset|identifier):[0-9]+$"))
    return loose.with_columns(
        pl.Series("sctid", [minter(_CONCEPT, keys[k]) if k >= _codes.FIRST else k for k in loose["sctid"].to_list()],
                  dtype=pl.Int64)
    )  # fmt: skip


def _difference(
    new: dict[str, pl.DataFrame], old: dict[str, pl.DataFrame], date: str
) -> dict[str, pl.DataFrame]:
    """Give the rows of a Delta: what is new or different, and what is gone with `active` 0."""
    delta = {}
    for name in dict.fromkeys([*new, *old]):
        here = new.get(name, old.get(name, pl.DataFrame()).clear())
        before = old.get(name, here.clear()).select(here.columns).cast(dict(here.schema))  # type: ignore[arg-type]
        identity = here.columns[0]
        said = [column for column in here.columns if column != "effectiveTime"]
        changed = here.join(before.select(said), on=said, how="anti")
        gone = before.filter(pl.col("active") == 1).join(here.select(identity), on=identity, how="anti")
        rows = pl.concat([changed, gone.with_columns(pl.lit(0).cast(here.schema["active"]).alias("active"))])
        times = pl.lit(int(date)).cast(here.schema["effectiveTime"])
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
            raise InputError(
                f"the text {row[column][:40]!r} of {row.get('conceptId', row.get('referencedComponentId'))} "
                "holds a tab or a line end, which RF2 cannot say",
                path=file.name,
                column=column,
                remedy="Change the text",
            )
