import csv

import pytest

from ontology import InputError, Ontology, load, load_omop
from ontology.identifiers import IS_A, REPLACED_BY, SAME_AS

COLUMNS = (
    "concept_id", "concept_name", "domain_id", "vocabulary_id", "concept_class_id", "standard_concept", "concept_code",
    "valid_start_date", "valid_end_date", "invalid_reason",
)  # fmt: skip
CONCEPT = (
    "\t".join(COLUMNS)
    + """
1\tClinical finding\tC\tSNOMED\tx\tS\t404684003\t\t\t
2\tPneumonia "open\tC\tSNOMED\tx\tS\t233604007\t\t\t
3\tPneumonia, unspecified\tC\tICD10CM\tx\t\tJ18.9\t\t\t
4\tOld pneumonia\tC\tSNOMED\tx\t\t60363000\t\t\tU
5\tLung structure\tB\tSNOMED\tx\tS\t39607008\t\t\t
6\tSmoking status\tO\tPPI\tx\tS\tsmoke_1\t\t\t
"""
)
RELATIONSHIP = """concept_id_1\tconcept_id_2\trelationship_id\tvalid_start_date\tvalid_end_date\tinvalid_reason
2\t1\tIs a\t\t\t
1\t2\tSubsumes\t\t\t
3\t2\tMaps to\t\t\t
2\t3\tMapped from\t\t\t
2\t2\tMaps to\t\t\t
4\t2\tConcept replaced by\t\t\t
2\t5\tHas finding site\t\t\t
5\t2\tFinding site of\t\t\t
6\t1\tFollows\t\t\t
1\t6\tFollowed by\t\t\t
6\t2\tIs a\t\t\tD
2\t99\tIs a\t\t\t
"""


def write(folder, **tables):
    folder.mkdir(exist_ok=True)
    for name, text in tables.items():
        (folder / f"{name}.csv").write_text(text)
    return folder


def test_athena_tables_give_an_ontology(tmp_path):
    synonyms = "concept_id\tconcept_synonym_name\tlanguage_concept_id\n2\tLung infection\t4180186\n77\tx\t1\n"
    onto = load(
        write(tmp_path / "v", CONCEPT=CONCEPT, CONCEPT_RELATIONSHIP=RELATIONSHIP, CONCEPT_SYNONYM=synonyms)
    )
    assert onto.sctids[:3].tolist() == [39607008, 233604007, 404684003]
    assert onto.synonyms(233604007) == ['Pneumonia "open', "Lung infection"]
    assert onto.parents(233604007).tolist() == [404684003]
    named = {onto.relation_name(int(t)) for t in onto.relation_types}
    assert len(onto.relations) == 3
    assert {"is a", "finding site"} <= named
    assert onto.inactive["sctid"].to_list() == [60363000]
    assert onto.history.rows() == [(60363000, REPLACED_BY, 233604007)]
    (mapped,) = onto.map("J18.9", "ICD-10-CM")
    assert (mapped.sctid, mapped.predicate) == (233604007, "OMOP:Maps to")
    assert onto.concepts_of("6", "OMOP") == [int(onto.sctids[onto.index("PPI:smoke_1")])]
    assert onto.concepts_of("smoke_1", "PPI") == onto.concepts_of("6", "OMOP")  # a code of its own vocabulary
    assert onto.concepts_of("J18.9", "ICD10CM") == [233604007]  # where there is a map, the map speaks
    dropped = onto.report.dropped["relationship"]
    assert dropped == {
        "it is invalid": 1, "an end is not in CONCEPT": 1, "it maps a concept to itself": 1,
        "the same from the other end": 4,
    }  # fmt: skip
    assert onto.report.dropped["description"] == {"the concept is not in CONCEPT": 1}
    assert onto.normalise("J18.9", "ICD10CM").status == "active"  # it is a concept of its own here
    assert onto.normalise(60363000).targets[0].sctid == 233604007
    assert Ontology.open(onto.save(tmp_path / "o")).fingerprint == onto.fingerprint


def test_ancestors_stand_in_for_missing_is_a(tmp_path):
    ancestors = (
        "ancestor_concept_id\tdescendant_concept_id\tmin_levels_of_separation\tmax_levels_of_separation\n"
    )
    ancestors += "1\t2\t1\t1\n1\t1\t0\t0\n1\t5\t2\t2\n"
    rows = RELATIONSHIP.splitlines()
    folder = write(
        tmp_path / "v", CONCEPT=CONCEPT, CONCEPT_RELATIONSHIP=rows[0] + "\n", CONCEPT_ANCESTOR=ancestors
    )
    onto = load_omop(folder)
    assert onto.parents(233604007).tolist() == [404684003]
    assert onto.report.tolerated["is-a taken from CONCEPT_ANCESTOR, as no row says Is a"] == 1


def test_is_a_reaches_across_concepts_that_the_download_lacks(tmp_path):
    """Shards of a vocabulary keep the rows of concepts that they leave out: 7 -> 98 -> 99 -> 2 says that 7 is a 2."""
    concept = CONCEPT + "7\tViral pneumonia\tC\tSNOMED\tx\tS\t75570004\t\t\t\n"
    rows = (
        "7\t98\tIs a\t\t\t\n98\t99\tIs a\t\t\t\n99\t2\tIs a\t\t\t\n2\t99\tSubsumes\t\t\t\n98\t1\tIs a\t\t\t\n"
    )
    onto = load_omop(write(tmp_path / "v", CONCEPT=concept, CONCEPT_RELATIONSHIP=RELATIONSHIP + rows))
    assert onto.parents(75570004).tolist() == [233604007]  # and not 404684003 too, which is above it
    assert onto.report.tolerated["is-a across concepts that are not in CONCEPT"] == 1


def reachable_across_missing(rows, concepts, living, keys):
    """Give (child, parent) of living concepts that are linked by concepts that CONCEPT lacks, and by no others."""
    up = {}
    for row in rows:
        if row["relationship_id"] == "Is a":
            up.setdefault(row["concept_id_1"], set()).add(row["concept_id_2"])
        elif row["relationship_id"] == "Subsumes":
            up.setdefault(row["concept_id_2"], set()).add(row["concept_id_1"])
    pairs = set()
    for child in living:
        waiting, seen = [c for c in up.get(child, ()) if c not in concepts], set()
        while waiting:
            here = waiting.pop()
            if here in seen:
                continue
            seen.add(here)
            for parent in up.get(here, ()):
                if parent in living and parent != child:
                    pairs.add((keys[child], keys[parent]))
                elif parent not in concepts:
                    waiting.append(parent)
    return pairs


def implied(child, parent, pairs):
    """Say whether a longer way leads from the child to the parent."""
    up = {}
    for a, b in pairs:
        up.setdefault(a, set()).add(b)
    waiting, seen = [c for c in up[child] if c != parent], set()
    while waiting:
        here = waiting.pop()
        if here == parent:
            return True
        if here not in seen:
            seen.add(here)
            waiting += up.get(here, ())
    return False


def test_the_real_shard_agrees_with_its_rows(shared):
    folder = shared / "data/omop/synthea27nj"
    onto = load_omop(folder)
    with (folder / "CONCEPT.csv").open() as file:
        concepts = {row["concept_id"]: row for row in csv.DictReader(file)}
    active = [row for row in concepts.values() if row["invalid_reason"] in ("", "V")]
    assert len(onto) == len(active)
    assert onto.inactive.height == len(concepts) - len(active)
    keys = {}
    for identity, row in concepts.items():
        text = (
            row["concept_code"]
            if row["vocabulary_id"] == "SNOMED"
            else f"{row['vocabulary_id']}:{row['concept_code']}"
        )
        keys[identity] = text
    with (folder / "CONCEPT_RELATIONSHIP.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["invalid_reason"] in ("", "V")]
    inside = [row for row in rows if row["concept_id_1"] in concepts and row["concept_id_2"] in concepts]
    living = {row["concept_id"] for row in active}
    is_a = {(keys[r["concept_id_1"]], keys[r["concept_id_2"]]) for r in inside if r["relationship_id"] == "Is a"
            and {r["concept_id_1"], r["concept_id_2"]} <= living}  # fmt: skip
    relations = onto.relations
    found = {
        (onto.identifier(int(onto.sctids[s])), onto.identifier(int(onto.sctids[t])))
        for s, t, kind in zip(relations.source, relations.target, relations.type, strict=True)
        if onto.relation_types[kind] == IS_A
    }
    across = reachable_across_missing(rows, concepts, living, keys)
    assert found == {(a, b) for a, b in is_a | across if (a, b) in is_a or not implied(a, b, is_a | across)}
    assert is_a <= found
    assert (
        "75498004",
        "36971009",
    ) in found  # acute bacterial sinusitis is a sinusitis, by a concept left out
    same = {
        (keys[r["concept_id_1"]], keys[r["concept_id_2"]])
        for r in inside
        if r["relationship_id"] == "Concept same_as to"
    }
    history = onto.history.filter(refset=SAME_AS).select("source", "target").rows()
    assert {(onto.identifier(s), onto.identifier(t)) for s, t in history} == same
    assert (
        onto.report.rows["relationship"]["read"]
        == sum(1 for _ in (folder / "CONCEPT_RELATIONSHIP.csv").open()) - 1
    )


BAD = {
    "column": (
        CONCEPT.replace("concept_code", "code"),
        RELATIONSHIP,
        r"CONCEPT.csv, line 1, column 'concept_code'",
    ),
    "number": (CONCEPT.replace("\n3\t", "\nx3\t"), RELATIONSHIP, r"line 4, column 'concept_id'.*'x3'"),
    "twice": (
        CONCEPT + "7\tx\tC\tSNOMED\tx\tS\t39607008\t\t\t\n",
        RELATIONSHIP,
        "SNOMED 39607008 is there twice",
    ),
    "end": (
        CONCEPT,
        RELATIONSHIP + "a\t1\tIs a\t\t\t\n",
        r"RELATIONSHIP.csv, line 14, column 'concept_id_1'",
    ),
    "empty": ("", RELATIONSHIP, "cannot be read"),
    "circle": (CONCEPT, RELATIONSHIP + "1\t2\tIs a\t\t\t\n", "goes in circles"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_tables_are_refused(tmp_path, case):
    concept, relationship, message = BAD[case]
    folder = write(tmp_path / "v", CONCEPT=concept, CONCEPT_RELATIONSHIP=relationship)
    with pytest.raises(InputError, match=message):
        load_omop(folder)


def test_columns_that_differ_only_in_case_are_named(tmp_path):
    reverses = "relationship_id\treverse_relationship_id\tNote\tnote\nHas finding site\tFinding site of\t\t\n"
    folder = write(tmp_path / "v", CONCEPT=CONCEPT, CONCEPT_RELATIONSHIP=RELATIONSHIP, RELATIONSHIP=reverses)
    with pytest.raises(InputError, match="same name but for upper and lower case") as told:
        load(folder)
    assert (told.value.path.name, told.value.row, told.value.column) == ("RELATIONSHIP.csv", 1, "note")
