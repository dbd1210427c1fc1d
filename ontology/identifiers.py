"""The identifiers that the RF2 format itself needs, and names for those that a release leaves out.

An extension or a small release often uses `is a` or an attribute as a relationship type without shipping that
concept; `NAMES` says what to call it then.
"""

from __future__ import annotations

import re

IS_A = 116680003

FSN = 900000000000003001
SYNONYM = 900000000000013009
DEFINITION = 900000000000550004
KINDS = {FSN: "fsn", SYNONYM: "synonym", DEFINITION: "definition"}

PREFERRED = 900000000000548007
ACCEPTABLE = 900000000000549004
US_ENGLISH = 900000000000509007
GB_ENGLISH = 900000000000508004

CASE_INSENSITIVE = 900000000000448009
CASE_SENSITIVE = 900000000000017005
CASE_INITIAL_INSENSITIVE = 900000000000020002
CASES = {CASE_INSENSITIVE: "ci", CASE_INITIAL_INSENSITIVE: "cI", CASE_SENSITIVE: "CS"}

FULLY_DEFINED = 900000000000073002

INFERRED = 900000000000011006
STATED = 900000000000010007
EXISTENTIAL = 900000000000451002
UNIVERSAL = 900000000000452009

PRIMITIVE = 900000000000074008
ROLE_GROUP = 609096000
CORE_MODULE = 900000000000207008
MODEL_MODULE = 900000000000012004
CONCEPT_INACTIVATION = 900000000000489007

# Historical associations: what became of an inactive concept.
SAME_AS = 900000000000527005
REPLACED_BY = 900000000000526001
POSSIBLY_EQUIVALENT_TO = 900000000000523009
POSSIBLY_REPLACED_BY = 1186921001
PARTIALLY_EQUIVALENT_TO = 1186924009
WAS_A = 900000000000528000
MOVED_TO = 900000000000524003
MOVED_FROM = 900000000000525002
ALTERNATIVE = 900000000000530003
REFERS_TO = 900000000000531004
SIMILAR_TO = 900000000000529008
ASSOCIATIONS = {
    SAME_AS: "same as",
    REPLACED_BY: "replaced by",
    POSSIBLY_EQUIVALENT_TO: "possibly equivalent to",
    POSSIBLY_REPLACED_BY: "possibly replaced by",
    PARTIALLY_EQUIVALENT_TO: "partially equivalent to",
    WAS_A: "was a",
    MOVED_TO: "moved to",
    MOVED_FROM: "moved from",
    ALTERNATIVE: "alternative",
    REFERS_TO: "refers to",
    SIMILAR_TO: "similar to",
}

# Why a concept was retired, for releases that leave these concepts out.
REASONS = {
    900000000000482003: "Duplicate component",
    900000000000483008: "Outdated component",
    900000000000484002: "Ambiguous component",
    900000000000485001: "Erroneous component",
    900000000000486000: "Limited component",
    900000000000487009: "Component moved elsewhere",
    900000000000492006: "Pending move",
    900000000000494007: "Inappropriate component",
    900000000000495008: "Concept non-current",
    723277005: "Nonconformance to editorial policy component",
    723278000: "Not semantically equivalent component",
    1186917008: "Classification derived component",
    1186919006: "Meaning of component unknown",
}

INTERPRETS = 363714003
HAS_INTERPRETATION = 363713009

# What a relationship type is called where the release has no row for it.
NAMES = {
    IS_A: "is a",
    INTERPRETS: "interprets",
    HAS_INTERPRETATION: "has interpretation",
    363698007: "finding site",
    116676008: "associated morphology",
    246075003: "causative agent",
    42752001: "due to",
    47429007: "associated with",
    255234002: "after",
    370135005: "pathological process",
    246454002: "occurrence",
    263502005: "clinical course",
    246112005: "severity",
    363705008: "has definitional manifestation",
    418775008: "finding method",
    246090004: "associated finding",
    408729009: "finding context",
    408731000: "temporal context",
    408732007: "subject relationship context",
    260686004: "method",
    405813007: "procedure site - direct",
    363704007: "procedure site",
    272741003: "laterality",
    127489000: "has active ingredient",
    411116001: "has manufactured dose form",
    246093002: "component",
    370130000: "property",
    704318007: "property type",
    704327008: "direct site",
    723594008: "is modified by",
    609096000: "role group",
}

# Map reference sets whose target code system is known from the identifier alone.
MAP_SYSTEMS = {
    447562003: "ICD-10",
    6011000124106: "ICD-10-CM",
    705114005: "LOINC",
    30051010000102: "LOINC",
}
UNSPECIFIED_CORRELATION = 447561005

# Language reference sets by the dialect that a person asks for.
DIALECTS = {
    "en-US": US_ENGLISH,
    "en-GB": GB_ENGLISH,
    "en-AU": 32570271000036106,
    "en-CA": 19491000087109,
    "fr-CA": 20581000087109,
    "sv-SE": 46011000052107,
    "da-DK": 554461000005103,
    "nl-NL": 31000146106,
}

# Otherwise the name of the reference set's own concept says it; the first pattern that fits.
_SYSTEM_WORDS = (
    (re.compile(r"\bLOINC\b", re.IGNORECASE), "LOINC"),
    (re.compile(r"\bICD-?10-?CM\b", re.IGNORECASE), "ICD-10-CM"),
    (re.compile(r"\bICD-?10\b(?!-)", re.IGNORECASE), "ICD-10"),
)

_SYNONYMS_OF_SYSTEMS = {
    "ICD10": "ICD-10",
    "ICD10WHO": "ICD-10",
    "ICD10CM": "ICD-10-CM",
    "LOINC": "LOINC",
    "LNC": "LOINC",
    "SNOMED": "SNOMED",
    "SNOMEDCT": "SNOMED",
    "SCT": "SNOMED",
    "SCTID": "SNOMED",
}


def system_of_refset(refset: int, name: str) -> str:
    """Name the code system that a map reference set points to.

    Args:
        refset: The reference set's SCTID.
        name: Its fully specified name, empty where it is unknown.

    Returns:
        "ICD-10", "ICD-10-CM", "LOINC" or "refset:<SCTID>".
    """
    if refset in MAP_SYSTEMS:
        return MAP_SYSTEMS[refset]
    return next((system for words, system in _SYSTEM_WORDS if words.search(name)), f"refset:{refset}")


def normalise_system(system: str) -> str:
    """Bring the spellings of a code system to one: ICD10, icd-10 and ICD_10 are ICD-10.

    Args:
        system: A code system as a cohort or a user writes it.
    """
    if system.startswith("refset:"):
        return system
    return _SYNONYMS_OF_SYSTEMS.get(re.sub(r"[^A-Z0-9]", "", system.upper()), system)


def normalise_code(code: str, system: str) -> str:
    """Bring the spellings of a code to one: upper case, without its system's prefix, and ICD codes without their dot.

    Args:
        code: The code as it is written: "J18.9", "j189", "ICD10:J18.9".
        system: A normalised code system.
    """
    text = code.strip().upper()
    prefix, colon, local = text.partition(":")
    if colon and normalise_system(prefix).upper() == system.upper():
        text = local
    return text.replace(".", "") if system.startswith("ICD-10") else text
