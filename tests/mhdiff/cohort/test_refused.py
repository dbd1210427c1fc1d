import json
import pickle

import pytest

from mhdiff.cli import main
from mhdiff.cohort import Cohort
from mhdiff.cohort.refused import DEFAULT, MaxBad, Refused
from ontology.errors import InputError


@pytest.mark.parametrize(
    ("text", "limit"), [("20", MaxBad(20)), ("0", MaxBad(0)), ("0.5%", MaxBad(0.5, True))]
)
def test_a_limit_is_read_and_written(text, limit):
    assert MaxBad.parse(text) == limit
    assert str(limit) == text


@pytest.mark.parametrize("text", ["", "-1", "many", "1.5", "101%", "1e9", "%", "nan"])
def test_what_is_no_limit_is_refused(text):
    with pytest.raises(InputError, match="--max-bad"):
        MaxBad.parse(text)


def test_a_count_stops_at_the_first_row_too_many(tmp_path):
    refused = Refused(MaxBad(2), tmp_path)
    refused.add("no number", tmp_path / "a.csv", 7, "x", remedy="Correct it")
    refused.add("no date", tmp_path / "b.csv", 2, "y")
    with pytest.raises(
        InputError, match=r"a.csv, line 7, column 'x': no number. Correct it. --max-bad 2 bears"
    ) as stop:
        refused.add("no date", tmp_path / "b.csv", 3, "y")
    assert "3 refused so far" in str(stop.value)


def test_a_percentage_is_of_each_file(tmp_path):
    refused = Refused(MaxBad(10, True), tmp_path)
    large, small = tmp_path / "large.csv", tmp_path / "small.csv"
    refused.read(large, 100)
    refused.read(small, 9)
    refused.add("no number", large, 3, n=10)
    refused.check()
    refused.add("no number", small, 5)
    with pytest.raises(InputError, match=r"small.csv, line 5: .*1 of the 9 rows"):
        refused.check()


def test_nothing_refused_passes_every_limit(tmp_path):
    for limit in (MaxBad(0), MaxBad(0, True), DEFAULT):
        refused = Refused(limit, tmp_path)
        refused.read(tmp_path / "a.csv", 3)
        refused.check()
        assert refused.text()[0].endswith("nothing")


def test_workers_give_what_one_process_gives(tmp_path):
    def fill(refused, number):
        file = tmp_path / f"{number}.csv"
        refused.read(file, 10)
        for line in range(2, 2 + number):
            refused.add("no number", file, line, "x")

    alone, together = Refused(MaxBad(100), tmp_path), Refused(MaxBad(100), tmp_path)
    for number in range(4):
        fill(alone, number)
        worker = together.apart()
        fill(worker, number)
        together.merge(pickle.loads(pickle.dumps(worker)))
    assert alone == together
    assert alone.to_dict()["reasons"]["no number"]["first"][0] == {"file": "1.csv", "line": 2, "column": "x"}
    limited = Refused(MaxBad(5), tmp_path)
    with pytest.raises(InputError, match=r"1.csv, line 2"):
        limited.merge(alone)


def test_the_command_bears_so_many_and_no_more(write_source, tmp_path, capsys):
    source = write_source([{"patientid": str(i), "finding": "COVID-19"} for i in range(6)])
    (source / "images/2.png").write_bytes(b"SECRET-TEXT")
    command = ["cohort", "import", "covid-chestxray", str(source), "--out", str(tmp_path / "out")]
    for limit in ([], ["--max-bad", "0"], ["--max-bad", "16%"]):
        assert main([*command, *limit]) == 2
        error = capsys.readouterr().err
        assert "line 4, column 'filename': the image is truncated" in error
        assert "Traceback" not in error
        assert [p.name for p in tmp_path.iterdir()] == ["source"]
    for limit in ("1", "17%"):
        assert main([*command, "--max-bad", limit, "--json"]) == 0
        spoken = capsys.readouterr()
        assert "SECRET-TEXT" not in spoken.out + spoken.err
        refused = json.loads(spoken.out)["refused"]
        assert refused["max_bad"] == limit
        assert refused["rows"] == 1
        assert Cohort.open(tmp_path / "out").validate() == []
    assert main([*command, "--max-bad", "some"]) == 2
