import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_release import CONCEPTS, IDS

from ontology import InputError, Ontology, Recogniser, load_rf2
from ontology.inflect import fold
from ontology.lexicon import Lexicon
from ontology.lexicon_store import MARKER
from tests.searches import examples

ALPHABET = "pneumonia bacterial viral COVID-19,.;?\n’'s É²\u0301\x00"
TEXT = "No fever. Bacterial pneumonias, CAP and Alzheimer’s disease; ground-glass\nopacities. edema TB"


@pytest.fixture(scope="module")
def lexicon(tiny):
    return Lexicon.build(tiny)


def test_a_saved_lexicon_finds_the_same(tiny, lexicon, tmp_path):
    folder = lexicon.save(tmp_path / "lexicon")
    opened = Lexicon.open(folder)
    assert isinstance(opened.edges.base, np.memmap)
    assert (opened.terms, opened.skipped, opened.source) == (lexicon.terms, lexicon.skipped, lexicon.source)
    built = Recogniser(tiny)
    assert built(TEXT)
    for stored in (folder, str(folder), opened):
        found = Recogniser(tiny, lexicon=stored)
        assert found(TEXT) == built(TEXT)
        assert (found.terms, found.skipped) == (built.terms, built.skipped)
    lexicon.save(folder)  # again, over the older one


def test_every_term_is_a_path_of_its_words(tiny, lexicon):
    assert np.all(np.diff(lexicon.edges.astype(object)) > 0)
    for key, names in CONCEPTS.items():
        if key in ("site", "loinc", "above"):  # tags that are not sought
            continue
        node = tiny.index(IDS[key])
        for name in names.split(" | ")[1:]:
            words = [
                lexicon.vocabulary[fold(word)]
                for word in name.strip('"').replace("-", " ").replace(",", " ,").split()
            ]
            state = np.array([lexicon.root[words[0]]], dtype=np.int64)
            for word in words[1:]:
                state = lexicon.follow(state, np.array([word]))
            entries = lexicon.entry_nodes[lexicon.entry_starts[state[0]] : lexicon.entry_starts[state[0] + 1]]
            assert state[0] > 0
            assert node in entries


def test_no_accident_of_a_hash_is_a_match(lexicon):
    """With a bitmap that lets everything through, the same paths are found."""
    blind = replace(lexicon, filter=np.full(128, 255, np.uint8))
    states = np.repeat(np.arange(1, len(lexicon.edges) + 1), len(lexicon.vocabulary))
    words = np.tile(np.arange(len(lexicon.vocabulary)), len(lexicon.edges))
    reached = lexicon.follow(states, words)
    assert (reached == blind.follow(states, words)).all()
    below = lexicon.edges[lexicon.edges >= 1 << 32]
    assert np.count_nonzero(reached) == len(below)


def test_an_ontology_without_terms(tiny):
    empty = replace(tiny, terms=tiny.terms.head(0))
    recognise = Recogniser(empty)
    assert recognise.terms == 0
    assert recognise("Fever and cough.") == []


def test_the_lexicon_of_another_ontology_is_refused(tiny, lexicon):
    other = replace(tiny, terms=tiny.terms.head(10))
    with pytest.raises(InputError, match="another ontology"):
        Recogniser(other, lexicon=lexicon)


@pytest.mark.parametrize("damage", ["marker", "json", "format", "short", "kind", "missing", "keys"])
def test_a_damaged_lexicon_is_refused(lexicon, tmp_path, damage):
    folder = lexicon.save(tmp_path / "lexicon")
    marker = folder / MARKER
    if damage == "marker":
        marker.unlink()
    elif damage == "json":
        marker.write_text("{")
    elif damage == "format":
        marker.write_text(json.dumps({**json.loads(marker.read_text()), "format": 99}))
    elif damage == "keys":
        marker.write_text("[]")
    elif damage == "short":
        (folder / "edges.npy").write_bytes((folder / "edges.npy").read_bytes()[:-8])
    elif damage == "kind":
        np.save(folder / "edges.npy", np.zeros(len(lexicon.edges), np.int8))
    else:
        (folder / "words.npy").unlink()
    with pytest.raises(InputError):
        Lexicon.open(folder)


def test_a_folder_of_somebody_else_is_not_replaced(lexicon, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="not replaced"):
        lexicon.save(tmp_path / "mine")


@settings(deadline=None, max_examples=examples(200))
@given(
    st.lists(
        st.text(alphabet=st.sampled_from(ALPHABET), max_size=60),
        max_size=6,
    )
)
def test_many_texts_give_what_each_gives_alone(tiny, lexicon, texts):
    recognise = Recogniser(tiny, lexicon=lexicon)
    texts = [*texts, TEXT]
    together = recognise.many(texts)
    assert together == [recognise(text) for text in texts]
    for text, mentions, spans in zip(texts, together, recognise.spans(texts), strict=True):
        assert sorted({(m.start, m.end) for m in mentions}) == [(s.start, s.end) for s in spans]
        assert all(text[m.start : m.end] == m.text for m in mentions)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("nodule", "Nodules"), ("biopsy", "biopsies"), ("metastasis", "metastases"), ("disease", "diseases"),
        ("virus", "viruses"), ("cause", "causes"), ("vertebra", "vertebrae"), ("Crohn", "Crohn’s"),
        ("WBC", "WBCs"), ("pneumothorax", "pneumothoraces"), ("bronchitis", "bronchitides"),
        ("carcinoma", "carcinomata"), ("streptococcus", "streptococci"), ("embolus", "emboli"),
        ("crisis", "crises"), ("foot", "feet"), ("abscess", "abscesses"),
    ],
)  # fmt: skip
def test_inflected_words_are_one(one, other):
    assert fold(one) == fold(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("pneumonia", "pneumoniae"), ("virus", "viral"), ("infection", "infected"), ("mass", "mast")],
)
def test_other_words_are_not(one, other):
    assert fold(one) != fold(other)


def release(tmp_path, terms):
    """A release whose synonyms of "cough" are replaced by terms with a case significance."""
    import tiny_release

    files = tiny_release.tables()
    rows = files[tiny_release.DESCRIPTION]
    model = next(row for row in rows if row[7] == "Cough")
    for number, (term, case) in enumerate(terms):
        row = list(model)
        row[0], row[7] = tiny_release.make_sctid(900 + number, tiny_release.NAMESPACE, "11"), term
        row[8] = {"ci": 900000000000448009, "CS": 900000000000017005, "cI": 900000000000020002}[case]
        rows.append(row)
    return load_rf2(tiny_release.write(tmp_path / "case", files))


CASED = [
    ("Crohn's disease", "CS"),
    ("Infection by Pseudomonas", "cI"),
    ("Still's disease", "CS"),
    ("CT scan", "CS"),
    ("Low vitamin B12", "cI"),
]


@pytest.mark.parametrize(
    ("text", "lenient", "strict"),
    [
        ("Crohn's disease", True, True),
        ("crohn's disease", True, False),
        ("infection by Pseudomonas", True, True),
        ("Infections by Pseudomonas", True, True),
        ("infection by pseudomonas", True, False),
        ("Still's disease", True, True),
        ("still disease", False, False),  # an everyday word
        ("CT scans", True, True),
        ("ct scan", False, False),
        ("low vitamin B12", True, True),  # the first letter of a cI term is free, also of an everyday word
        ("Low Vitamin B12", True, False),
    ],
)
def test_case_significance(tmp_path, text, lenient, strict):
    ontology = release(tmp_path, CASED)
    assert isinstance(ontology, Ontology)
    wanted = IDS["cough"]
    for strict_case, expected in ((False, lenient), (True, strict)):
        found = Recogniser(ontology, strict_case=strict_case)(text)
        assert (wanted in [m.sctid for m in found]) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("COVID-19-related pneumonia", ["COVID-19", "pneumonia"]),
        ("asthma-TB overlap", ["asthma", "TB"]),
        ("TB-CoV-2", []),  # a longer name
        ("TB-3", []),
        ("a non-pneumonia state", []),
        ("pneumonia-like picture", []),
        ("pneumonia - cough", ["pneumonia", "cough"]),
        ("fever.\nCough", ["fever", "Cough"]),
        ("bacterial. Pneumonia", ["Pneumonia"]),  # no term over the end of a sentence
        ("bacterial\npneumonia", ["bacterial\npneumonia"]),
    ],
)
def test_chains_and_sentence_ends(tiny, lexicon, text, expected):
    assert [m.text for m in Recogniser(tiny, lexicon=lexicon)(text)] == expected


def test_overlapping_terms(tiny, lexicon):
    text = "community acquired pneumonia"
    every = Recogniser(tiny, lexicon=lexicon, overlapping=True).spans([text])[0]
    assert [text[s.start : s.end] for s in every] == ["community acquired pneumonia", "pneumonia"]
    assert len(Recogniser(tiny, lexicon=lexicon).spans([text])[0]) == 1
