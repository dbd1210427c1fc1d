"""Notes are read in batches, and what is found is what each note gives alone."""

from collections import Counter

import polars as pl
import pytest

from graph_builders.collect_notes import collect_notes
from ontology import Recogniser, load
from ontology.builtin import write_rf2


@pytest.fixture(scope="module")
def builtin(tmp_path_factory):
    return load(write_rf2(tmp_path_factory.mktemp("builtin") / "rf2"))


def texts():
    terms = ["fever", "cough", "pneumonia", "CAP", "pleural effusion", "asthma", "ARDS", "oedema"]
    frames = [
        "No {}.",
        "Mother had {}.\n\n{} was noted?",
        "PMH: {}\nPlan: possible {}",
        "",
        "Nothing.",
        "{} {}",
    ]
    return [
        frame.format(terms[i % len(terms)], terms[(i * 3 + 1) % len(terms)]) + "\n" + "Reviewed. " * (i % 90)
        for i in range(1200)
        for frame in frames[i % 6 : i % 6 + 1]
    ]


def alone(builtin, notes):
    recognise = Recogniser(builtin)
    rows = Counter()
    for event, text in enumerate(notes):
        mentions = recognise(text)
        sharing = Counter((m.start, m.end) for m in mentions)
        for m in mentions:
            weight = pl.Series([1 / sharing[m.start, m.end]], dtype=pl.Float32).item()
            rows[event, m.sctid, m.polarity, weight, m.start, m.end, m.text] += 1
    return rows


def test_batches_give_what_single_notes_give(builtin, monkeypatch):
    notes = texts()
    expected = alone(builtin, notes)
    assert expected.total() > 1000
    events = pl.DataFrame({"event": range(len(notes)), "text_value": notes})
    columns = ["event", "concept", "polarity", "weight", "start", "end", "text"]
    for size in (1, 5000, 1 << 18):
        monkeypatch.setattr("ontology.recognise._BATCH", size)
        assert (
            Counter(collect_notes(events, lambda: Recogniser(builtin)).rows.select(columns).iter_rows())
            == expected
        )


def test_progress_is_told_note_by_note(builtin, monkeypatch):
    monkeypatch.setattr("ontology.recognise._BATCH", 500)
    read, progress = [], []
    notes = sorted({text for text in texts() if text.strip()})

    def track(items):
        for item in items:
            read.append(item)
            yield item

    class Spy(Recogniser):
        def _mentions(self, texts):
            progress.append(len(read))
            return super()._mentions(texts)

    frame = pl.DataFrame({"event": range(len(notes)), "text_value": notes})
    collect_notes(frame, lambda: Spy(builtin), track)
    assert read == notes
    # no more is read ahead than one batch: work is done all along, not at the end
    assert len(progress) > 50
    assert progress[0] < 30
