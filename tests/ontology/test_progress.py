import sys

import tiny_release

from mhdiff import console
from ontology import load_rf2
from ontology.progress import listening, step


def test_a_load_and_a_save_name_their_steps(tmp_path):
    source = tiny_release.write(tmp_path / "tiny")
    heard = []
    with listening(lambda what, done: heard.append((what, done))):
        ontology = load_rf2(source)
        ontology.save(tmp_path / "o")
    read = [(what, done) for what, done in heard if what.startswith("reading ")]
    assert {what.removeprefix("reading ") for what, _ in read} == {
        path.name for path in source.rglob("*.txt")
    }
    assert read[0][1] == 0
    assert [done for _, done in read] == sorted(done for _, done in read)
    assert all(0 <= done < 1 for _, done in heard if done is not None)
    assert ("indexing 24 concepts", None) in heard
    assert any(what.startswith("writing ") for what, _ in heard)
    before = len(heard)
    step("nobody hears this")
    assert len(heard) == before


def test_without_a_terminal_it_is_one_line(capsys):
    with console.steps("reading it"):
        step("a file", 0.5)
    assert capsys.readouterr().err == "reading it\n"


def test_without_a_terminal_a_long_load_tells_now_and_then(capsys, monkeypatch):
    monkeypatch.setattr(console, "_PAUSE", 0.0)
    with console.steps("reading it"):
        step("a file", 0.5)
        step("another")
    assert capsys.readouterr().err == "reading it\na file (50%)\nanother\n"


def test_on_a_terminal_it_is_a_bar(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with console.steps("reading it"):
        step("a file", 0.5)
        step("another")
    assert capsys.readouterr().out == ""
