"""A run reads numbers by the table that it was trained with, whatever is shipped later."""

import json

import mhdiff.cohort.task
from mhdiff.cohort.measurements import Analyte, Analytes
from mhdiff.training.data import MultimodalData


def test_the_table_of_a_run_is_used_at_prediction(small_data, monkeypatch):
    def opened(state=None):
        places = {name: str(small_data / name) for name in ("cohort", "graph")}
        data = MultimodalData(**places, task="pneumonia", modalities=["labs"])
        if state is not None:
            data.load_fitted(state)
        data.setup()
        return data

    first = opened()
    state = json.loads(json.dumps(first.state()))
    assert first.window["column"].is_not_null().any()
    other = Analytes((Analyte("glucose", ("LOINC/2345-7",), "kg"),))
    monkeypatch.setattr(mhdiff.cohort.task, "shipped", lambda: other)
    again, fresh = opened(state), opened()
    assert again.window.equals(first.window)
    assert not fresh.window.equals(first.window)
    assert again.state()["analytes"] == state["analytes"]
    older = opened({key: value for key, value in state.items() if key != "analytes"})
    assert older.window["column"].is_null().all()
    assert older.window.drop("column").equals(first.window.drop("column"))  # its units were UCUM's own
