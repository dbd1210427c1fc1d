import json

import numpy as np
import pytest

from ontology import InputError, Ontology
from ontology.store import content_hash


@pytest.fixture
def folder(tiny, tmp_path):
    return tiny.save(tmp_path / "onto")


def test_round_trip(tiny, folder):
    again = Ontology.open(folder)
    assert again.name == tiny.name
    assert again.report.as_dict() == tiny.report.as_dict()
    assert again.fingerprint == tiny.fingerprint == content_hash(again)
    assert again.terms.equals(tiny.terms)
    assert again.maps.equals(tiny.maps)
    for column in ("source", "target", "type", "group"):
        assert np.array_equal(getattr(again.relations, column), getattr(tiny.relations, column))
    assert np.array_equal(again.sctids, tiny.sctids)
    assert np.array_equal(again.defined, tiny.defined)
    assert not again.sctids.flags.writeable
    assert (again.closure != tiny.closure).nnz == 0
    for sctid in tiny.sctids.tolist():
        assert again.term(sctid) == tiny.term(sctid)
        for itself in (False, True):
            assert np.array_equal(again.ancestors(sctid, itself), tiny.ancestors(sctid, itself))


def test_saving_again_replaces_and_leaves_nothing_behind(tiny, folder):
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    tiny.save(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == first
    assert [path.name for path in folder.parent.iterdir()] == ["onto"]


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_every_damaged_file_is_noticed(folder, damage):
    columns = sorted(path for path in folder.iterdir() if path.name != "ontology.json")
    assert len(columns) == 29
    for path in columns:
        whole = path.read_bytes()
        if damage == "remove":
            path.unlink()
        else:
            middle = len(whole) // 2
            path.write_bytes(
                whole[:middle]
                + (bytes([whole[middle] ^ 1]) + whole[middle + 1 :] if damage == "flip" else b"")
            )
        with pytest.raises(InputError, match=rf"{path.name}.*mhdiff ontology build"):
            Ontology.open(folder)
        path.write_bytes(whole)
    Ontology.open(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(format=99), "format 99"),
        (lambda d: d.pop("fingerprint"), "'fingerprint' is missing"),
        (lambda d: d["sha256"].pop("terms.arrow"), "no checksum of terms.arrow"),
        (lambda d: d.update(sha256=[]), "'sha256' is missing or of the wrong kind"),
    ],
)
def test_a_marker_that_says_something_else_is_refused(folder, change, message):
    document = json.loads((folder / "ontology.json").read_text())
    change(document)
    (folder / "ontology.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match=message):
        Ontology.open(folder)


def test_what_is_no_ontology_is_refused_with_the_remedy(tmp_path, folder, tiny):
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(InputError, match="mhdiff ontology build"):
            Ontology.open(path)
    (folder / "ontology.json").write_text("{")
    with pytest.raises(InputError, match="no JSON"):
        Ontology.open(folder)
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="not replaced"):
        tiny.save(other)
    assert (other / "thesis.txt").read_text() == "mine"
