"""Labs in one unit on a common scale, and rare codes rolled up: fitted on training, the same again from a state."""

import json
from datetime import datetime

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.preprocessing import QuantileTransformer

from mhdiff.encoders import CodeTable, LabTable, restore
from ontology import load_rf2
from ontology.builtin import write_rf2
from ontology.errors import InputError


def _again(reader):
    return restore(json.loads(json.dumps(reader.state())))


def _labs(rows):
    return pl.DataFrame(
        [(s, code, value, datetime(2020, 1, 1)) for s, code, value in rows],
        {"sample_id": pl.Int64, "code": pl.String, "numeric_value": pl.Float32, "time": pl.Datetime("us")},
        orient="row",
    )


def test_codes_of_one_lab_share_a_column_in_the_unit_of_most_training_samples():
    train = _labs(
        [
            *((i, "OWN/1//g/L", float(i)) for i in range(5)),
            (5, "OWN/1//mg/dL", 500.0),
            (6, "OWN/1//mg/dL", 600.0),
            (7, "OWN/1//mmol/L", 7.0),
            (8, "OWN/1//mmol/L", 8.0),
        ]
    )
    table = LabTable().fit(train)
    assert table.names == ["OWN/1//g/L", "OWN/1//mmol/L"]  # without a molar mass nobody can tell
    assert table.report["events brought to the unit of their column"] == 2
    for fitted in (table, _again(table)):
        new = _labs([(1, "OWN/1//g/L", 5.0), (2, "OWN/1//mg/dL", 500.0), (3, "OWN/1//ug/mL", 5000.0)])
        value = fitted.transform(new, [1, 2, 3])["value"][:, 0]
        torch.testing.assert_close(value, value[:1].expand(3))
        assert fitted.report["events brought to the unit of their column"] == 2
        assert fitted.report["events of labs without a column"] == 0


def test_what_the_window_calls_an_analyte_names_the_column():
    train = _labs([(1, "LOINC/2345-7//mg/dL", 90.0), (2, "LOINC/14749-6//mg/dL", 100.0)])
    named = train.with_columns(column=pl.lit("LOINC/2345-7//mg/dL"))
    table = LabTable().fit(named)
    assert table.names == ["LOINC/2345-7//mg/dL"]
    assert table.transform(named, [1, 2])["measured"].sum() == 2
    assert (
        table.column_of({"code": "LOINC/14749-6//mg/dL", "column": "LOINC/2345-7//mg/dL"}) == table.names[0]
    )


def test_quantiles_are_those_of_scikit_learn_and_survive_the_state():
    rng = np.random.default_rng(0)
    values = np.float32(rng.lognormal(size=500))
    train = _labs([(i, "a", float(v)) for i, v in enumerate(values)] + [(i, "b", 1.0) for i in range(3)])
    table = LabTable(scale="quantile").fit(train)
    peer = QuantileTransformer(n_quantiles=101, output_distribution="normal", subsample=None)
    peer.fit(np.float64(values)[:, None])
    new = np.float32([0.01, 0.5, 1.0, 3.0, 100.0])
    for fitted in (table, _again(table)):
        found = fitted.transform(_labs([(i, "a", float(v)) for i, v in enumerate(new)]), list(range(5)))
        np.testing.assert_allclose(
            found["value"][:, 0].numpy(), peer.transform(np.float64(new)[:, None])[:, 0], rtol=1e-5
        )
    trained = table.transform(train, list(range(500)))["value"][:, 0]
    assert abs(trained.mean()) < 0.05
    assert 0.9 < trained.std() < 1.1
    with pytest.raises(InputError, match="no scale"):
        LabTable(scale="log")


def test_a_state_from_before_there_were_scales_is_read():
    old = {"kind": "LabTable", "min_samples": 2, "names": ["a"], "mean": [2.0], "std": [2.0]}
    assert restore(old).transform(_labs([(1, "a", 6.0)]), [1])["value"].item() == 2.0
    table = restore({"kind": "CodeTable", "min_samples": 2, "codes": ["x"]})
    assert table.transform(_codes({1: ["x"]}), [1])["weight"].tolist() == [[0, 1]]


def _codes(of):
    rows = [(sample, sample, code) for sample, codes in of.items() for code in codes]
    return pl.DataFrame(
        rows, {"sample_id": pl.Int64, "subject_id": pl.Int64, "code": pl.String}, orient="row"
    ).with_columns(parent_codes=pl.lit(None, pl.List(pl.String)))


@pytest.fixture(scope="module")
def family(tmp_path_factory):
    """The built-in ontology, a concept that is no root, and three of its children that have no child in common."""
    ontology = load_rf2(write_rf2(tmp_path_factory.mktemp("builtin") / "rf2"))
    roots = set(ontology.roots.tolist())
    for parent in ontology.sctids.tolist():
        children = [c for c in ontology.children(parent).tolist() if ontology.parents(c).tolist() == [parent]]
        if len(children) >= 4 and parent not in roots:
            return ontology, parent, children
    raise AssertionError("the built-in ontology has no such family")


def _fit(ontology, of, n):
    table = CodeTable(roll_up=n)
    table.use(lambda: ontology)
    return table.fit(_codes(of))


def test_rare_codes_are_rolled_up_to_the_nearest_ancestor_that_stands_for_enough(family):
    ontology, parent, (a, b, c, *_) = family
    often = f"SNOMED/{c}"
    table = _fit(ontology, {1: [f"SNOMED/{a}"], 2: [f"SNOMED/{b}"], 3: [often], 4: [often], 5: ["ODD/1"]}, 2)
    assert table.codes == sorted([f"SNOMED/{parent}", often])
    assert table.report == {
        "codes": 2,
        "codes too seldom, rolled up": 2,
        "columns that they were rolled up into": 1,
        "codes too seldom, of no concept": 1,
        "codes too seldom, sharing column 0": 1,
    }
    again = _again(table)
    again.use(lambda: ontology)
    unseen = f"SNOMED/{family[2][3]}"  # another child, of which training knew nothing
    for fitted in (table, again):
        weight = fitted.transform(
            _codes({7: [f"SNOMED/{a}"], 8: [often], 9: [unseen], 10: ["ODD/2"]}), [7, 8, 9, 10]
        )
        names = ["", *fitted.codes]
        assert [names[i] for i in weight["weight"].argmax(1)] == [
            f"SNOMED/{parent}",
            often,
            f"SNOMED/{parent}",
            "",
        ]
        assert fitted.report["codes rolled up"] == 2
        assert fitted.report["codes unknown to training"] == 1
        assert fitted.column_of(unseen) == f"SNOMED/{parent}"


def test_a_frequent_parent_takes_the_codes_below_it(family):
    ontology, parent, (a, *_) = family
    table = _fit(ontology, {1: [f"SNOMED/{a}"], 2: [f"SNOMED/{parent}"], 3: [f"SNOMED/{parent}"]}, 2)
    assert table.codes == [f"SNOMED/{parent}"]
    assert table.column_of(f"SNOMED/{a}") == f"SNOMED/{parent}"


def test_every_column_stands_for_enough_training_patients(family):
    ontology = family[0]
    rng = np.random.default_rng(1)
    concepts = rng.choice(ontology.sctids, size=60, replace=False).tolist()
    of = {i: [f"SNOMED/{c}" for c in rng.choice(concepts, size=2, replace=False)] for i in range(80)}
    for n in (2, 5, 12):
        table = _fit(ontology, of, n)
        held = table.transform(_codes(of), list(of))["weight"][:, 1:].sum(0)
        assert (held >= n).all()
        assert not {f"SNOMED/{root}" for root in ontology.roots.tolist()} & set(table.codes) - {
            f"SNOMED/{c}" for c in concepts
        }


def test_a_patient_counts_once_and_an_ontology_is_asked_for_by_name(family):
    ontology, _, (a, *_) = family
    twice = _codes({1: [f"SNOMED/{a}"], 2: [f"SNOMED/{a}"]}).with_columns(subject_id=pl.lit(1, pl.Int64))
    table = CodeTable(roll_up=2)
    table.use(lambda: ontology)
    assert table.fit(twice).codes == []
    with pytest.raises(InputError, match=r"data\.codes\.roll_up needs the ontology"):
        CodeTable(roll_up=2).fit(_codes({1: ["x"]}))
    with pytest.raises(InputError, match="roll_up is -1"):
        CodeTable(roll_up=-1)
    plain = _fit(ontology, {1: ["x"], 2: ["x"]}, 0)
    assert plain.codes == ["x"]
    assert "codes too seldom, rolled up" not in plain.report
