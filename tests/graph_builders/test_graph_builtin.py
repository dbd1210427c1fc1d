"""Evidence and graph over the whole built-in terminology, read from its RF2 files."""

import numpy as np
import polars as pl
import pytest
from toy_terminology import event, make_window

from graph_builders import PathFinder, PatientGraph, collect_evidence
from ontology import load_rf2
from ontology.builtin import write_rf2

MODALITIES = ("note", "labs", "codes")


@pytest.fixture(scope="module")
def builtin(tmp_path_factory):
    return load_rf2(write_rf2(tmp_path_factory.mktemp("rf2") / "builtin"))


@pytest.fixture(scope="module")
def targets(builtin):
    """Codes and the concepts that they stand for, by system."""
    pairs = builtin.maps.select("system", "target").unique().sort("system", "target")
    return {name: pairs.filter(pl.col("system") == name)["target"].to_list() for name in ("ICD-10", "LOINC")}


def test_every_icd_code_gives_its_concepts_with_weights_that_sum_to_one(builtin, targets):
    codes = targets["ICD-10"]
    window = make_window([event(i, "codes", f"ICD10/{code}") for i, code in enumerate(codes)])
    evidence = collect_evidence(window, builtin)
    assert evidence.report["modalities"]["codes"]["coverage"] == 1.0
    found = evidence.table.group_by("sample_id", maintain_order=True).agg("concept", pl.col("weight").sum())
    for sample, concepts, weight in found.iter_rows():
        assert concepts == builtin.concepts_of(codes[sample], "ICD-10")
        assert weight == pytest.approx(1.0)


def test_every_lab_out_of_range_gives_the_finding_that_interprets_it(builtin, targets):
    codes, known = targets["LOINC"], builtin.find_interpretations()
    window = make_window(
        [
            event(2 * i + high, "labs", f"LOINC/{code}", value=9.0 * high, low=1.0, high=2.0, unit="1")
            for i, code in enumerate(codes)
            for high in (0, 1)
        ]
    )
    evidence = collect_evidence(window, builtin)
    found = {(row["sample_id"], row["concept"]) for row in evidence.table.iter_rows(named=True)}
    expected = set()
    for i, code in enumerate(codes):
        for high, status in ((0, "below"), (1, "above")):
            expected |= {
                (2 * i + high, known.get((o, status), known.get((o, "abnormal"), o)))
                for o in builtin.concepts_of(code, "LOINC")
            }
    assert found == expected
    assert len(known) > len(codes)  # most labs have a finding on at least one side


def test_the_graph_of_the_terminology_is_one_piece_and_its_paths_are_the_ontologys(builtin, targets):
    codes = targets["ICD-10"][:60]
    events = [event(i % 20, "codes", f"ICD10/{code}") for i, code in enumerate(codes)]
    events += [
        event(i, "note", "NOTE//CLINICAL", text="Cough and fever. No pleural effusion.") for i in range(20)
    ]
    samples = pl.DataFrame({"sample_id": range(20), "subject_id": range(20)})
    evidence = collect_evidence(make_window(events), builtin)
    assert {"present", "absent"} <= set(evidence.table.filter(pl.col("modality") == "note")["polarity"])
    graph = PatientGraph.build(builtin, evidence, samples, MODALITIES)
    graph.data.validate()
    sctid = graph.data["concept"].sctid.numpy()
    assert builtin.depth[builtin.indices(sctid)].tolist() == graph.data["concept"].depth.tolist()
    for concept in evidence.concepts.tolist():
        assert np.isin(builtin.ancestors(concept, include_self=True), sctid).all()
    finder, tokens = PathFinder(graph.data), graph.tokens(range(20), MODALITIES, 4)
    for sample in range(5):
        a, b = int(tokens.concept[sample, 0, 0]), int(tokens.concept[sample, 2, 0])
        steps = finder.path(a, b)
        assert steps is not None
        assert len(steps) >= len(builtin.path(int(sctid[a]), int(sctid[b])))
        stated = {
            (builtin.relation_name(int(builtin.relation_types[k])).replace(" ", "_"), s, t)
            for k, s, t in zip(
                builtin.relations.type,
                builtin.sctids[builtin.relations.source],
                builtin.sctids[builtin.relations.target],
                strict=True,
            )
        }
        for step in steps:
            ends = (sctid[step.node], sctid[step.next_node])[:: 1 if step.forward else -1]
            assert (step.relation, *ends) in stated
