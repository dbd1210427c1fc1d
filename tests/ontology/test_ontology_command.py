import json

import pytest
import tiny_release
from tiny_release import IDS

from mhdiff.cli import main


@pytest.fixture
def built(tmp_path, capsys):
    source = tiny_release.write(tmp_path / "tiny")
    assert main(["ontology", "build", str(source), "--out", str(tmp_path / "o"), "--json"]) == 0
    return tmp_path / "o", json.loads(capsys.readouterr().out)


def ask(capsys, *arguments):
    code = main(["ontology", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_build_and_info(built, capsys):
    folder, document = built
    assert document["concepts"] == 24
    assert document["maps"] == {"ICD-10": 6, "LOINC": 1}
    assert document["relations"]["is a"] == 25
    assert document["report"]["rows"]["concept"]["read"] == 24
    code, out, _ = ask(capsys, "info", folder, "--json")
    assert code == 0
    assert json.loads(out) == document
    code, out, _ = ask(capsys, "info", folder)
    assert code == 0
    assert "24 concepts" in out
    assert "tolerated" in out


def test_questions(built, capsys):
    folder, _ = built
    _, out, _ = ask(capsys, "show", folder, "bacterial pneumonia", "--json")
    shown = json.loads(out)
    assert shown["sctid"] == IDS["bacterial"]
    assert len(shown["parents"]) == 2
    assert len(shown["relations"]) == 2
    _, out, _ = ask(capsys, "show", folder, IDS["lung"])
    assert "<- finding site of" in out
    _, out, _ = ask(capsys, "search", folder, "pneum", "vir", "--json")
    assert [row["sctid"] for row in json.loads(out)] == [IDS["viral"]]
    _, out, _ = ask(capsys, "ancestors", folder, "COVID-19", "--json")
    assert len(json.loads(out)) == 6
    _, out, _ = ask(capsys, "path", folder, "cap", "Bacterium")
    assert out.splitlines()[-1] == "Bacterial pneumonia --causative agent--> Bacterium"
    _, out, _ = ask(capsys, "path", folder, "cap", "Bacterium", "--relation", "is a", "--json")
    assert len(json.loads(out)["steps"]) == 5
    _, out, _ = ask(capsys, "recognise", folder, "no fever", "--json")
    assert [(row["sctid"], row["polarity"]) for row in json.loads(out)] == [(IDS["fever"], "absent")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["build", "nowhere"], "no such file or folder"),
        (["info", "nowhere"], "mhdiff ontology build"),
        (["show", "FOLDER", "123"], "mhdiff ontology search"),
        (["show", "FOLDER", "edema"], "several concepts"),
        (["show", "FOLDER", "pneumo"], "near are"),
        (["path", "FOLDER", "cap", "lung", "--relation", "cures"], "finding site"),
    ],
)
def test_wrong_input_ends_with_2_and_one_message(built, capsys, arguments, message):
    folder, _ = built
    code, out, err = ask(capsys, *(str(folder) if a == "FOLDER" else a for a in arguments))
    assert code == 2
    assert out == ""
    assert message in err
    assert "Traceback" not in err
