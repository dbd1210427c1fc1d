import csv
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from ontology import builtin, sctid
from ontology.builtin import generate
from ontology.builtin.checks import normalised
from ontology.errors import ConceptNotFound, InputError

TABLES = builtin.tables()
HEADERS = {
    "concept": "id effectiveTime active moduleId definitionStatusId",
    "description": "id effectiveTime active moduleId conceptId languageCode typeId term caseSignificanceId",
    "relationship": "id effectiveTime active moduleId sourceId destinationId relationshipGroup typeId "
    "characteristicTypeId modifierId",
    "language": "id effectiveTime active moduleId refsetId referencedComponentId acceptabilityId",
    "icd10": "id effectiveTime active moduleId refsetId referencedComponentId mapGroup mapPriority mapRule "
    "mapAdvice mapTarget correlationId mapCategoryId",
    "loinc": "id effectiveTime active moduleId refsetId referencedComponentId mapTarget",
}
POOLS = {
    "image": (45, 49),
    "note": (60, 20),
    "labs": (28, 20),
    "codes": (150, 30),
}  # least: labelled, background
LABELS = {"no_pneumonia", "bacterial", "viral", "aspiration", "fungal"}


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    return builtin.write_rf2(tmp_path_factory.mktemp("release") / "rf2")


@pytest.fixture(scope="module")
def files(release):
    text = {name: (release / path).read_bytes().decode() for name, path in generate.FILES.items()}
    return {name: [line.split("\t") for line in whole.split("\r\n")[:-1]] for name, whole in text.items()}


def pools():
    table = resources.files("mhdiff.cohort.synthetic") / "pneumonia.tsv"
    rows = list(csv.DictReader(table.read_text().splitlines(), delimiter="\t"))
    assert list(rows[0]) == ["modality", "label", "anchor", "weight"]
    return rows


def ancestors(key):
    found = {key}
    for parent in TABLES.by_key[key].parents:
        found |= ancestors(parent)
    return found


def test_there_are_concepts_of_every_kind_and_with_several_parents():
    assert len(TABLES.concepts) >= 300
    tags = {concept.semantic_tag for concept in TABLES.concepts}
    assert tags >= {
        "disorder",
        "finding",
        "body structure",
        "morphologic abnormality",
        "organism",
        "substance",
    }
    assert tags >= {"observable entity", "procedure", "situation", "qualifier value", "attribute"}
    assert sum(len(concept.parents) > 1 for concept in TABLES.concepts) >= 100
    used = {relation.attribute for relation in TABLES.relations}
    assert used >= {"finding_site", "associated_morphology", "causative_agent", "due_to", "interprets"}
    assert all("root" in ancestors(concept.key) for concept in TABLES.concepts)


def test_a_term_names_one_concept():
    owner = {}
    for concept in TABLES.concepts:
        for term in (concept.fsn.rpartition(" (")[0], *concept.terms):
            assert owner.setdefault(normalised(term), concept.key) == concept.key
            assert len(term) > 2
            assert term == term.strip()


@pytest.mark.parametrize(("modality", "sizes"), POOLS.items())
def test_the_pneumonia_pools_are_large_enough_and_do_not_hold_the_answer(modality, sizes):
    rows = [row for row in pools() if row["modality"] == modality]
    assert {row["label"] for row in rows} == LABELS | {"*"}
    labelled = {key for row in rows if row["label"] != "*" for key in builtin.leaves(row["anchor"])}
    background = {key for row in rows if row["label"] == "*" for key in builtin.leaves(row["anchor"])}
    least_labelled, least_background = sizes
    assert len(labelled) >= least_labelled
    assert len(background) >= least_background or modality == "image"
    for label in LABELS:
        weights = [float(row["weight"]) for row in rows if row["label"] == label]
        assert sum(weights) == pytest.approx(1)
        assert min(weights) > 0
    for key in labelled | background:
        assert "pneumonia" not in ancestors(key)
        if modality == "note":
            words = {word for term in TABLES.by_key[key].terms for word in normalised(term).split()}
            assert not words & {"pneumonia", "bacterial", "viral", "fungal", "aspiration", "influenza"}
            assert not words & {"no", "not", "without", "denie", "negative", "family", "history", "possible"}
            assert len(TABLES.by_key[key].terms) >= 2


def test_every_image_leaf_has_a_morphology_and_a_place():
    anchors = [row["anchor"] for row in pools() if row["modality"] == "image"]
    places = {site.site for site in TABLES.image_sites}
    for key in {key for anchor in anchors for key in builtin.leaves(anchor)} - {"no_acute_abnormality"}:
        assert key == f"{TABLES.value(key, 'associated_morphology')}_{TABLES.value(key, 'finding_site')}"
        assert TABLES.value(key, "finding_site") in places
    assert TABLES.value("plain_chest_radiograph", "procedure_site") == "thorax"


def test_every_lab_leaf_is_the_finding_of_a_lab():
    anchors = [row["anchor"] for row in pools() if row["modality"] == "labs"]
    stated = {
        key for lab in TABLES.labs if "pneumonia" in lab.panels for key in (lab.lowered, lab.raised) if key
    }
    assert {key for anchor in anchors for key in builtin.leaves(anchor)} <= stated
    assert len(TABLES.labs) >= 28
    for lab in TABLES.labs:
        for key, value in ((lab.raised, "above_reference_range"), (lab.lowered, "below_reference_range")):
            if key:
                assert not TABLES.children[key]
                assert TABLES.value(key, "interprets") == lab.observable
                assert TABLES.value(key, "has_interpretation") == value


def test_identifiers_are_valid_unique_and_resolved(files):
    concepts = {row[0] for row in files["concept"][1:]}
    assert len(concepts) == len(TABLES.concepts)
    ids = [row[0] for name in ("concept", "description", "relationship") for row in files[name][1:]]
    assert len(set(ids)) == len(ids)
    assert sctid.valid(np.array(ids, dtype=np.int64)).all()
    assert {sctid.namespace_of(int(identifier)) for identifier in ids} == {builtin.NAMESPACE}
    members = [row[0] for name in ("language", "icd10", "loinc") for row in files[name][1:]]
    assert len(set(members)) == len(members)
    descriptions = {row[0] for row in files["description"][1:]}
    assert {row[5] for row in files["language"][1:]} == descriptions
    assert {row[5] for name in ("icd10", "loinc") for row in files[name][1:]} <= concepts
    for row in files["relationship"][1:]:
        assert {row[4], row[5]} <= concepts
        assert row[7] in concepts or row[7] == str(generate.IS_A)


def test_each_concept_has_one_fsn_and_one_preferred_term(files):
    acceptable = {row[5]: row[6] for row in files["language"][1:]}
    rows = [(row[4], row[6], acceptable[row[0]]) for row in files["description"][1:]]
    for kind in (generate.FSN, generate.SYNONYM):
        preferred = [row[0] for row in rows if row[1] == str(kind) and row[2] == str(generate.PREFERRED)]
        assert sorted(preferred) == sorted(str(concept.sctid) for concept in TABLES.concepts)


def test_the_files_are_rf2(release, files):
    for name, path in generate.FILES.items():
        raw = (release / path).read_bytes()
        assert raw.count(b"\r\n") == raw.count(b"\n") == len(files[name])
        assert files[name][0] == HEADERS[name].split()
        assert all(len(row) == len(files[name][0]) for row in files[name])


def test_the_same_tables_give_the_same_bytes_in_another_process(release, tmp_path):
    command = [sys.executable, "-m", "ontology.builtin", "--out", str(tmp_path / "again")]
    subprocess.run(
        command, check=True, env={"PYTHONHASHSEED": "7", "PYTHONPATH": str(Path(builtin.__file__).parents[2])}
    )
    paths = [path.relative_to(release) for path in sorted(release.rglob("*")) if path.is_file()]
    assert len(paths) == 7
    for path in paths:
        assert (tmp_path / "again" / path).read_bytes() == (release / path).read_bytes()


def test_keys_and_identifiers_find_each_other():
    assert builtin.key_of(builtin.sctid_of("pneumonia")) == "pneumonia"
    assert builtin.leaves("no_acute_abnormality") == ("no_acute_abnormality",)
    with pytest.raises(ConceptNotFound):
        builtin.sctid_of("pnumonia")
    with pytest.raises(ConceptNotFound):
        builtin.key_of(22298006)


@pytest.mark.parametrize(
    ("file", "old", "new", "column", "problem"),
    [
        ("concepts_procedure", "Bronchoscopy (procedure)", "Bronchoscopy", "fsn", "semantic tag"),
        ("concepts_procedure", "\tbronchoscopy\t", "\tthoracentesis\t", "key", "already at"),
        ("concepts_procedure", "spinal tap", "pleural tap", "synonyms", "already names"),
        ("concepts_procedure", "site=bronchus", "site=bronchos", "relations", "bronchos"),
        ("concepts_procedure", "procedure_site=spine", "procedure_sight=spine", "relations", "no attribute"),
        (
            "concepts_procedure",
            "\timaging_procedure\tprocedure_site=thorax",
            "\timaging\t",
            "parents",
            "imaging",
        ),
        ("concepts_substance", "dust\t\tsubstance", "dust\t\tasbestos", "parents", "cycle"),
        ("icd10", "J18.9", "J18,9", "code", "ICD-10"),
        ("labs", "6690-2", "6690-3", "loinc", "check digit"),
        ("labs", "\t0.5\t35\t1", "\t5.5\t35\t1", "ref_low", "plausible_low"),
    ],
)
def test_a_wrong_row_is_named(tmp_path, file, old, new, column, problem):
    folder = shutil.copytree(Path(builtin.__file__).parent, tmp_path / "tables")
    table = folder / f"{file}.tsv"
    text = table.read_text()
    assert old in text
    table.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=problem) as caught:
        builtin.read_tables(folder)
    assert caught.value.column == column
    assert caught.value.row > 1
    assert caught.value.path.suffix == ".tsv"
