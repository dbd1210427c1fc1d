"""Other formats and built folders: the reader's refusal is a problem, and so is what the ontology cannot hold."""

import json
import shutil

import numpy as np
import pytest
import tiny_release
from tiny_release import IDS

from ontology import Ontology
from ontology.files import sha256
from ontology.validation import validate

OBO = """format-version: 1.4
ontology: x

[Term]
id: X:1
name: top

[Term]
id: X:2
name: one
is_a: X:1

[Term]
id: X:3
is_a: X:2
is_a: X:9
"""


def test_an_obo_file_with_loose_ends(tmp_path):
    path = tmp_path / "x.obo"
    path.write_text(OBO)
    problems = {(p.kind, p.column, p.value) for p in validate(path).problems()}
    assert problems == {("dangling", "target", "X:9"), ("no-name", "concept", "X:3")}
    path.write_text(OBO.replace("name: top", "name: top\nis_a: X:3").replace("is_a: X:9\n", "name: two\n"))
    problems = list(validate(path).problems())
    assert {(p.kind, p.value) for p in problems} == {("cycle", "X:1"), ("cycle", "X:2"), ("cycle", "X:3")}
    assert "is a" in problems[0].message
    path.write_text(OBO.replace("name: one", "nmae one"))
    (problem,) = validate(path).problems()
    assert (problem.kind, problem.line) == ("refused", 10)
    assert problem.severity == "error"


def test_tables_with_a_row_that_is_cut_off(tmp_path):
    (tmp_path / "nodes.csv").write_text("id,name\nX:1,first\nX:2,second\n")
    (tmp_path / "edges.csv").write_text("source,target\nX:2,X:1\nX:2,X:3\n")
    (problem,) = validate(tmp_path).problems()
    assert (problem.kind, problem.column, problem.value) == ("dangling", "target", "X:3")
    assert problem.message.endswith("X:2 is a X:3")
    (tmp_path / "edges.csv").write_text("source\nX:2\n")
    (problem,) = validate(tmp_path).problems()
    assert (problem.kind, problem.file) == ("refused", str(tmp_path / "edges.csv"))
    with pytest.raises(Exception, match="one by one"):
        validate([tmp_path, tmp_path])


@pytest.fixture
def built(tiny, tmp_path):
    return tiny.save(tmp_path / "built")


def test_a_built_folder_is_in_order(built):
    assert list(validate(built).problems()) == []
    (built / "lexicon").mkdir()
    assert [entry["file"] for entry in validate(built).unread] == [str(built / "lexicon")]


def test_damaged_files_of_a_built_folder_are_all_named(built):
    data = bytearray((built / "depth.npy").read_bytes())
    data[-1] ^= 1
    (built / "depth.npy").write_bytes(data)
    (built / "maps.arrow").unlink()
    with (built / "terms.arrow").open("ab") as file:
        file.write(b"x")
    problems = {(p.kind, p.file, p.message.rpartition(": ")[2]) for p in validate(built).problems()}
    size = (built / "terms.arrow").stat().st_size
    assert problems == {
        ("damaged", str(built / "depth.npy"), "its checksum differs"),
        ("damaged", str(built / "maps.arrow"), "it is missing"),
        ("damaged", str(built / "terms.arrow"), f"{size:,} bytes instead of {size - 1:,}"),
    }
    (built / "ontology.json").write_text("{")
    assert [p.kind for p in validate(built).problems()] == ["damaged"]


def rewrite(folder, name, array):
    """Change a column, and vouch for it as if it had been written so."""
    np.save(folder / name, array)
    document = json.loads((folder / "ontology.json").read_text())
    document["sha256"][name] = sha256(folder / name)
    document["bytes"][name] = (folder / name).stat().st_size
    (folder / "ontology.json").write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("depth.npy", lambda a: a + 1),
        ("closure_indices.npy", lambda a: a[::-1]),
        ("children_indices.npy", lambda a: a[::-1]),
        ("term_starts.npy", lambda a: a[::-1]),
        ("sctids.npy", lambda a: a[::-1]),
        ("relation_target.npy", lambda a: a + 1000),
        ("relation_types.npy", lambda a: a[::-1]),
        ("relation_group.npy", lambda a: a[:-1]),
        ("defined.npy", lambda a: a[:-1]),
    ],
)
def test_columns_and_indexes_that_contradict_one_another(built, name, change):
    rewrite(built, name, change(np.load(built / name)))
    problems = list(validate(built).problems())
    assert ("inconsistent", str(built / name)) in {(p.kind, p.file) for p in problems}
    assert {p.severity for p in problems} == {"error"}


def test_a_circle_and_a_wrong_fingerprint_in_a_built_folder(tiny, built, tmp_path):
    copy = shutil.copytree(built, tmp_path / "copy")
    groups = np.load(built / "relation_group.npy")
    rewrite(built, "relation_group.npy", groups + 1)
    assert [p.message.rpartition(": ")[2] for p in validate(built).problems()] == [
        "the fingerprint is not that of the content"
    ]
    ontology = Ontology.open(copy)
    target, source = np.load(copy / "relation_target.npy"), np.load(copy / "relation_source.npy")
    up = np.flatnonzero(
        (source == ontology.index(IDS["pneumonia"])) & (np.load(copy / "relation_type.npy") == 0)
    )
    target[up[0]] = ontology.index(IDS["covid"])
    rewrite(copy, "relation_target.npy", target)
    (problem,) = validate(copy).problems()
    assert problem.message.endswith("is-a goes in circles")


def test_rf2_is_told_from_other_formats(tmp_path):
    assert validate(tiny_release.write(tmp_path / "tiny")).format == "rf2"
