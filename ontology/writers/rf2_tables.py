"""The content of an ontology as the files of an RF2 release: {name: rows with the columns of the header}.

Names have the places `{release}`, `{owner}` and `{date}`, which the writer fills. The letters before `Refset` say what
the set's own columns hold, as the specification asks: c a component, i a whole number, s a text.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable

import polars as pl

from ontology.identifiers import (
    ACCEPTABLE,
    CASES,
    CONCEPT_INACTIVATION,
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
from ontology.parts import Parts
from ontology.rf2_files import COLUMNS, MEMBER
from ontology.rf2_refsets import OWL_AXIOMS
from ontology.sctid import is_valid
from ontology.tables import MEMBERS

_SPACE = uuid.UUID("6f0b0f0e-7d4c-5a53-9d5f-7a1f5f5f9e11")
_CASES = {short: sctid for sctid, short in CASES.items()}
_TYPES = {"fsn": FSN, "synonym": SYNONYM, "other": SYNONYM, "definition": DEFINITION}
CONCEPTS = "Terminology/sct2_Concept_{release}_{owner}_{date}.txt"
MODULE_DEPENDENCY = "Refset/Metadata/der2_ssRefset_ModuleDependency{release}_{owner}_{date}.txt"
_NAMES = {
    "association": "Refset/Content/der2_cRefset_Association",
    "attribute value": "Refset/Content/der2_cRefset_AttributeValue",
    "OWL expression": "Terminology/sct2_sRefset_OWLExpression",
    "reference set": "Refset/Content/der2_Refset_Simple",
    "module dependency": "Refset/Metadata/der2_ssRefset_ModuleDependency",
    "description type": "Refset/Metadata/der2_ciRefset_DescriptionType",
    "reference set descriptor": "Refset/Metadata/der2_cciRefset_RefsetDescriptor",
    "MRCM domain": "Refset/Metadata/der2_sssssssRefset_MRCMDomain",
    "MRCM attribute domain": "Refset/Metadata/der2_cissccRefset_MRCMAttributeDomain",
    "MRCM attribute range": "Refset/Metadata/der2_ssccRefset_MRCMAttributeRange",
    "MRCM module scope": "Refset/Metadata/der2_cRefset_MRCMModuleScope",
}
Tables = dict[str, pl.DataFrame]
_Owned = Callable[[pl.DataFrame, str], pl.DataFrame]


def tables_of(parts: Parts, date: int, module: int) -> Tables:
    """Give every file of a Snapshot.

    Args:
        parts: The content, in which everything has an SCTID.
        date: The effectiveTime of what has none.
        module: The module of what has none.
    """
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
        CONCEPTS: concepts.select(
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


def _descriptions(terms: pl.DataFrame) -> Tables:
    """Give a file for each language, as the specification asks, and text definitions apart."""
    rows = terms.sort("sctid", "id").select(
        "id", "effectiveTime", "active", "moduleId", "kind",
        conceptId="sctid",
        languageCode="language",
        typeId=pl.col("kind").cast(pl.String).replace_strict(_TYPES, return_dtype=pl.Int64),
        term="term",
        caseSignificanceId=pl.col("case_significance").cast(pl.String).replace_strict(_CASES, return_dtype=pl.Int64),
    )  # fmt: skip
    definition = pl.col("kind") == "definition"
    files = {}
    for name, of_kind in (
        ("Description", rows.filter(~definition)),
        ("TextDefinition", rows.filter(definition)),
    ):
        languages = of_kind["languageCode"].unique().sort().to_list()
        for language in languages or (["en"] if name == "Description" else []):
            here = of_kind.filter(pl.col("languageCode") == language).drop("kind")
            files[f"Terminology/sct2_{name}_{{release}}-{_tag(language)}_{{owner}}_{{date}}.txt"] = here
    return files


def _tag(language: str) -> str:
    return "".join(sign for sign in language if sign.isascii() and (sign.isalnum() or sign == "-")) or "en"


def _relationships(rows: pl.DataFrame, characteristic: int) -> pl.DataFrame:
    return rows.sort("source", "type", "target", "group").select(
        "id", "effectiveTime", "active", "moduleId",
        sourceId="source", destinationId="target", relationshipGroup="group", typeId="type",
        characteristicTypeId=pl.lit(characteristic), modifierId=pl.lit(EXISTENTIAL),
    )  # fmt: skip


def _identities(rows: pl.DataFrame, *own: str) -> pl.Series:
    """Make the identifiers of members of their content."""
    content = pl.concat_str(pl.col("refsetId", "referencedComponentId", *own).cast(pl.String), separator="|")
    texts = rows.select(content).to_series().to_list()
    return pl.Series("id", [str(uuid.uuid5(_SPACE, text)) for text in texts], dtype=pl.String)


def members(rows: pl.DataFrame, *own: str) -> pl.DataFrame:
    """Give rows the columns of a reference set.

    Args:
        rows: effectiveTime, active, moduleId, refsetId, referencedComponentId, and the set's own columns.
        own: The names of its own columns.
    """
    wanted = rows.select("effectiveTime", "active", "moduleId", "refsetId", "referencedComponentId", *own)
    return wanted.select(_identities(wanted, *own), pl.all())


def _refsets(parts: Parts, owned: _Owned, date: int, module: int) -> Tables:
    spoken = parts.terms.select("id", "sctid", "language").unique("id", keep="first", maintain_order=True)
    language = _acceptability(parts).join(spoken, on="id", how="left")
    rows = members(
        owned(language, "sctid").rename({"refset": "refsetId", "id": "referencedComponentId"}),
        "acceptabilityId",
    )
    spoken_of = language["language"].fill_null("en")
    files = {}
    for tongue in spoken_of.unique().sort().to_list() or ["en"]:
        name = f"Refset/Language/der2_cRefset_Language{{release}}-{_tag(tongue)}_{{owner}}_{{date}}.txt"
        files[name] = rows.filter(spoken_of == tongue)
    history = members(
        owned(parts.history, "source").rename(
            {"refset": "refsetId", "source": "referencedComponentId", "target": "targetComponentId"}
        ),
        "targetComponentId",
    )
    reasons = members(
        owned(parts.inactive.filter(pl.col("reason") != 0).select("sctid", valueId="reason"), "sctid")
        .rename({"sctid": "referencedComponentId"})
        .with_columns(refsetId=pl.lit(CONCEPT_INACTIVATION)),
        "valueId",
    )
    axioms = members(
        owned(parts.axioms, "sctid")
        .rename({"sctid": "referencedComponentId", "axiom": "owlExpression"})
        .with_columns(refsetId=pl.lit(OWL_AXIOMS)),
        "owlExpression",
    )
    kinds = [("association", history), ("attribute value", reasons), ("OWL expression", axioms)]
    kinds += [(kind, _generic(frame, date, module)) for kind, frame in parts.members.items()]
    for number, (kind, frame) in enumerate(kinds):
        if not frame.height:
            continue
        name = _file_of(kind, frame, number)
        files[name] = pl.concat([files[name].cast(frame.schema), frame]) if name in files else frame  # type: ignore[arg-type]
    return {**files, **_maps(parts, owned)}


def _generic(frame: pl.DataFrame, date: int, module: int) -> pl.DataFrame:
    """Give the members of a reference set of any kind; those without an identifier get one."""
    own = [column for column in frame.columns if column not in MEMBERS]
    rows = frame.rename({
        "effective_time": "effectiveTime", "module": "moduleId", "refset": "refsetId",
        "component": "referencedComponentId",
    }).with_columns(
        active=pl.lit(1),
        moduleId=pl.when(pl.col("moduleId") == 0).then(module).otherwise("moduleId"),
        effectiveTime=pl.when(pl.col("effectiveTime") == 0).then(date).otherwise("effectiveTime"),
    )  # fmt: skip
    given = pl.when(pl.col("id") == "").then(_identities(rows, *own)).otherwise("id").alias("id")
    return rows.with_columns(given).select(*MEMBER, *own)


def _file_of(kind: str, frame: pl.DataFrame, number: int) -> str:
    own = frame.columns[len(MEMBER) :]
    if kind in _NAMES or not own:
        return f"{_NAMES.get(kind, _NAMES['reference set'])}{{release}}_{{owner}}_{{date}}.txt"
    letters = "".join(_letter(frame[column]) for column in own)
    return f"Refset/Content/der2_{letters}Refset_Own{number}{{release}}_{{owner}}_{{date}}.txt"


def _letter(column: pl.Series) -> str:
    """Say what a column of a reference set of unknown kind holds."""
    said = column.cast(pl.String).unique().to_list()
    if all(is_valid(text) for text in said):
        return "c"
    return "i" if all(text.isascii() and text.isdecimal() for text in said) else "s"


def _acceptability(parts: Parts) -> pl.DataFrame:
    """Give the language reference set rows; preferred terms of an ontology without any become US English ones."""
    table = parts.dialects
    if table.is_empty() and parts.terms["preferred"].any():
        table = parts.terms.filter(pl.col("kind") != "other").select(
            pl.lit(US_ENGLISH).alias("refset"), "id", pl.col("preferred") | (pl.col("kind") == "fsn")
        )
    acceptability = pl.when("preferred").then(PREFERRED).otherwise(ACCEPTABLE)
    return table.select("refset", "id", acceptabilityId=acceptability).sort("refset", "id")


def _maps(parts: Parts, owned: _Owned) -> Tables:
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
        files["Refset/Map/der2_iisssccRefset_ExtendedMap{release}_{owner}_{date}.txt"] = members(
            complex_, *COLUMNS["extended map"][len(MEMBER) :], "mapCategoryId"
        )
    simple = in_refsets.filter(~pl.col("refsetId").is_in(extended.implode())).rename({"target": "mapTarget"})
    noted = simple["advice"].str.len_bytes().sum() > 0
    if simple.height:
        own = ("mapTarget", "mapTargetDescription") if noted else ("mapTarget",)
        name = f"Refset/Map/der2_{'s' * len(own)}Refset_SimpleMap{{release}}_{{owner}}_{{date}}.txt"
        files[name] = members(simple.with_columns(mapTargetDescription="advice"), *own)
    named = rows.filter(pl.col("scheme").is_not_null())
    if named.height:
        files["Terminology/sct2_Identifier_{release}_{owner}_{date}.txt"] = named.select(
            alternateIdentifier="target", effectiveTime="effectiveTime", active="active", moduleId="moduleId",
            identifierSchemeId="scheme", referencedComponentId="sctid",
        )  # fmt: skip
    return files
