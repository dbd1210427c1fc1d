"""A release of two dozen concepts whose counts can be checked by hand, as files that a test may spoil."""

from pathlib import Path

from ontology.sctid import make_sctid

NAMESPACE = 9999002
DATE = "20260101"
MODULE, DEFINED = 900000000000207008, 900000000000074008
FSN, SYNONYM = 900000000000003001, 900000000000013009
CI, CS = 900000000000448009, 900000000000017005
US, PREFERRED, ACCEPTABLE = 900000000000509007, 900000000000548007, 900000000000549004
IS_A, SITE, AGENT = 116680003, 363698007, 246075003
INTERPRETS, HAS_INTERPRETATION = 363714003, 363713009
INFERRED, SOME = 900000000000011006, 900000000000451002

# key: FSN | preferred term | synonyms...; the attribute "causative agent" has no concept on purpose
CONCEPTS = {
    "root": "Tiny terminology (root) | Tiny terminology",
    "finding": "Finding (finding) | Finding",
    "disease": "Disease (disorder) | Disease",
    "pneumonia": "Pneumonia (disorder) | Pneumonia | Lung infection",
    "bacterial": "Bacterial pneumonia (disorder) | Bacterial pneumonia | Pneumonia, bacterial",
    "viral": 'Viral pneumonia (disorder) | Viral pneumonia | "Walking pneumonia',
    "infection": "Infection (disorder) | Infection",
    "cap": "Community acquired pneumonia (disorder) | Community-acquired pneumonia | CAP",
    "covid": "COVID-19 (disorder) | COVID-19",
    "asthma": "Asthma (disorder) | Asthma",
    "alzheimer": "Alzheimer's disease (disorder) | Alzheimer's disease",
    "tuberculosis": "Tuberculosis (disorder) | Tuberculosis | TB",
    "fever": "Fever (finding) | Fever | Pyrexia",
    "cough": "Cough (finding) | Cough",
    "opacity": "Ground-glass opacity (finding) | Ground-glass opacity",
    "edema_a": "Edema of lung (finding) | Edema of lung | Edema",
    "edema_b": "Edema of skin (finding) | Edema of skin | Edema",
    "leukocytosis": "Leukocytosis (finding) | Leukocytosis",
    "wbc": "White blood cell count (observable entity) | White blood cell count | WBC",
    "above": "Above reference range (qualifier value) | Above reference range",
    "lung": "Lung structure (body structure) | Lung structure | Lung",
    "bacterium": "Bacterium (organism) | Bacterium",
    "site": "Finding site (attribute) | Finding site",
    "loinc": "LOINC simple map (foundation metadata concept) | LOINC simple map",
}
IDS = {key: make_sctid(i, NAMESPACE, "10") for i, key in enumerate(CONCEPTS, start=1)} | {"site": SITE}
PARENTS = {
    "finding": "root", "disease": "finding", "pneumonia": "disease", "bacterial": "pneumonia infection",
    "viral": "pneumonia infection", "infection": "disease", "cap": "pneumonia", "covid": "viral",
    "asthma": "disease", "alzheimer": "disease", "tuberculosis": "infection", "fever": "finding",
    "cough": "finding", "opacity": "finding", "edema_a": "finding", "edema_b": "finding",
    "leukocytosis": "finding", "wbc": "root", "above": "root", "lung": "root", "bacterium": "root",
    "site": "root", "loinc": "root",
}  # fmt: skip
ATTRIBUTES = [
    ("pneumonia", SITE, "lung", 1), ("bacterial", AGENT, "bacterium", 2), ("bacterial", SITE, "lung", 1),
    ("leukocytosis", INTERPRETS, "wbc", 1), ("leukocytosis", HAS_INTERPRETATION, "above", 1),
]  # fmt: skip
ICD10 = [
    ("J18.9", "pneumonia"), ("J15.9", "bacterial"), ("J12.9", "viral"), ("U07.1", "covid"),
    ("J99", "viral"), ("J99", "bacterial"),
]  # fmt: skip

CONCEPT = f"Snapshot/Terminology/sct2_Concept_Snapshot_TINY_{DATE}.txt"
DESCRIPTION = f"Snapshot/Terminology/sct2_Description_Snapshot-en_TINY_{DATE}.txt"
RELATIONSHIP = f"Snapshot/Terminology/sct2_Relationship_Snapshot_TINY_{DATE}.txt"
LANGUAGE = f"Snapshot/Refset/Language/der2_cRefset_LanguageSnapshot-en_TINY_{DATE}.txt"
MAP = f"Snapshot/Refset/Map/der2_iisssccRefset_ExtendedMapSnapshot_TINY_{DATE}.txt"
SIMPLE_MAP = f"Snapshot/Refset/Map/der2_sRefset_SimpleMapSnapshot_TINY_{DATE}.txt"
_COMPONENT = "id effectiveTime active moduleId"
_MEMBER = f"{_COMPONENT} refsetId referencedComponentId"
HEADERS = {
    CONCEPT: f"{_COMPONENT} definitionStatusId",
    DESCRIPTION: f"{_COMPONENT} conceptId languageCode typeId term caseSignificanceId",
    RELATIONSHIP: f"{_COMPONENT} sourceId destinationId relationshipGroup typeId characteristicTypeId "
    "modifierId",
    LANGUAGE: f"{_MEMBER} acceptabilityId",
    MAP: f"{_MEMBER} mapGroup mapPriority mapRule mapAdvice mapTarget correlationId mapCategoryId",
    SIMPLE_MAP: f"{_MEMBER} mapTarget",
}


def tables():
    """Give {file name: rows}, the header first."""
    concepts = [[IDS[key], DATE, 1, MODULE, DEFINED] for key in CONCEPTS]
    descriptions, language, number = [], [], 0
    for key, text in CONCEPTS.items():
        for place, term in enumerate(text.split(" | ")):
            number += 1
            identity = make_sctid(number, NAMESPACE, "11")
            kind, case = SYNONYM if place else FSN, CS if term in ("CAP", "COVID-19", "TB") else CI
            descriptions.append([identity, DATE, 1, MODULE, IDS[key], "en", kind, term, case])
            accepted = PREFERRED if place < 2 else ACCEPTABLE
            language.append([f"l{number}", DATE, 1, MODULE, US, identity, accepted])
    edges = [
        (key, IS_A, parent, 0) for key, parents in PARENTS.items() for parent in parents.split()
    ] + ATTRIBUTES
    relationships = [
        [make_sctid(i, NAMESPACE, "12"), DATE, 1, MODULE, IDS[s], IDS[t], group, kind, INFERRED, SOME]
        for i, (s, kind, t, group) in enumerate(edges, start=1)
    ]
    maps = [
        [
            f"m{i}",
            DATE,
            1,
            MODULE,
            447562003,
            IDS[key],
            1,
            1,
            "TRUE",
            f"ALWAYS {code}",
            code,
            447561005,
            447637006,
        ]
        for i, (code, key) in enumerate(ICD10)
    ]
    simple = [["s1", DATE, 1, MODULE, IDS["loinc"], IDS["wbc"], "6690-2"]]
    rows = (concepts, descriptions, relationships, language, maps, simple)
    return {
        name: [header.split(), *table] for (name, header), table in zip(HEADERS.items(), rows, strict=True)
    }


def content(rows) -> bytes:
    """Give rows as the bytes of an RF2 file."""
    return "".join("\t".join(map(str, row)) + "\r\n" for row in rows).encode()


def write(folder, files=None) -> Path:
    """Write a release; `files` are tables as `tables()` gives them, or bytes."""
    for name, rows in (files or tables()).items():
        path = Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(rows if isinstance(rows, bytes) else content(rows))
    return Path(folder)
