"""The recogniser against spaCy's PhraseMatcher, on the same terms and the same notes in one run.

    python -m benchmarks.bench_recognise RELEASE [--terms N] [--notes N] [--no-peer]

RELEASE is an RF2 release or a saved ontology; `make_rf2.py --scale 1.0` gives one of full size. The notes are
made here: everyday clinical sentences with a term of the release in every second one. Both sides give spans;
the context rules, which the PhraseMatcher has no counterpart of, are a figure of their own.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.__main__ import line, median
from ontology import Ontology, Recogniser, load_rf2
from ontology.lexicon import Lexicon
from ontology.lexicon_build import sought_terms
from ontology.store import MARKER

SENTENCES = [
    "The patient was admitted with {} for three days.", "There is no evidence of {} on the film.",
    "Chest X-ray on admission showed bilateral opacities in both lower lobes.", "History of {}, now stable.",
    "Temperature was 38.5 C and oxygen saturation 93% on room air.", "Possible {}, follow-up in two weeks.",
    "She was started on antibiotics and improved over the next few days.", "{} was ruled out by CT.",
    "His mother had {} and his father was healthy.", "He was discharged home in good condition on day 12.",
]  # fmt: skip


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def notes(terms: list[str], count: int) -> list[str]:
    draw = np.random.default_rng(0)
    texts = []
    for _ in range(count):
        chosen = draw.integers(len(SENTENCES), size=15)
        filling = draw.integers(len(terms), size=15)
        texts.append(
            "\n".join(SENTENCES[s].format(terms[t]) for s, t in zip(chosen, filling, strict=True))
        )  # fmt: skip
    return texts


def spacy_matcher(terms: list[str]):
    import spacy
    from spacy.matcher import PhraseMatcher

    nlp = spacy.blank("en")
    matcher = PhraseMatcher(nlp.vocab, attr="LOWER")
    for first in range(0, len(terms), 10_000):
        matcher.add("term", [nlp.make_doc(term) for term in terms[first : first + 10_000]])
    return nlp, matcher


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("release", type=Path)
    parser.add_argument("--terms", type=int, default=0, help="give spaCy and us only the first N terms")
    parser.add_argument("--notes", type=int, default=1000)
    parser.add_argument("--no-peer", action="store_true", help="leave spaCy out")
    args = parser.parse_args()

    ontology = Ontology.open(args.release) if (args.release / MARKER).is_file() else load_rf2(args.release)
    if args.terms:
        object.__setattr__(ontology, "terms", ontology.terms.head(args.terms))
    before = peak()
    start = time.perf_counter()
    built = Lexicon.build(ontology)
    line("lexicon built", f"{time.perf_counter() - start:.2f} s", f"{built.terms:,} terms")
    line("  memory above the ontology's", f"{peak() - before} MiB", "peak")
    with tempfile.TemporaryDirectory() as name:
        folder = built.save(Path(name) / "lexicon")
        size = sum(file.stat().st_size for file in folder.iterdir()) / 2**20
        line("  on disk", f"{size:.0f} MiB")
        load = median(lambda: Recogniser(ontology, lexicon=folder)("Fever and cough."))
        line("lexicon opened and a first note read", f"{load:.3f} s", "limit 3 s, reach 0.5 s")
        # the same terms for both: those that are sought, each once
        sought = sought_terms(ontology)[0]["term"].unique(maintain_order=True).to_list()
        texts = notes(sought, args.notes)
        recognise = Recogniser(ontology, lexicon=folder)
        words = sum(len(text.split()) for text in texts)
        line("notes", f"{len(texts):,}", f"{words:,} words")
        cold = _once(lambda: recognise.spans(texts))
        batch = median(lambda: recognise.spans(texts))
        single = median(lambda: [recognise.spans([text]) for text in texts], 3)
        whole = median(lambda: recognise.many(texts), 3)
        line(
            "spans, a batch of notes",
            f"{words / batch / 1e6:.2f} M words/s",
            f"first time {cold / batch:.1f} x",
        )
        line("spans, note by note", f"{words / single / 1e6:.2f} M words/s")
        line("mentions with context rules, a batch", f"{words / whole / 1e6:.2f} M words/s")
        if args.no_peer:
            return
        start = time.perf_counter()
        nlp, matcher = spacy_matcher(sought)
        line("PhraseMatcher filled", f"{time.perf_counter() - start:.1f} s", f"peak {peak():,} MiB")
        first = _once(lambda: [matcher(nlp.make_doc(text)) for text in texts])
        peer = median(lambda: [matcher(nlp.make_doc(text)) for text in texts], 3)
        line("PhraseMatcher and its tokeniser", f"{words / peer / 1e6:.2f} M words/s")
        line("spans in a batch against it", f"{peer / batch:.1f} x", "limit 5 x, reach 10 x")
        line("spans note by note against it", f"{peer / single:.1f} x", "limit 5 x, reach 10 x")
        line("mentions with context rules against it", f"{peer / whole:.1f} x")
        line("both reading the notes for the first time", f"{first / cold:.1f} x")


def _once(work) -> float:
    return median(work, 1)


if __name__ == "__main__":
    main()
