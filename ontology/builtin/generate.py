"""From the tables to an RF2 snapshot of our own: the same tables give the same bytes.

Identifiers: concept item n; its descriptions n*100, n*100+1, ... (FSN, preferred term, synonyms) in
partition 11; its relationships n*100, n*100+1, ... (is-a first) in partition 12; so a new row changes no
identifier of an old one. Members of reference sets have version 5 UUIDs of their content. Real SCTIDs stand
only where the format itself needs them.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path

from ontology import sctid
from ontology.builtin.tables import NAMESPACE, Concept, Tables, tables
from ontology.errors import InputError
from ontology.files import atomic_directory

EFFECTIVE_TIME = "20260101"
MARKER = "release_package_information.json"

IS_A = 116680003
FSN = 900000000000003001
SYNONYM = 900000000000013009
PRIMITIVE = 900000000000074008
CASE_SENSITIVE = 900000000000017005
CASE_INSENSITIVE = 900000000000448009
INITIAL_INSENSITIVE = 900000000000020002
INFERRED = 900000000000011006
EXISTENTIAL = 900000000000451002
US_ENGLISH = 900000000000509007
PREFERRED = 900000000000548007
ACCEPTABLE = 900000000000549004
ICD10_MAP = 447562003
CORRELATION_UNSPECIFIED = 447561005
PROPERLY_CLASSIFIED = 447637006

_CORE = ("id", "effectiveTime", "active", "moduleId")
_MEMBER = (*_CORE, "refsetId", "referencedComponentId")
HEADERS = {
    "concept": (*_CORE, "definitionStatusId"),
    "description": (*_CORE, "conceptId", "languageCode", "typeId", "term", "caseSignificanceId"),
    "relationship": (
        *(*_CORE, "sourceId", "destinationId", "relationshipGroup", "typeId"),
        *("characteristicTypeId", "modifierId"),
    ),
    "language": (*_MEMBER, "acceptabilityId"),
    "icd10": (
        *(*_MEMBER, "mapGroup", "mapPriority", "mapRule", "mapAdvice", "mapTarget"),
        *("correlationId", "mapCategoryId"),
    ),
    "loinc": (*_MEMBER, "mapTarget"),
}
"""The columns of RF2, by file."""

_RELEASE = f"MHD{NAMESPACE}_{EFFECTIVE_TIME}.txt"
FILES = {
    "concept": f"Snapshot/Terminology/sct2_Concept_Snapshot_{_RELEASE}",
    "description": f"Snapshot/Terminology/sct2_Description_Snapshot-en_{_RELEASE}",
    "relationship": f"Snapshot/Terminology/sct2_Relationship_Snapshot_{_RELEASE}",
    "language": f"Snapshot/Refset/Language/der2_cRefset_LanguageSnapshot-en_{_RELEASE}",
    "icd10": f"Snapshot/Refset/Map/der2_iisssccRefset_ExtendedMapSnapshot_{_RELEASE}",
    "loinc": f"Snapshot/Refset/Map/der2_sRefset_SimpleMapSnapshot_{_RELEASE}",
}
"""Where each file of the release lies."""

PER_CONCEPT = 100  # descriptions, and relationships, that a concept can have

Cells = Sequence[object]


def write_rf2(out_dir: str | Path) -> Path:
    """Write the built-in terminology as an RF2 snapshot.

    Args:
        out_dir: The folder to make; a release of ours that is there already is replaced.

    Returns:
        The folder.

    Raises:
        InputError: If a table is wrong, or the folder holds something that is not ours.
    """
    release = release_rows(tables())
    with atomic_directory(out_dir, marker=MARKER) as folder:
        for name, rows in release.items():
            path = folder / FILES[name]
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = ["\t".join(str(cell) for cell in row) + "\r\n" for row in (HEADERS[name], *rows)]
            path.write_bytes("".join(lines).encode())
        about = {
            "title": "MH-Diff built-in terminology",
            "effectiveTime": EFFECTIVE_TIME,
            "namespace": NAMESPACE,
            "license": "Apache-2.0",
            "note": "Written from readable tables; holds no SNOMED CT content; not for clinical use.",
            "rows": {name: len(rows) for name, rows in release.items()},
        }
        (folder / MARKER).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    return Path(out_dir)


def release_rows(source: Tables) -> dict[str, list[Cells]]:
    """Give the rows of each file of the release, without headers.

    Args:
        source: The tables.
    """
    module = source.by_key["module"].sctid
    core = (EFFECTIVE_TIME, 1, module)
    ids = {concept.key: concept.sctid for concept in source.concepts}
    descriptions = [row for concept in source.concepts for row in _descriptions(concept, core)]
    return {
        "concept": [(concept.sctid, *core, PRIMITIVE) for concept in source.concepts],
        "description": descriptions,
        "relationship": [row for c in source.concepts for row in _relationships(c, source, ids, core)],
        "language": [
            _member(core, US_ENGLISH, row[0], ACCEPTABLE if _is_synonym(row) else PREFERRED)
            for row in descriptions
        ],
        "icd10": _icd10(source, ids, core),
        "loinc": [_member(core, ids["loinc_refset"], ids[key], code) for key, code in source.loinc],
    }


def case_significance(term: str) -> int:
    """Tell how the case of a term counts: not at all, not at its first letter, or throughout.

    Args:
        term: The term.
    """
    if term[1:] == term[1:].lower():
        return CASE_INSENSITIVE
    first = term.split()[0].split("-")[0]
    return CASE_SENSITIVE if first[1:] != first[1:].lower() else INITIAL_INSENSITIVE


def _identify(concept: Concept, number: int, partition: str) -> int:
    if number >= PER_CONCEPT:
        raise InputError(f"{concept.key!r} has more than {PER_CONCEPT} descriptions or relationships")
    return sctid.make_sctid(concept.item * PER_CONCEPT + number, NAMESPACE, partition)


def _descriptions(concept: Concept, core: Cells) -> Iterable[Cells]:
    for number, term in enumerate((concept.fsn, *concept.terms)):
        identifier = _identify(concept, number, sctid.DESCRIPTION)
        kind = SYNONYM if number else FSN
        yield (identifier, *core, concept.sctid, "en", kind, term, case_significance(term))


def _is_synonym(description: Cells) -> bool:
    """Tell whether a description is neither FSN nor preferred term: its number is 2 or more."""
    return int(str(description[0])[:-10]) % PER_CONCEPT >= 2


def _relationships(concept: Concept, source: Tables, ids: dict[str, int], core: Cells) -> Iterable[Cells]:
    ends = [(ids[parent], 0, IS_A) for parent in concept.parents]
    ends += [(ids[r.target], r.group, ids[r.attribute]) for r in source.attributes[concept.key]]
    for number, (target, group, kind) in enumerate(ends):
        identifier = _identify(concept, number, sctid.RELATIONSHIP)
        yield (identifier, *core, concept.sctid, target, group, kind, INFERRED, EXISTENTIAL)


def _icd10(source: Tables, ids: dict[str, int], core: Cells) -> list[Cells]:
    """Give the extended map; a concept's second code is a second map group, as dagger and asterisk are."""
    groups: dict[str, int] = {}
    rows = []
    for key, code in source.icd10:
        groups[key] = groups.get(key, 0) + 1
        target = (groups[key], 1, "TRUE", f"ALWAYS {code}", code)
        rows.append(_member(core, ICD10_MAP, ids[key], *target, CORRELATION_UNSPECIFIED, PROPERLY_CLASSIFIED))
    return rows


def _member(core: Cells, refset: object, component: object, *rest: object) -> Cells:
    name = "/".join(str(part) for part in (NAMESPACE, refset, component, *rest))
    return (uuid.uuid5(uuid.NAMESPACE_OID, name), *core, refset, component, *rest)
