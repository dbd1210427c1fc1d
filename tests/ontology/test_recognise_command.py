"""`mhdiff ontology recognise`: notes as an argument, on stdin, in files and as JSON lines."""

import io
import json
import sys

import pytest
import tiny_release
from tiny_release import IDS

from mhdiff.cli import main

FEVER, COUGH, ASTHMA = IDS["fever"], IDS["cough"], IDS["asthma"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("recognise")
    source = tiny_release.write(place / "tiny")
    assert main(["ontology", "build", str(source), "--out", str(place / "o")]) == 0
    return place / "o"


def ask(capsys, monkeypatch, *arguments, stdin=b""):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
    capsys.readouterr()
    code = main(["ontology", "recognise", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def said(mentions):
    return [(m["sctid"], m["polarity"], m["start"], m["end"]) for m in mentions]


def test_one_note(folder, capsys, monkeypatch):
    code, out, err = ask(capsys, monkeypatch, folder, "No fever, but cough.", "--json")
    assert code == 0
    document = json.loads(out)
    assert said(document) == [(FEVER, "absent", 3, 8), (COUGH, "present", 14, 19)]
    assert document[0]["term"] == "Fever"
    assert "built the lexicon (there was none yet)" in err
    _, out, err = ask(capsys, monkeypatch, folder, "No fever, but cough.")
    assert out.splitlines() == [
        f"    3-8     absent      {FEVER}  Fever  ('fever')",
        f"   14-19    present     {COUGH}  Cough  ('cough')",
    ]
    assert "lexicon" not in err
    assert ask(capsys, monkeypatch, folder, "Nothing.", "--json")[:2] == (0, "[]\n")


def test_stdin_and_files_keep_their_characters(folder, capsys, monkeypatch, tmp_path):
    note = "\ufeffÜbel:\r\n\r\nno fever 🤒\r\nCough".encode()
    expected = [(FEVER, "absent", 12, 17), (COUGH, "present", 21, 26)]
    assert said(json.loads(ask(capsys, monkeypatch, folder, "--json", stdin=note)[1])) == expected
    (tmp_path / "a.txt").write_bytes(note)
    (tmp_path / "b.txt").write_text("Mother: asthma")
    one = ask(capsys, monkeypatch, folder, "--file", tmp_path / "a.txt", "--json")[1]
    assert said(json.loads(one)) == expected
    both = ["--file", tmp_path / "a.txt", "--file", tmp_path / "b.txt"]
    documents = json.loads(ask(capsys, monkeypatch, folder, *both, "--json")[1])
    assert [document["file"] for document in documents] == [str(tmp_path / "a.txt"), str(tmp_path / "b.txt")]
    assert said(documents[1]["mentions"]) == [(ASTHMA, "family", 8, 14)]
    out = ask(capsys, monkeypatch, folder, *both)[1]
    assert out.splitlines()[0] == f"{tmp_path / 'a.txt'}:"
    assert len(out.splitlines()) == 5


def test_many_notes_as_lines(folder, capsys, monkeypatch, tmp_path):
    notes = [
        {"id": "n1", "text": "No fever."},
        "Cough",
        {"text": "", "id": 7},
        {"text": "CAP\nTB", "more": 1},
    ]
    lines = "\n".join(map(json.dumps, notes)).encode() + b"\r\n\r\n"
    code, out, err = ask(capsys, monkeypatch, folder, "--lines", stdin=lines)
    assert code == 0
    assert "reading 4 notes" in err
    assert "1 blank lines" in err
    documents = [json.loads(line) for line in out.splitlines()]
    assert [document.get("id") for document in documents] == ["n1", None, 7, None]
    assert [document["line"] for document in documents] == [1, 2, 3, 4]
    assert [len(document["mentions"]) for document in documents] == [1, 1, 0, 2]
    (tmp_path / "notes.jsonl").write_bytes(lines)
    out = ask(capsys, monkeypatch, folder, "--lines", "--json", "--file", tmp_path / "notes.jsonl")[1]
    assert [document["mentions"] for document in json.loads(out)] == [d["mentions"] for d in documents]
    assert ask(capsys, monkeypatch, folder, "--lines", stdin=b"")[:2] == (0, "")
    assert json.loads(ask(capsys, monkeypatch, folder, "--lines", "--json", stdin=b"")[1]) == []


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        (["--lines"], b'"fine"\n{"text": ', "stdin, line 2: the line is no JSON"),
        (["--lines"], b'{"note": "x"}', "line 1, column 'text': the line holds no text"),
        (["--lines"], b"12", "holds no text"),
        (["--lines"], b'"\\ud800"', "surrogate"),
        (["--lines"], b"[" * 100_000, "line 1"),
        ([], b"fever\n\xff", "stdin, line 2: the text is not UTF-8 (byte 7)"),
        (["--file", "nowhere.txt"], b"", "nowhere.txt: the file cannot be read"),
        (["fever", "--lines"], b"", "both"),
        (["fever", "--file", "x"], b"", "both"),
    ],
)
def test_wrong_input(folder, capsys, monkeypatch, arguments, stdin, message):
    code, out, err = ask(capsys, monkeypatch, folder, *arguments, stdin=stdin)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err
