import polars as pl
import pytest
from toy_terminology import event, make_window

from graph_builders import Evidence, collect_evidence
from graph_builders.collect import vocabulary_code
from graph_builders.tally import OUTCOMES
from ontology.errors import InputError


def rows(evidence, *names):
    return set(evidence.table.select(names).iter_rows())


def test_each_source_gives_its_concepts(toy, events):
    found = collect_evidence(make_window(events), toy)
    assert rows(found, "sample_id", "modality", "concept", "polarity") == {
        (0, "note", 13, "present"),
        (0, "note", 5, "absent"),
        (0, "codes", 5, "present"),
        (0, "codes", 6, "present"),
        (0, "labs", 11, "present"),  # above its range: the finding
        (1, "image", 4, "present"),
        (1, "labs", 15, "present"),  # above, but no finding says so: the observable
        (1, "codes", 4, "present"),
    }
    one_of_two = found.table.filter(pl.col("modality") == "codes", pl.col("sample_id") == 0)
    assert one_of_two["weight"].to_list() == [0.5, 0.5]
    span = found.table.filter(pl.col("polarity") == "absent").row(0, named=True)
    assert (
        "Cough. No bacterial pneumonia."[span["start"] : span["end"]] == span["text"] == "bacterial pneumonia"
    )
    assert span["depth"] == 4


def test_every_event_has_one_outcome_and_a_reason(toy, events):
    found = collect_evidence(make_window(events), toy)
    report = found.report
    by_modality = {name: part["outcomes"] for name, part in report["modalities"].items()}
    assert by_modality == {
        "codes": {"evidence": 2, "unmapped": 1},
        "image": {"evidence": 1, "no_code": 1},
        "labs": {"evidence": 2, "in_range": 1, "no_range": 1, "no_value": 1},
        "note": {"evidence": 1, "empty_note": 1, "no_mention": 1},
    }
    assert sum(sum(part.values()) for part in by_modality.values()) == report["events"] == len(events)
    assert set().union(*by_modality.values()) <= set(OUTCOMES)
    assert report["modalities"]["codes"]["top_unmapped"] == [{"code": "ICD10/Z99.9", "events": 1}]
    assert report["labs"]["unit_missing"] == {"LOINC/1988-5//mg/L": 1}
    assert report["labs"]["abnormal_without_a_finding"] == {"LOINC/1988-5//mg/L": 1}
    assert found.observed.height == 9
    assert (2, "note") in found.observed.rows()


def test_blinding_drops_descendants_and_says_so(toy, events):
    found = collect_evidence(make_window(events), toy, blinded=[4, 999])
    assert {concept for (concept,) in rows(found, "concept")} == {11, 13, 15}
    blinded = found.report["blinded"]
    assert blinded["concepts"] == 3
    assert blinded["not_in_ontology"] == [999]
    assert {row["concept"]: row["rows"] for row in blinded["dropped"]} == {4: 2, 5: 2, 6: 1}
    assert found.report["modalities"]["codes"]["outcomes"] == {"blinded": 2, "unmapped": 1}


def test_text_results_of_labs(toy):
    kind = {"parents": ["LOINC/6690-2"]}
    window = make_window([event(i, "labs", "LOINC/6690-2", text=text, **kind) for i, text in
                          enumerate(("POSITIVE", "not detected", "haemolysed"))])  # fmt: skip
    found = collect_evidence(window, toy)
    assert found.report["modalities"]["labs"]["outcomes"] == {"evidence": 1, "in_range": 1, "no_value": 1}
    assert found.table["sample_id"].to_list() == [0]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("LOINC/6690-2//10*9/L", ("LOINC", "6690-2")),
        ("ICD10CM/J18.9", ("ICD10CM", "J18.9")),
        ("SNOMED/233604007", ("SNOMED", "233604007")),
        ("IMAGE//CXR//PA", None),
        ("MEDS_BIRTH", None),
    ],
)
def test_vocabulary_codes_are_read(code, expected):
    assert vocabulary_code(code) == expected


def test_wrong_tables_are_refused(toy, events):
    with pytest.raises(InputError, match="parent_codes"):
        collect_evidence(make_window(events).drop("parent_codes"), toy)
    with pytest.raises(InputError, match="concept"):
        Evidence(pl.DataFrame({"sample_id": [1], "modality": ["note"]}))
    table = pl.DataFrame({"sample_id": [1], "modality": ["note"], "concept": [4]})
    with pytest.raises(InputError, match="perhaps"):
        Evidence(table.with_columns(polarity=pl.lit("perhaps")))
    assert Evidence(table).table["weight"].to_list() == [1.0]


def test_an_empty_window_gives_empty_evidence(toy):
    found = collect_evidence(make_window([]), toy)
    assert found.table.is_empty()
    assert found.report["events"] == 0
