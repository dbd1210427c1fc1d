"""Search against a plain walk over all terms, and the index in the ontology's folder."""

import json
import re
import shutil
import unicodedata

import numpy as np
import polars as pl
import pytest
import tiny_release
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_release import IDS

from mhdiff.cli import main
from ontology import Ontology, load
from ontology.assemble import assemble
from ontology.codes import Keys
from ontology.inflect import fold
from ontology.parts import CONCEPTS, Parts
from ontology.report import LoadReport
from ontology.tables import fill
from ontology.words import FOLDER, MARKER, Words
from tests.searches import examples

PIECES = [
    "pneumonia", "Pneumonias", "lung", "of", "Sjögren's", "sjogren", "œdème", "COVID-19", "Straße", "opacities",
    "opacity", "a", "an", "A's", "É", "é", "肺炎", "ﬁbrosis", "feet", "foot", "x_y", "½", "(disorder)", "’s", "ΣΑΣ",
]  # fmt: skip
TERMS = st.one_of(
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map(" ".join),
    st.text(alphabet="abcsé'- _(9", min_size=1, max_size=8),
    st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=6),
)
BEGINNINGS = st.sampled_from(PIECES).flatmap(lambda p: st.integers(1, len(p)).map(lambda n: p[:n]))
QUERIES = st.one_of(TERMS, st.lists(BEGINNINGS, max_size=3).map(" ".join))


def ontology_of(rows, size):
    """An ontology of the concepts 1..size active and as many inactive; rows are (concept, term, kind, preferred)."""
    table = pl.DataFrame(
        rows, {"sctid": pl.Int64, "term": pl.String, "kind": pl.String, "preferred": pl.Boolean}, orient="row"
    )
    numbers = np.arange(1, size + 1)
    parts = Parts(concepts=fill(CONCEPTS, {"sctid": numbers}), terms=table)
    parts.inactive = fill({k: v for k, v in parts.inactive.schema.items()}, {"sctid": numbers + size})
    return assemble("random", parts, LoadReport())


def plain_words(text):
    """The same words another way: letter by letter."""
    text = unicodedata.normalize(
        "NFKD", unicodedata.normalize("NFKD", text).casefold() if not text.isascii() else text.lower()
    )
    text = "".join(c for c in text if unicodedata.combining(c) == 0)
    for old, new in {
        "œ": "oe",
        "æ": "ae",
        "ø": "o",
        "ł": "l",
        "đ": "d",
        "ð": "d",
        "þ": "th",
        "ħ": "h",
        "ı": "i",
    }.items():
        text = text.replace(old, new)
    text = re.sub(r"(?<=[^\W_])['’]s(?![\w])", "", text)
    return "".join(c if c.isalnum() else " " for c in text).split()


def brute(onto, query, inactive):
    wanted = plain_words(query)
    if not wanted:
        return []
    rows = [
        (int(onto.sctids[n]), *rest, False)
        for n, *rest in onto.terms.select("concept", "term", "kind", "preferred").iter_rows()
    ]
    rows += [
        (*row, True) for row in onto.inactive_terms.select("sctid", "term", "kind", "preferred").iter_rows()
    ]
    ranked = []
    for place, (sctid, term, kind, preferred, retired) in enumerate(rows):
        if kind not in ("fsn", "synonym") or (retired and not inactive):
            continue
        words = plain_words(term)
        begins = (
            words[: len(wanted) - 1] == wanted[:-1]
            and words[len(wanted) - 1 : len(wanted)]
            and words[len(wanted) - 1].startswith(wanted[-1])
        )
        matches = all(any(w.startswith(q) or fold(w) == fold(q) for w in words) for q in wanted)
        if matches or begins:
            ranked.append(
                (words != wanted, not begins, retired, kind == "fsn", not preferred, len(term), place, sctid)
            )
    return list(dict.fromkeys(row[-1] for row in sorted(ranked)))


@given(
    st.lists(
        st.tuples(
            st.integers(1, 6),
            TERMS,
            st.sampled_from(["fsn", "synonym", "synonym", "definition"]),
            st.booleans(),
        ),
        max_size=12,
    ),
    st.lists(QUERIES, min_size=1, max_size=6),
    st.integers(1, 9),
)
@settings(max_examples=examples(120), deadline=None)
def test_search_agrees_with_a_plain_walk(rows, queries, limit):
    onto = ontology_of(rows, 3)
    for query in (*queries, *(row[1] for row in rows)):
        if query.strip().isdecimal():
            continue  # an identifier, perhaps
        for inactive in (False, True):
            expected = brute(onto, query, inactive)
            assert onto.search(query, 100, inactive) == expected, (query, inactive)
            assert onto.search(query, limit, inactive) == expected[:limit]


def test_more_terms_than_are_put_in_order_at_once():
    rng = np.random.default_rng(3)
    rows = [
        (int(rng.integers(1, 40)), f"{'lung' * int(rng.integers(0, 2))} {'of ' * int(rng.integers(0, 9))}lobe {i % 7}",
         "synonym" if i % 3 else "fsn", bool(i % 2))
        for i in range(3000)
    ]  # fmt: skip
    onto = ontology_of(rows, 40)
    for query in ("l", "lo", "lobe", "lung", "of lobe", "lobe of 3", "lung lobe", "lobe 3 o l"):
        assert onto.search(query, 60) == brute(onto, query, False)


def test_what_people_type(tiny):
    def found(text):
        return [key for s in tiny.search(text) for key, sctid in IDS.items() if sctid == s]

    assert found("pneumonia")[0] == "pneumonia"
    assert found("PNEUMONIAS")[0] == "pneumonia"
    assert found("pneum bact") == ["bacterial"]
    assert found("alzheimers") == found("Alzheimer's dis") == ["alzheimer"]
    assert found("walking pneu") == ["viral"]
    assert found("opacities ground") == ["opacity"]
    assert found("") == found("()") == tiny.search("lung", 0) == []


def test_identifiers_in_any_spelling(tiny, tmp_path):
    lung = IDS["lung"]
    for text in (
        str(lung),
        f" {lung} ",
        f"http://snomed.info/id/{lung}",
        f"<http://snomed.info/id/{lung}>",
        f"SCTID:{lung}",
    ):
        assert tiny.search(text) == [lung]
    node = tiny.index(lung)
    description = int(tiny.terms.filter(pl.col("concept") == node)["id"][0])
    assert tiny.search(str(description)) == [lung]
    assert tiny.search("999") == []
    keys = Keys()
    ours, other = keys("DOID:1816"), keys("http://example.org/x#C7")
    coded = assemble(
        "coded",
        Parts(
            concepts=fill(CONCEPTS, {"sctid": [ours, other]}), codes=keys.frame(),
            terms=pl.DataFrame({"sctid": [ours, other], "term": ["angiosarcoma", "seven"], "kind": "synonym"}),
        ),
        LoadReport(),
    )  # fmt: skip
    for text in ("DOID:1816", "doid:1816", "1816", "http://purl.obolibrary.org/obo/DOID_1816"):
        assert coded.search(text) == [ours]
    assert coded.search("C7") == coded.search("http://example.org/x#C7") == [other]
    assert coded.search("816") == []


@pytest.fixture
def saved(tmp_path):
    return load(tiny_release.write(tmp_path / "tiny")).save(tmp_path / "o")


def answers(onto):
    return {q: onto.search(q, 50, True) for q in ("p", "pneumonia", "of lung", "disorder", "walk")}


def test_the_index_is_kept_and_used_again(saved, tiny):
    first = Ontology.open(saved)
    assert not (saved / FOLDER).exists()
    expected = answers(first)
    assert expected == answers(tiny)
    made = {file.name: file.stat().st_mtime_ns for file in (saved / FOLDER).iterdir()}
    assert MARKER in made
    assert answers(Ontology.open(saved)) == expected
    assert {file.name: file.stat().st_mtime_ns for file in (saved / FOLDER).iterdir()} == made
    assert Ontology.open(saved, verify=True).fingerprint == first.fingerprint


@pytest.mark.parametrize(
    "name",
    [
        "vocabulary.npy",
        "forms.npy",
        "form_of.npy",
        "rows.npy",
        "alphabet.npy",
        "starts.npy",
        "postings.npy",
        MARKER,
    ],
)
@pytest.mark.parametrize("harm", ["flip", "cut", "gone", "empty"])
def test_a_damaged_index_is_made_anew(saved, name, harm):
    expected = answers(Ontology.open(saved))
    file = saved / FOLDER / name
    good = file.read_bytes()
    if harm == "gone":
        file.unlink()
    else:
        bad = {
            "flip": good[:-9] + bytes([good[-9] ^ 85]) + good[-8:],
            "cut": good[: len(good) // 2],
            "empty": b"",
        }[harm]
        file.write_bytes(bad)
    assert answers(Ontology.open(saved)) == expected
    if name != MARKER or harm != "flip":  # a marker with another letter in it may still be right
        assert (saved / FOLDER / name).read_bytes() == good


def test_the_index_of_another_ontology_is_not_used(saved, tmp_path):
    answers(Ontology.open(saved))
    files = tiny_release.tables()
    next(row for row in files[tiny_release.DESCRIPTION] if row[-2] == "Cough")[-2] = "Pneumonia cough"
    other = load(tiny_release.write(tmp_path / "other", files)).save(tmp_path / "p")
    shutil.copytree(saved / FOLDER, other / FOLDER)
    assert IDS["cough"] in Ontology.open(other).search("pneumonia c")
    document = json.loads((other / FOLDER / MARKER).read_text())
    assert document["fingerprint"] == Ontology.open(other).fingerprint


def test_where_nothing_can_be_written_it_is_held_in_memory(saved, monkeypatch):
    expected = answers(Ontology.open(saved))
    shutil.rmtree(saved / FOLDER)
    (saved / FOLDER).write_text("a file of somebody else's")
    onto = Ontology.open(saved)
    assert answers(onto) == expected
    assert (saved / FOLDER).read_text() == "a file of somebody else's"
    (saved / FOLDER).unlink()

    def refused(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("ontology.files.tempfile.mkdtemp", refused)
    built = []
    monkeypatch.setattr(
        Words, "build", classmethod(lambda cls, o, real=Words.build.__func__: built.append(1) or real(cls, o))
    )
    onto = Ontology.open(saved)
    assert answers(onto) == expected == answers(onto)
    assert built == [1]
    assert not (saved / FOLDER).exists()


def test_saving_again_leaves_no_stale_index(saved, tmp_path):
    answers(Ontology.open(saved))
    load(tmp_path / "tiny").save(saved)
    assert not (saved / FOLDER).exists()


def test_the_verb_finds_inactive_concepts_when_asked(tmp_path, capsys):
    files = tiny_release.tables()
    next(row for row in files[tiny_release.CONCEPT] if row[0] == IDS["asthma"])[2] = 0
    source = tiny_release.write(tmp_path / "t", files)
    assert main(["ontology", "build", str(source), "--out", str(tmp_path / "o")]) == 0
    capsys.readouterr()
    for extra, lines in (([], []), (["--inactive"], [f"{IDS['asthma']}  Asthma (disorder)  (inactive)"])):
        for word in ("asth", str(IDS["asthma"])):
            assert main(["ontology", "search", str(tmp_path / "o"), word, *extra]) == 0
            assert capsys.readouterr().out.splitlines() == lines
    assert main(["ontology", "search", str(tmp_path / "o"), "asthma", "--inactive", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["sctid"], row["active"]) == (IDS["asthma"], False)
