"""The recogniser against spaCy + negspacy on real notes, and against the truth on notes that were made."""

import numpy as np
import polars as pl
import pytest
from spacy_peer import disagreements, in_our_sentences, interval, polarity_agreement, read, span_agreement

from mhdiff.cohort.synthetic.notes import Content, compose, style_of
from ontology import load
from ontology.builtin import write_rf2

ALIKE = ("present", "historical", "absent")  # what NegEx too can tell apart: denied or not
SPANS_OURS = {
    "inflection", "hyphens and other marks", "a name with hyphens is not cut", "they take the longest first",
    "spaCy's tokens end elsewhere",
}  # fmt: skip
SPANS_THEIRS = {
    "capitals", "a name with hyphens is not cut", "inside or across a longer term", "a sentence ends inside",
}  # fmt: skip
POLARITIES = {
    "a sentence ends", "uncertain is not absent", "somebody else's", "a phrase that NegEx has not",
    "only looks like a denial", "our scope ends before", "a quality is denied, not the thing",
}  # fmt: skip


@pytest.fixture(scope="module")
def builtin(tmp_path_factory):
    return load(write_rf2(tmp_path_factory.mktemp("builtin") / "rf2"))


@pytest.fixture(scope="module")
def real(shared):
    table = pl.read_csv(shared / "data" / "covid-chestxray" / "metadata.csv", infer_schema=False)
    return table["clinical_notes"].drop_nulls().unique().sort().to_list()


def explained(counts, classes):
    return sum(counts[name] for name in classes) / max(1, counts.total())


def report(title, peer, notes):
    """Print what docs/recognise.md says; `pytest -s` shows it."""
    lines = [f"\n{title}: {len(notes)} notes"]
    lines += [f"  spans, {name}: {figure}" for name, figure in span_agreement(notes).items()]
    lines += [f"  kappa of denied: {polarity_agreement(notes)}"]
    lines += [f"  kappa without uncertain and family: {polarity_agreement(notes, ALIKE)}"]
    same = in_our_sentences(peer, notes)
    lines += [f"  kappa in the same sentences: {polarity_agreement(same, ALIKE)}"]
    lines += [f"  {dict(counts.most_common())}" for counts in disagreements(peer, notes)]
    print("\n".join(lines))  # noqa: T201


@pytest.mark.parametrize(
    ("terminology", "f1", "of_theirs", "kappa", "kappa_same"),
    [("disease-ontology", 0.93, 0.90, 0.55, 0.80), ("builtin", 0.86, 0.95, 0.70, 0.85)],
)
def test_real_notes(shared, builtin, real, terminology, f1, of_theirs, kappa, kappa_same):
    ontology = builtin if terminology == "builtin" else load(shared / "data" / "rf2" / terminology)
    peer, notes = read(ontology, real)
    report(terminology, peer, notes)
    spans = span_agreement(notes)
    assert spans["F1"].n > 200
    assert spans["F1"].value > f1
    assert spans["of theirs, ours"].value > of_theirs
    assert polarity_agreement(notes, ALIKE).value > kappa
    assert polarity_agreement(in_our_sentences(peer, notes), ALIKE).value > kappa_same
    ours, theirs, polarity = disagreements(peer, notes)
    assert explained(ours, SPANS_OURS) == 1
    assert explained(theirs, SPANS_THEIRS) >= 0.95
    assert explained(polarity, POLARITIES) >= 0.95


def cohort_notes(ontology, count=400):
    """Make notes as the built-in cohort does, with {term: what the note says of it}."""
    rng, said = np.random.default_rng(7), ("present", "absent", "family", "historical")
    rows = ontology.terms.filter(pl.col("kind") == "synonym", pl.col("term").str.len_chars() > 4)
    tags = {node: ontology.semantic_tag(int(ontology.sctids[node])) for node in set(rows["concept"])}
    terms = sorted({t for node, t in rows.select("concept", "term").iter_rows()
                    if tags[node] in ("finding", "disorder")})  # fmt: skip
    for number in range(count):
        chosen = [terms[i] for i in rng.choice(len(terms), 9, replace=False)]
        parts = dict(zip(said, (chosen[:3], chosen[3:5], chosen[5:6], chosen[6:8]), strict=True))
        content = Content(
            present=parts["present"], repeated=[False] * 3, absent=parts["absent"], family=parts["family"],
            past=parts["historical"], question=chosen[8], age=int(rng.integers(20, 90)), female=bool(number % 2),
        )  # fmt: skip
        truth = {term.lower(): kind for kind, some in parts.items() for term in some}
        yield compose(content, style_of(number % 3), rng), truth | {chosen[8].lower(): "uncertain"}


def right(notes, truths, side, answer):
    """Give how often what one side says of a span is what the note was made to say, with an interval."""
    rows = []
    for note, truth in zip(notes, truths, strict=True):
        known = [(said, truth[note.text[slice(*span)].lower()]) for span, said in getattr(note, side).items()
                 if note.text[slice(*span)].lower() in truth]  # fmt: skip
        rows.append((sum(answer(said, true) for said, true in known), len(known)))
    counts = np.array(rows)
    return interval(counts, lambda c: c[0] / c[1], counts[:, 1].sum())


def test_notes_whose_truth_is_known(builtin):
    texts, truths = zip(*cohort_notes(builtin), strict=True)
    peer, notes = read(builtin, texts)
    report("built-in cohort", peer, notes)
    found = [sum(t in {n.text[slice(*s)].lower() for s in n.ours} for t in truth) / len(truth)
             for n, truth in zip(notes, truths, strict=True)]  # fmt: skip
    polarity = right(notes, truths, "ours", lambda said, true: said == true)
    denied = right(notes, truths, "ours", lambda said, true: (said == "absent") == (true == "absent"))
    negex = right(notes, truths, "theirs", lambda said, true: said == (true == "absent"))
    print(f"  terms found {np.mean(found):.3f}, polarity right {polarity}, denied {denied}, NegEx {negex}")  # noqa: T201
    assert np.mean(found) > 0.999
    assert polarity.n > 3000
    assert polarity.value > 0.99
    assert denied.value > negex.value - 0.005
    assert span_agreement(notes)["F1"].value > 0.95
    ours, theirs, said = disagreements(peer, notes)
    assert explained(ours, SPANS_OURS) == 1
    assert explained(theirs, SPANS_THEIRS) >= 0.95
    assert explained(said, POLARITIES) >= 0.95
