"""The tiny release without any fault, and with the metadata concepts that let every reference be looked up."""

import uuid

import tiny_release
from tiny_release import (
    ACCEPTABLE,
    AGENT,
    CI,
    CONCEPT,
    DATE,
    DEFINED,
    DESCRIPTION,
    FSN,
    HAS_INTERPRETATION,
    IDS,
    INFERRED,
    INTERPRETS,
    IS_A,
    LANGUAGE,
    MODULE,
    NAMESPACE,
    PREFERRED,
    RELATIONSHIP,
    SOME,
    SYNONYM,
    US,
)

from ontology.sctid import make_sctid

MODEL_MODULE = 900000000000012004
OWL_REFSET, OWL_ONTOLOGY = 733073007, 762103008
REPLACED_BY, INACTIVATION, DEPENDENCY = 900000000000526001, 900000000000489007, 900000000000534007
SIMPLE, DUPLICATE, ROLE_GROUP = 723264001, 900000000000482003, 609096000
METADATA = (
    900000000000443000, 900000000000455006, 900000000000454005, 410662002, MODULE, MODEL_MODULE, US, IS_A, AGENT,
    INTERPRETS, HAS_INTERPRETATION, PREFERRED, ACCEPTABLE, 447562003, 447561005, 447637006, OWL_REFSET, OWL_ONTOLOGY,
    REPLACED_BY, INACTIVATION, DEPENDENCY, SIMPLE, DUPLICATE, ROLE_GROUP,
)  # fmt: skip
MEMBER = ["id", "effectiveTime", "active", "moduleId", "refsetId", "referencedComponentId"]
REFSET = "Snapshot/Refset/Content"
ASSOCIATION = f"{REFSET}/der2_cRefset_AssociationSnapshot_TINY_{DATE}.txt"
VALUE = f"{REFSET}/der2_cRefset_AttributeValueSnapshot_TINY_{DATE}.txt"
SIMPLE_REFSET = f"{REFSET}/der2_Refset_SimpleSnapshot_TINY_{DATE}.txt"
DEPENDENCIES = f"Snapshot/Refset/Metadata/der2_ssRefset_ModuleDependencySnapshot_TINY_{DATE}.txt"
DOMAIN = f"Snapshot/Refset/Metadata/der2_sssssssRefset_MRCMDomainSnapshot_TINY_{DATE}.txt"
OWL = f"Snapshot/Terminology/sct2_sRefset_OWLExpressionSnapshot_TINY_{DATE}.txt"
VALUES = f"Snapshot/Terminology/sct2_RelationshipConcreteValues_Snapshot_TINY_{DATE}.txt"
IDENTIFIER = f"Snapshot/Terminology/sct2_Identifier_Snapshot_TINY_{DATE}.txt"
_number = {"concept": 500, "description": 500, "relationship": 500}


def member(*row):
    """A row of a reference set: its own id, then what is given."""
    return [str(uuid.uuid5(uuid.NAMESPACE_OID, "|".join(map(str, row)))), DATE, 1, MODULE, *row]


def sctid(part):
    """An SCTID that no row has yet."""
    _number[part] += 1
    partition = {"concept": "10", "description": "11", "relationship": "12"}[part]
    return make_sctid(_number[part], NAMESPACE, partition)


def description(concept, kind=SYNONYM, term="Another term", language="en"):
    """A row of a description."""
    return [sctid("description"), DATE, 1, MODULE, concept, language, kind, term, CI]


def relationship(source, target, kind=IS_A, group=0):
    """A row of a relationship."""
    return [sctid("relationship"), DATE, 1, MODULE, source, target, group, kind, INFERRED, SOME]


def add_concept(files, concept, name):
    """Put a concept with its two terms and its parent, the root, into the tables."""
    files[CONCEPT].append([concept, DATE, 1, MODULE, DEFINED])
    for kind, term in ((FSN, f"{name} (metadata)"), (SYNONYM, name)):
        files[DESCRIPTION].append(description(concept, kind, term))
        files[LANGUAGE].append(member(US, files[DESCRIPTION][-1][0], PREFERRED))
    files[RELATIONSHIP].append(relationship(concept, IDS["root"]))


def files(*, metadata=True):
    """Give {file name: rows}, the header first; every kind of file is there."""
    tables = tiny_release.tables()
    for name, rows in tables.items():
        if "Refset" in name:
            tables[name] = [rows[0], *(member(*row[4:]) for row in rows[1:])]
    if not metadata:
        return tables
    for concept in METADATA:
        add_concept(tables, concept, f"Metadata {concept}")
    retired = [sctid("concept"), DATE, 0, MODULE, DEFINED]
    tables[CONCEPT].append(retired)
    tables[DESCRIPTION].append(description(retired[0], FSN, "Old cough (finding)"))
    fever, finding = IDS["fever"], IDS["finding"]
    tables[ASSOCIATION] = [[*MEMBER, "targetComponentId"], member(REPLACED_BY, retired[0], IDS["cough"])]
    tables[VALUE] = [[*MEMBER, "valueId"], member(INACTIVATION, retired[0], DUPLICATE)]
    tables[SIMPLE_REFSET] = [MEMBER, member(SIMPLE, IDS["lung"]), member(SIMPLE, IDS["wbc"])]
    tables[DEPENDENCIES] = [
        [*MEMBER, "sourceEffectiveTime", "targetEffectiveTime"], member(DEPENDENCY, MODEL_MODULE, DATE, DATE),
    ]  # fmt: skip
    texts = ["domainConstraint", "parentDomain", "a", "b", "c", "d", "e"]
    tables[DOMAIN] = [[*MEMBER, *texts], member(SIMPLE, IDS["finding"], *texts)]
    tables[OWL] = [
        [*MEMBER, "owlExpression"],
        member(OWL_REFSET, fever, f"SubClassOf(:{fever} :{finding})"),
        member(OWL_REFSET, IDS["bacterial"], f"EquivalentClasses(:{IDS['bacterial']} ObjectIntersectionOf("
               f":{IDS['pneumonia']} ObjectSomeValuesFrom(:{ROLE_GROUP} "
               f"ObjectSomeValuesFrom(:{AGENT} :{IDS['bacterium']}))))"),
        member(OWL_REFSET, AGENT, f"SubObjectPropertyOf(:{AGENT} :410662002)"),
        member(OWL_ONTOLOGY, IDS["root"], "Prefix(:=<http://snomed.info/id/>)"),
    ]  # fmt: skip
    header = tables[RELATIONSHIP][0]
    tables[VALUES] = [
        [*header[:5], "value", *header[6:]],
        [sctid("relationship"), DATE, 1, MODULE, fever, "#38.5", 0, INTERPRETS, INFERRED, SOME],
    ]
    tables[IDENTIFIER] = [
        ["alternateIdentifier", *MEMBER[1:4], "identifierSchemeId", "referencedComponentId"],
        ["8310-5", DATE, 1, MODULE, SIMPLE, fever],
    ]
    return tables
