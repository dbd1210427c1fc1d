"""The verbs that question an ontology, through the real command line."""

import json

import pytest
import tiny_release
from tiny_release import CONCEPT, DATE, IDS, MODULE

from mhdiff.cli import main
from ontology.identifiers import REPLACED_BY


@pytest.fixture
def folder(release, tmp_path, capsys):
    files, _ = release
    next(row for row in files[CONCEPT] if row[0] == IDS["asthma"])[2] = 0
    member = [
        "id",
        "effectiveTime",
        "active",
        "moduleId",
        "refsetId",
        "referencedComponentId",
        "targetComponentId",
    ]
    files[f"Snapshot/Refset/Content/der2_cRefset_AssociationSnapshot_T_{DATE}.txt"] = [
        member, ["a1", DATE, 1, MODULE, REPLACED_BY, IDS["asthma"], IDS["disease"]]
    ]  # fmt: skip
    source = tiny_release.write(tmp_path / "tiny", files)
    assert main(["ontology", "build", str(source), "--out", str(tmp_path / "o"), "--name", "mine"]) == 0
    capsys.readouterr()
    return str(tmp_path / "o")


def asked(capsys, *arguments):
    assert main(["ontology", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def test_select(folder, capsys):
    below = json.loads(asked(capsys, "select", folder, f"<< {IDS['pneumonia']}", "--json"))
    assert {c["sctid"] for c in below} == {
        IDS[k] for k in ("pneumonia", "bacterial", "viral", "cap", "covid")
    }
    lines = asked(capsys, "select", folder, f"< {IDS['disease']} : 363698007 = {IDS['lung']}").splitlines()
    assert {int(line.split()[0]) for line in lines} == {IDS["pneumonia"], IDS["bacterial"]}
    assert len(asked(capsys, "select", folder, "*", "--limit", "2").splitlines()) == 2
    assert main(["ontology", "select", folder, "<< ("]) == 2
    assert "mhdiff: error" in capsys.readouterr().err


def test_map(folder, capsys):
    found = json.loads(asked(capsys, "map", folder, "J99", "--system", "ICD10", "--json"))
    assert found["status"] == "ambiguous"
    assert {t["sctid"] for t in found["targets"]} == {IDS["viral"], IDS["bacterial"]}
    assert len(found["rows"]) == 2
    old = asked(capsys, "map", folder, IDS["asthma"])
    assert "replaced" in old
    assert str(IDS["disease"]) in old
    codes = json.loads(asked(capsys, "map", folder, "Pneumonia", "--to", "ICD-10", "--age", "40", "--json"))
    assert [t["code"] for g in codes["groups"] for t in g["targets"]] == ["J18.9"]
    assert "J18.9" in asked(capsys, "map", folder, "Pneumonia", "--to", "ICD-10")
    assert "no map to LOINC" in asked(capsys, "map", folder, "Pneumonia", "--to", "LOINC")
    assert main(["ontology", "map", folder, "J99", "--age", "-3"]) == 2


def test_similarity(folder, capsys):
    found = json.loads(asked(capsys, "similarity", folder, "Bacterial pneumonia", "COVID-19", "--json"))
    assert 0 < found["similarity"]["lin"] < 1
    assert {c["sctid"] for c in found["least_common_ancestors"]} == {IDS["pneumonia"], IDS["infection"]}
    assert "lin" in asked(capsys, "similarity", folder, IDS["lung"], IDS["lung"])


def test_export_as_rf2_and_build_again(folder, tmp_path, capsys):
    asked(capsys, "export", folder, "--format", "rf2", "--out", tmp_path / "rf2")
    again = json.loads(asked(capsys, "build", tmp_path / "rf2", "--json"))
    first = json.loads(asked(capsys, "info", folder, "--json"))
    assert again["fingerprint"] == first["fingerprint"]
    assert first["name"] == "mine"
    assert first["inactive"] == 1


@pytest.mark.parametrize("form", ["turtle", "owl", "obo", "obograph", "parquet"])
def test_every_format_that_is_written_is_built_again(folder, tmp_path, capsys, form):
    endings = {"turtle": "o.ttl", "owl": "o.owl", "obo": "o.obo", "obograph": "o.json", "parquet": "o"}
    path = tmp_path / "exported" / endings[form]
    asked(capsys, "export", folder, "--format", form, "--out", path)
    again = json.loads(asked(capsys, "build", path, "--json"))
    first = json.loads(asked(capsys, "info", folder, "--json"))
    assert again["concepts"] == first["concepts"]
    assert sum(again["relations"].values()) == sum(first["relations"].values())
    assert again["relations"]["is a"] == first["relations"]["is a"]
    assert again["inactive"] == first["inactive"]
