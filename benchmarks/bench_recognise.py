"""The recogniser against spaCy's PhraseMatcher, on the same terms and the same notes in one run.

    python -m benchmarks.bench_recognise RELEASE [--terms N] [--notes N] [--no-peer]

RELEASE is an RF2 release or a saved ontology; `make_rf2.py --scale 1.0` gives one of full size. The notes are
made here: everyday clinical sentences with a term of the release in every second one. Both sides give spans;
mentions with the context rules stand against the same PhraseMatcher with spaCy's sentencizer and negspacy's
NegEx. Times are the process's own (CPU) and medians, so that others on the machine count less; ratios are what
carries over.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.__main__ import line
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


def cpu(work: Callable[[], object], runs: int = 5) -> float:
    times = []
    for _ in range(runs):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return statistics.median(times)


class Peer:
    """Blank English with the terms in lower case; `read` gives negated or not as well."""

    def __init__(self, terms: list[str]) -> None:
        import spacy
        from negspacy.negation import Negex
        from negspacy.termsets import termset
        from spacy.matcher import PhraseMatcher

        self.nlp = spacy.blank("en")
        self.matcher = PhraseMatcher(self.nlp.vocab, attr="LOWER")
        for first in range(0, len(terms), 10_000):
            self.matcher.add("term", list(self.nlp.tokenizer.pipe(terms[first : first + 10_000])))
        self.sentences = self.nlp.create_pipe("sentencizer")
        self.negex = Negex(self.nlp, "negex", termset("en_clinical").get_patterns())

    def spans(self, text: str) -> object:
        return self.matcher(self.nlp.make_doc(text))

    def read(self, text: str) -> object:
        from spacy.util import filter_spans

        doc = self.sentences(self.nlp.make_doc(text))
        doc.ents = filter_spans(self.matcher(doc, as_spans=True))
        return self.negex(doc)


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
    before, built = peak(), []
    seconds = cpu(lambda: built.append(Lexicon.build(ontology)), 1)
    line("lexicon built", f"{seconds:.2f} s", f"{built[0].terms:,} terms")
    line("  memory above the ontology's", f"{peak() - before} MiB", "peak")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "lexicon"
        line("  written", f"{cpu(lambda: built.pop().save(folder), 1):.2f} s")
        size = sum(file.stat().st_size for file in folder.iterdir()) / 2**20
        line("  on disk", f"{size:.0f} MiB")
        load = cpu(lambda: Recogniser(ontology, lexicon=folder)("Fever and cough."))
        line("lexicon opened, checked, and a first note read", f"{load:.3f} s", "limit 3 s, reach 0.5 s")
        # the same terms for both: those that are sought, each once
        sought = sought_terms(ontology)[0]["term"].unique(maintain_order=True).to_list()
        texts = notes(sought, args.notes)
        recognise = Recogniser(ontology, lexicon=folder)
        words = sum(len(text.split()) for text in texts)
        line("notes", f"{len(texts):,}", f"{words:,} words")
        cold = cpu(lambda: recognise.spans(texts), 1)
        batch = cpu(lambda: recognise.spans(texts))
        single = cpu(lambda: [recognise.spans([text]) for text in texts], 3)
        whole = cpu(lambda: recognise.many(texts), 3)
        line("spans, a batch of notes", f"{words / batch / 1e6:.2f} M words/s")
        line("spans, note by note", f"{words / single / 1e6:.2f} M words/s")
        line("mentions with context rules, a batch", f"{words / whole / 1e6:.2f} M words/s")
        if args.no_peer:
            return
        peers: list[Peer] = []
        seconds = cpu(lambda: peers.append(Peer(sought)), 1)
        line("PhraseMatcher filled", f"{seconds:.1f} s", f"peak {peak():,} MiB")
        first = cpu(lambda: [peers[0].spans(text) for text in texts], 1)
        peer = cpu(lambda: [peers[0].spans(text) for text in texts])
        negex = cpu(lambda: [peers[0].read(text) for text in texts], 3)
        line("PhraseMatcher and its tokeniser", f"{words / peer / 1e6:.2f} M words/s")
        line("  with sentences and NegEx", f"{words / negex / 1e6:.2f} M words/s")
        line("spans in a batch against it", f"{peer / batch:.1f} x", "limit 5 x, reach 10 x")
        line("spans note by note against it", f"{peer / single:.1f} x")
        line("mentions with context rules against PhraseMatcher alone", f"{peer / whole:.1f} x")
        line("mentions with context rules against it with NegEx", f"{negex / whole:.1f} x")
        line("both reading the notes for the first time", f"{first / cold:.1f} x")


if __name__ == "__main__":
    main()
