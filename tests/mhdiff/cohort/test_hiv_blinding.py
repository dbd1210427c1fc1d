"""What says HIV disease, and so its stage, is no input of `hiv_severity`; what is left by mistake is found."""

from datetime import datetime, timedelta

import polars as pl
import pytest

from graph_builders.collect import blinded_closure, collect_evidence
from mhdiff.audit import label_codes
from mhdiff.audit.material import Material
from mhdiff.audit.thresholds import Thresholds
from mhdiff.cohort import Cohort, Task, meds
from ontology import Ontology, load_omop
from ontology.ecl import select

NOW = datetime(2020, 5, 1, 12)
CONCEPT = """concept_id,concept_name,vocabulary_id,concept_code,invalid_reason
1,An infection,SNOMED,86406008,
2,A syndrome,SNOMED,62479008,
3,A disorder with it,SNOMED,420721002,
4,Something else,SNOMED,36971009,
5,An infection in pregnancy,ICD10CM,O98.7,
6,Something else,ICD10CM,J01.9,
"""
LINKS = """concept_id_1,concept_id_2,relationship_id,invalid_reason
2,1,Is a,
3,2,Is a,
5,1,Maps to,
6,4,Maps to,
"""
#: Hidden by their code, whatever any ontology knows.
CODES = [
    *("SNOMED/86406008", "SNOMED/62479008", "ICD9CM/042", "ICD9CM/V08", "ICD10CM/B20", "ICD10CM/Z21", "ICD10/Z21"),
    *(f"ICD10/B2{n}.{m}" for n in range(5) for m in (0, 9)), "ICD10/B24",
]  # fmt: skip
KEPT = ["SNOMED/36971009", "ICD10CM/J01.9", "ICD9CM/461.9", "ICD10/B25.9"]


@pytest.fixture(scope="module")
def edition(tmp_path_factory) -> Ontology:
    folder = tmp_path_factory.mktemp("vocabulary")
    (folder / "CONCEPT.csv").write_text(CONCEPT)
    (folder / "CONCEPT_RELATIONSHIP.csv").write_text(LINKS)
    return load_omop(folder)


@pytest.fixture
def material(write_cohort, edition):
    def made(codes, parents=None):
        events = [(s, NOW - timedelta(days=s), code, None, None) for s in (1, 2) for code in [*codes, *KEPT]]
        born = [(s, NOW - timedelta(days=2000), meds.BIRTH, None, None) for s in (1, 2)]
        events = sorted(born + events, key=lambda row: row[:2])
        labels = {"hiv_severity": [(1, NOW, "stage_1"), (2, NOW, "stage_4")]}
        folder = write_cohort(events, labels, {1: "train", 2: "held_out"})
        place = folder / meds.CODES_FILE
        known = pl.col("code").replace_strict(parents or {}, default=None, return_dtype=pl.List(pl.String))
        pl.read_parquet(place).with_columns(parent_codes=known).write_parquet(place)
        return Material(Cohort.open(folder), Task.load("hiv_severity"), Thresholds.load(), edition)

    return made


def named(material):
    return [f.detail for f in label_codes.check(material).findings if f.name == "label_code"]


def test_hiv_disease_is_blinded_with_all_that_is_below_it(edition):
    blinded = Task.load("hiv_severity").blinded
    hidden, _ = blinded_closure(edition, blinded.concepts)
    assert (
        set(select(edition, "<< 86406008").tolist())
        == {86406008, 62479008, 420721002}
        == set(hidden.tolist())
    )


def test_no_code_of_hiv_disease_is_read(material):
    made = material(CODES)
    assert sorted(set(made.window["code"])) == sorted(KEPT)
    assert named(made) == []


def test_a_code_that_maps_to_it_gives_no_evidence_and_is_no_input(material, edition):
    made = material(["ICD10CM/O98.7"])
    assert "ICD10CM/O98.7" in made.window["code"].to_list()
    report = collect_evidence(made.window, edition, blinded=made.task.blinded.concepts).report
    assert "ICD10CM/O98.7" in report["blinded"]["codes"]
    assert sorted(set(made.inputs["code"])) == sorted(KEPT)
    assert named(made) == []


def test_the_audit_finds_a_defining_code_that_is_left(material):
    """Local codes that stand for blinded ones of which the ontology knows nothing, straight or by another."""
    left = {
        "ICD10/local-7": ["ICD10CM/B20"],
        "ICD10/local-8": ["ICD9CM/V08"],
        "ICD10/local-9": ["ICD10/local-7"],
    }
    made = material([*left, "SNOMED/415125002"], left)
    (told,) = named(made)
    assert "3 codes" in told
    assert all(code in told for code in left)
    assert "blinded.codes" in told
    assert (
        "SNOMED/415125002" not in made.inputs["code"].to_list()
    )  # a blinded concept that the ontology does not hold
