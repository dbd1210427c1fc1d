"""A run reads numbers by the table that it was trained with, and by no other than its graph was built with."""

import json
import shutil

import pytest

import mhdiff.cohort.task
from graph_builders import PatientGraph
from mhdiff.cohort import Cohort
from mhdiff.cohort.measurements import Analyte, Analytes
from mhdiff.cohort.measurements.analytes import shipped
from mhdiff.training.data import MultimodalData
from ontology.errors import InputError

OTHER = Analytes((Analyte("glucose", ("LOINC/2345-7",), "kg"),))


@pytest.fixture
def opened(small_data):
    def data_of(state=None, graph=None):
        data = MultimodalData(
            str(small_data / "cohort"), str(graph or small_data / "graph"), "pneumonia", modalities=["labs"]
        )
        if state is not None:
            data.load_fitted(state)
        data.setup()
        return data

    return data_of


@pytest.fixture
def older_graph(small_data, tmp_path):
    """A graph as it was written before graphs named their table."""
    shutil.copytree(small_data / "graph", tmp_path / "older")
    path = tmp_path / "older" / "graph.json"
    document = json.loads(path.read_text())
    del document["analytes"]
    path.write_text(json.dumps(document))
    return path.parent


def test_the_table_of_a_run_is_used_at_prediction(opened, older_graph, monkeypatch):
    first = opened()
    assert first.warnings == []
    state = json.loads(json.dumps(first.state()))
    assert first.window["column"].is_not_null().any()
    monkeypatch.setattr(mhdiff.cohort.task, "shipped", lambda: OTHER)
    again, fresh = opened(state), opened(graph=older_graph)
    assert again.window.equals(first.window)
    assert again.warnings == []
    assert not fresh.window.equals(first.window)
    assert again.state()["analytes"] == state["analytes"]
    older = opened({key: value for key, value in state.items() if key != "analytes"}, older_graph)
    assert older.window["column"].is_null().all()
    assert older.window.drop("column").equals(first.window.drop("column"))  # its units were UCUM's own


def test_a_graph_of_another_table_is_refused(opened, small_data, monkeypatch):
    state = json.loads(json.dumps(opened().state()))
    held = PatientGraph.open(small_data / "graph").meta["analytes"]["sha256"]
    codes = Cohort.open(small_data / "cohort").codes["code"]
    assert held == shipped().digest_for(codes)
    with pytest.raises(InputError, match="the run reads numbers by another table") as caught:
        opened(state | {"analytes": OTHER.state()})
    assert "graph" in str(caught.value)
    monkeypatch.setattr(mhdiff.cohort.task, "shipped", lambda: OTHER)
    with pytest.raises(InputError, match="graph was built with another table") as caught:
        opened()
    told = str(caught.value)
    for word in (held[:12], OTHER.digest_for(codes)[:12], "mhdiff graph build", str(small_data / "graph")):
        assert word in told


def test_an_exported_model_keeps_its_table_and_says_that_the_graph_has_another(opened):
    state = opened().state()
    exported = {"preprocessors": state["preprocessors"], "analytes": OTHER.state()}
    (told,) = opened(exported).warnings
    assert "another table" in told


def test_a_graph_from_before_there_was_such_a_field_is_read_with_a_note(opened, older_graph):
    (told,) = opened(graph=older_graph).warnings
    assert "does not say" in told
    assert "mhdiff graph build" in told


def test_rows_that_the_cohort_has_no_code_of_make_no_difference(small_data):
    codes = Cohort.open(small_data / "cohort").codes["code"]
    table, more = shipped(), Analyte("our marker", ("OURS/1",), "mg")
    assert table.with_own([more]).digest_for(codes) == table.digest_for(codes)
    assert Analytes(table.rows[::-1]).digest_for(codes) == table.digest_for(codes)
    assert table.with_own([more]).digest_for([*codes, "OURS/1//mg"]) != table.digest_for(codes)
    assert Analytes().digest_for(codes) != Analytes((more,)).digest_for(
        codes
    )  # the empty one respells nothing
