import json
from datetime import datetime

import polars as pl
import pytest
from toy_terminology import EVENT_COLUMNS

from graph_builders import PatientGraph
from mhdiff.cli import main
from mhdiff.cohort import write_meds

TASK = """
name: toy_task
labels: toy
classes: [well, ill]
modalities:
  note: {prefixes: [NOTE//]}
  labs: {prefixes: [LOINC/]}
  codes: {prefixes: [ICD10/]}
blinded: {concepts: [6], words: []}
"""


@pytest.fixture
def places(tmp_path, toy):
    """An ontology, a cohort and a task on disk, and where the graph shall go."""
    toy.save(tmp_path / "ontology")
    when = datetime(2026, 1, 1)
    lab = "LOINC/6690-2//10*9/L"
    events = [
        (1, "NOTE//CLINICAL", None, "Cough. No bacterial pneumonia."),
        (1, lab, 20.0, None),
        (1, "ICD10/J99", None, None),
        (2, lab, 5.0, None),
        (2, "ICD10/Z99.9", None, None),
    ]
    columns = {
        "subject_id": pl.Int64,
        "code": pl.String,
        "numeric_value": pl.Float32,
        "text_value": pl.String,
    }
    frame = pl.DataFrame(events, columns, orient="row").with_columns(
        time=pl.lit(when, dtype=EVENT_COLUMNS["time"])
    )
    codes = (
        frame.select("code")
        .unique()
        .with_columns(
            description=pl.lit(""),
            parent_codes=pl.when(pl.col("code") == lab).then(pl.lit(["LOINC/6690-2"])),
            unit=pl.when(pl.col("code") == lab).then(pl.lit("10*9/L")),
            ref_low=pl.when(pl.col("code") == lab).then(4.0),
            ref_high=pl.when(pl.col("code") == lab).then(11.0),
        )
    )
    splits = pl.DataFrame({"subject_id": [1, 2], "split": ["train", "held_out"]})
    labels = pl.DataFrame(
        {"subject_id": [1, 2], "prediction_time": [when, when], "categorical_value": ["ill", "well"]}
    )
    (tmp_path / "cohort").mkdir()
    write_meds(
        tmp_path / "cohort", events=frame, codes=codes, splits=splits, labels={"toy": labels},
        metadata={"mhdiff": {"kind": "toy"}},
    )  # fmt: skip
    (tmp_path / "task.yaml").write_text(TASK)
    return [
        "graph", "build", "--ontology", str(tmp_path / "ontology"), "--cohort", str(tmp_path / "cohort"),
        "--task", str(tmp_path / "task.yaml"), "--out", str(tmp_path / "graph"),
    ]  # fmt: skip


def test_build_and_info_print_one_document(places, toy, capsys):
    assert main([*places, "--json"]) == 0
    built = json.loads(capsys.readouterr().out)
    assert main(["graph", "info", places[-1], "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == built
    assert built["ontology"] == {"fingerprint": toy.fingerprint, "name": "toy"}
    assert built["cohort"]["kind"] == "toy"
    assert built["modalities"] == ["note", "labs", "codes"]
    assert built["counts"]["nodes"]["patient"] == 2
    assert built["coverage"]["blinded"]["rows_dropped"] == 1
    assert 6 not in PatientGraph.open(places[-1]).data["concept"].sctid.tolist()


def test_info_for_people_names_what_was_not_used(places, capsys):
    assert main(places) == 0
    text = capsys.readouterr().out
    assert "ICD10/Z99.9 (1)" in text
    assert "in_range 1" in text
    assert "Viral pneumonia (6)" in text


def test_flags_say_which_edges_there_are(places, capsys):
    flags = [
        "--merge",
        "place=finding site,causative agent",
        "--split",
        "is a=tag",
        "--no-inverse",
        "--groups",
    ]
    assert main([*places, "--view", "whole", "--values", "nodes", *flags, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["view"] == {
        "kind": "whole", "relations": None, "merge": {"place": ["finding site", "causative agent"]},
        "split": {"is a": "tag"}, "inverse": False, "groups": True, "values": "nodes",
    }  # fmt: skip
    data = PatientGraph.open(places[-1]).data
    between = {kind[1] for kind in data.edge_types if kind[0] == kind[2] == "concept"}
    assert between == {"place", "is_a_to_thing", "interprets", "has_interpretation"}
    assert told["slice"]["edge_types"]["place"] == {"finding_site": 1, "causative_agent": 1}
    assert told["slice"]["concepts"] == {"ontology": 15, "kept": 14, "blinded": 1, "left_out": 0}
    assert main([*places, "--merge", "all", "--keep-relation", "related", "--feature", "degree"]) == 0
    text = capsys.readouterr().out
    assert 'merge "all"' in text
    assert "x_degree [2]" in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--view", "khop", "--relation", "made of"], "no relation type 'made of'"),
        (["--view", "khop", "--hops", "-1"], "hops >= 0"),
        (["--task", "no_such_task"], "no_such_task"),
        (["--ontology", "nowhere"], "nowhere"),
    ],
)
def test_wrong_input_is_told_and_nothing_is_written(places, tmp_path, capsys, change, message):
    assert main([*places, *change]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not (tmp_path / "graph").exists()
