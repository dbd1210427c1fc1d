"""The lexicon beside an ontology: written once, opened afterwards, and never trusted where it is damaged or older."""

import json
import shutil

import numpy as np
import pytest
from tiny_release import DESCRIPTION, tables, write

from mhdiff.cli import main
from ontology import Ontology, Recogniser, lexicon_build, load_rf2
from ontology.lexicon_store import FOLDER, MARKER, open_lexicon

TEXT = "No fever. Bacterial pneumonias, CAP and Alzheimer’s disease; ground-glass\nopacities."


@pytest.fixture
def folder(tiny, tmp_path):
    return tiny.save(tmp_path / "ontology")


def test_it_is_written_once_and_opened_afterwards(tiny, folder):
    expected = Recogniser(tiny)(TEXT)
    assert len(expected) == 5
    first = Recogniser(Ontology.open(folder))
    assert (first.built, first.held) == ("there was none yet", "")
    assert (folder / FOLDER / MARKER).is_file()
    second = Recogniser(Ontology.open(folder))
    assert (second.built, second.held) == ("", "")
    assert isinstance(second.lexicon.edges.base, np.memmap)
    assert first(TEXT) == second(TEXT) == expected
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []
    assert Ontology.open(folder, verify=True).fingerprint == tiny.fingerprint


def test_one_that_is_on_no_disk_is_held_in_memory(tiny):
    recognise = Recogniser(tiny)
    assert recognise.built == recognise.held == "the ontology is not on disk"


def test_a_folder_that_is_gone_is_not_made_again(folder):
    ontology = Ontology.open(folder)
    assert ontology.terms.height
    shutil.rmtree(folder)
    assert Recogniser(ontology)(TEXT)
    assert not folder.exists()


def spoil(folder, damage):
    lexicon = folder / FOLDER
    marker, edges = lexicon / MARKER, lexicon / "edges.npy"
    document = json.loads(marker.read_text())
    if damage == "no marker":
        marker.unlink()
    elif damage == "no json":
        marker.write_text("{")
    elif damage == "format":
        marker.write_text(json.dumps({**document, "format": 1}))
    elif damage == "fingerprint":
        marker.write_text(json.dumps({**document, "fingerprint": "0" * 64}))
    elif damage == "rules":
        marker.write_text(json.dumps({**document, "rules": "0" * 64}))
    elif damage == "bit":
        content = bytearray(edges.read_bytes())
        content[-3] ^= 1
        edges.write_bytes(content)
    elif damage == "short":
        edges.write_bytes(edges.read_bytes()[:-8])
    elif damage == "empty":
        edges.write_bytes(b"")
    else:
        edges.unlink()


@pytest.mark.parametrize(
    "damage",
    ["no marker", "no json", "format", "fingerprint", "rules", "bit", "short", "empty", "no file"],
)
def test_a_damaged_or_older_one_is_built_again(tiny, folder, damage):
    Recogniser(Ontology.open(folder))
    spoil(folder, damage)
    again = Recogniser(Ontology.open(folder))
    assert again.built.startswith("that on disk")
    assert again.held == ""
    assert again(TEXT) == Recogniser(tiny)(TEXT)
    assert Recogniser(Ontology.open(folder)).built == ""


def test_that_of_another_ontology_is_not_trusted(tiny, folder, tmp_path):
    files = tables()
    files[DESCRIPTION] = [row for row in files[DESCRIPTION] if row[7] != "CAP"]
    other = load_rf2(write(tmp_path / "release", files)).save(tmp_path / "other")
    Recogniser(Ontology.open(other))
    shutil.copytree(other / FOLDER, folder / FOLDER)
    assert "another ontology" in Recogniser(Ontology.open(folder)).built
    assert Recogniser(Ontology.open(folder))(TEXT) == Recogniser(tiny)(TEXT)


def test_other_rules_make_another_lexicon(folder, monkeypatch):
    Recogniser(Ontology.open(folder))
    before = lexicon_build.rules()
    monkeypatch.setattr(lexicon_build, "fold", str.lower)
    assert lexicon_build.rules() != before
    assert Recogniser(Ontology.open(folder)).built == "that on disk was made by other rules"


@pytest.mark.parametrize("place", ["lexicon", "a file"])
def test_what_is_somebody_elses_stays(tiny, folder, place):
    theirs = folder / FOLDER
    if place == "lexicon":
        theirs.mkdir()
        (theirs / "thesis.txt").write_text("years of work")
    else:
        theirs.write_text("years of work")
    recognise = Recogniser(Ontology.open(folder))
    assert recognise(TEXT) == Recogniser(tiny)(TEXT)
    assert "replaced" in recognise.held or "a file stands" in recognise.held
    assert "years of work" in (theirs if theirs.is_file() else theirs / "thesis.txt").read_text()


def test_a_folder_that_cannot_be_written_to_is_no_failure(tiny, folder, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr("ontology.files.tempfile.mkdtemp", refuse)
    recognise = Recogniser(Ontology.open(folder))
    assert "Permission denied" in recognise.held
    assert recognise(TEXT) == Recogniser(tiny)(TEXT)
    assert not (folder / FOLDER).exists()


def test_other_tags_are_not_kept(folder):
    recognise = Recogniser(Ontology.open(folder), not_sought=["disorder"])
    assert recognise.held == "other semantic tags are left out"
    assert [mention.text for mention in recognise("Fever and asthma.")] == ["Fever"]
    assert not (folder / FOLDER).exists()


def test_build_writes_it_at_once(tmp_path, capsys):
    release, out = write(tmp_path / "release"), tmp_path / "built"
    assert main(["ontology", "build", str(release), "--out", str(out), "--lexicon"]) == 0
    assert "lexicon" in capsys.readouterr().err
    stored = open_lexicon(out / FOLDER)
    assert Recogniser(Ontology.open(out)).built == ""
    assert stored.fingerprint == Ontology.open(out).fingerprint
    # a new build leaves no lexicon of the old one
    assert main(["ontology", "build", str(release), "--out", str(out)]) == 0
    assert not (out / FOLDER).exists()
    assert main(["ontology", "build", str(release), "--lexicon"]) == 2
    assert "--out" in capsys.readouterr().err
