"""Identifiers taken out of notes: how many of which kind, what stays, and that everything reads what is left."""

from __future__ import annotations

import json
import re
import shutil
import sys

import polars as pl
import pytest
import yaml
from deid_corpus import PARTS, make, write

from graph_builders import PatientGraph
from graph_builders.collect_notes import collect_notes
from mhdiff.cli import main
from mhdiff.cohort import Cohort, Task
from mhdiff.cohort.deidentify import KINDS, Deidentifier, Rules
from mhdiff.cohort.deidentify.rewrite import deidentify
from mhdiff.cohort.task import task_file
from mhdiff.encoders.preprocess_text import WordPieceText
from mhdiff.training.data import MultimodalData
from ontology import Ontology
from ontology.errors import InputError
from ontology.recognise import Mention, Recogniser
from tests import needs

#: Least (recall, precision) by kind on the held-out templates; what was measured is in docs/deidentification.md.
FLOORS = {
    "date": (0.95, 0.97),
    "age": (0.93, 0.93),
    "id": (0.93, 0.93),
    "phone": (0.93, 0.92),
    "mail": (0.80, 0.80),
    "url": (0.80, 0.80),
    "address": (0.87, 0.95),
    "name": (0.96, 0.98),
    "all": (0.97, 0.98),
}


@pytest.fixture(scope="module")
def clean():
    return Deidentifier(Rules())


@pytest.mark.parametrize("seed", [101, 202])
def test_recall_and_precision_on_templates_that_no_rule_was_written_with(tmp_path, capsys, seed):
    assert main(["cohort", "deidentify-check", str(write(tmp_path / "notes.jsonl", "held_out", seed))]) == 0
    told = capsys.readouterr().out
    with capsys.disabled():  # the figures are meant to be seen
        sys.stdout.write(f"\nheld-out templates, seed {seed}: {told}")
    assert main(["cohort", "deidentify-check", str(tmp_path / "notes.jsonl"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found["kinds"]) == set(KINDS)
    for kind, (recall, precision) in FLOORS.items():
        row = found["all"] if kind == "all" else found["kinds"][kind]
        assert row["recall"]["n"] >= 20
        assert row["recall"]["low"] <= row["recall"]["value"] <= row["recall"]["high"]
        assert row["recall"]["value"] >= recall, kind
        assert row["precision"]["value"] >= precision, kind
        assert f"{row['recall']['value']:.3f} ({row['recall']['low']:.3f}" in told


def test_the_two_parts_of_the_corpus_have_nothing_in_common():
    one, other = PARTS["develop"], PARTS["held_out"]
    assert not set(one.notes) & set(other.notes)
    assert not set(one.last) & set(other.last)
    assert not set(one.first) & set(other.first)


def test_figures_are_those_of_counting_by_hand(tmp_path, capsys):
    rows = [
        {
            "text": "Dr. Quux on 2020-01-02.",
            "identifiers": [{"start": 4, "end": 8, "kind": "name"}],
        },  # a date too many
        {"text": "zork was here", "identifiers": [{"start": 0, "end": 4, "kind": "name"}]},  # missed
    ]
    (tmp_path / "n.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert main(["cohort", "deidentify-check", str(tmp_path / "n.jsonl"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["kinds"]["name"]["recall"]["value"], found["kinds"]["name"]["recall"]["n"]) == (0.5, 2)
    assert found["kinds"]["name"]["precision"]["value"] == 1
    assert found["kinds"]["date"] == {
        "recall": {"value": None, "low": None, "high": None, "n": 0},
        "precision": pytest.approx({"value": 0.0, "low": 0.0, "high": 0.7934506856, "n": 1}),
    }


KEPT = [
    "Parkinson's disease, Hodgkin lymphoma, Kikuchi-Fujimoto disease, Guillain-Barré syndrome, her Crohn's",
    "Foley in place, Sister Mary Joseph nodule, Ann Arbor stage IV, mother COVID positive, father Alzheimer's",
    "prednisone 10/12/2 mg, insulin 10/12/20 units, 1-0-1, BP 120/80, strength 5/5, pain 3/10, GCS 14/15",
    "C5-C6 and L4/5, T11-T12, potassium 3.5-5.1, 135-145 mmol/l, INR 2-3, titre 1:320, HLA-B27, CD4 200",
    "penicillin 1000000 units, SNOMED 233604007, J18.9, B12, SARS-CoV-2, Augmentin 875-125",
    "an 89-year-old, 95 years ago, 95 %, 94 mg; in 2014; he may 4 times; dec 2; MR brain, MS. Patient well",
    "Dr. ___ saw Mr. ___ on ___ (___-year-old); [**Known lastname 12**] on [**2101-3-4**]; [NAME] at [DATE]",
]


@pytest.mark.parametrize("text", KEPT)
def test_what_only_looks_like_an_identifier_stays(clean, text):
    assert clean(text) == text


TAKEN = {
    "Dr. Parkinson treats Parkinson's disease": "Dr. [NAME] treats Parkinson's disease",
    "Mr. Brown's Crohn's flared. Brown is well": "Mr. [NAME]'s Crohn's flared. [NAME] is well",
    "DR. VAN DER BERG, Prof. O'Neill-Smith": "DR. [NAME], Prof. [NAME]",
    "her 96-year-old aunt, aged 91": "her [AGE]-year-old aunt, aged [AGE]",
    "am 19.3. aufgenommen, Herr Müller, 4. März 2021": "am [DATE] aufgenommen, Herr [NAME], [DATE]",
    "___ Smith, MD on 3/4/2020": "___ [NAME], MD on [DATE]",
    "MRN: 0012345, SSN 123-45-6789": "MRN: [ID], SSN [ID]",
}


@pytest.mark.parametrize("text", TAKEN)
def test_what_is_one_goes(clean, text):
    assert clean(text) == TAKEN[text]


@pytest.mark.parametrize("part", PARTS)
def test_a_clean_text_is_left_as_it_is(clean, part):
    for row in make(part, 5, 60):
        once = clean(row["text"])
        assert clean(once) == once


def test_lists_of_ones_own_add_names_and_keep_words(tmp_path):
    (tmp_path / "names.txt").write_text("# staff\nZaphod\nvan Trillian\nFoley\n")
    (tmp_path / "keep.txt").write_text("Maria\n")
    rules = Rules.from_dict({"names": "names.txt", "keep": "keep.txt"}, tmp_path / "rules.yaml")
    text = "ZAPHOD met van  Trillian at Maria Hilf. Foley catheter. zaphod"
    assert Deidentifier(rules)(text) == "[NAME] met [NAME] at Maria Hilf. Foley catheter. zaphod"
    assert Deidentifier(Rules(kinds=("date",)))("Dr. Smith on 2020-01-02") == "Dr. Smith on [DATE]"
    told = json.dumps(rules.describe())
    assert "Zaphod" not in told
    assert str(tmp_path) not in told
    before = rules.fingerprint
    (tmp_path / "names.txt").write_text("Ford\n")
    assert rules.fingerprint != before


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ([], "must be a mapping"),
        ({"kind": ["date"]}, "unknown key 'kind'"),
        ({"kinds": ["dates"]}, "must list some of"),
        ({"kinds": []}, "must list some of"),
        ({"names": "none.txt"}, "no such file"),
        ({"names": ["Smith"]}, "must name a file"),
    ],
)
def test_wrong_rules_are_refused(tmp_path, content, problem):
    with pytest.raises(InputError, match=problem):
        Rules.from_dict(content, tmp_path / "task.yaml")


def test_what_was_removed_is_no_token_and_no_term(small_data):
    reader = WordPieceText(min_notes=1).fit(["seen by ___ for cough", "[**Name 3**] ___ coughs"])
    kept = reader.tokens("___ has cough")
    assert "_" not in reader.tokenizer.get_vocab()
    assert not {"name", "3"} & set(reader.tokenizer.get_vocab())
    assert next(o for o, special in zip(kept.offsets, kept.special, strict=True) if not special)[0] == 4
    ontology = Ontology.open(small_data / "ontology")
    recogniser = Recogniser(ontology)
    plain, marked = "Pneumonia since childhood.", "Pneumonia since [DATE] [NAME]."
    term = recogniser(plain)[0]
    notes = pl.DataFrame(
        {"event": [0, 1], "text_value": [plain, marked]}, schema_overrides={"event": pl.UInt32}
    )
    rows = collect_notes(notes, lambda: recogniser).rows
    assert {(r["event"], r["start"], r["end"]) for r in rows.iter_rows(named=True)} == {
        (0, term.start, term.end),
        (1, term.start, term.end),
    }


class Words:
    """A recogniser that takes every word for a term."""

    def stream(self, texts):
        for text in texts:
            yield [Mention(*m.span(), m[0], 1, "present") for m in re.finditer(r"[A-Za-z]+|_+", text)]


def test_no_placeholder_reaches_the_recogniser():
    text = "Cough since [DATE]; [**Name 3**] and ___ [AGE]"
    notes = pl.DataFrame({"event": [0], "text_value": [text]}, schema_overrides={"event": pl.UInt32})
    found = collect_notes(notes, Words).rows
    assert found["text"].to_list() == ["Cough", "since", "and"]
    assert [text[a:b] for a, b in found.select("start", "end").iter_rows()] == ["Cough", "since", "and"]


@pytest.fixture(scope="module")
def named(small_data, tmp_path_factory):
    """The small cohort with a name and a date in every note, and a task that takes them out."""
    place = tmp_path_factory.mktemp("named")
    shutil.copytree(small_data / "cohort", place / "cohort")
    file = place / "cohort/data/0.parquet"
    note = pl.col("code").str.starts_with("NOTE//")
    words = pl.concat_str(pl.lit("Mr. Zaphodson, seen 2021-03-04 by Trillian.\n"), "text_value")
    events = pl.read_parquet(file)
    events.with_columns(text_value=pl.when(note).then(words).otherwise("text_value")).write_parquet(file)
    task = yaml.safe_load(task_file("pneumonia").read_text())
    (place / "names.txt").write_text("Trillian\n")
    (place / "task.yaml").write_text(yaml.safe_dump(task | {"deidentify": {"names": "names.txt"}}))
    (place / "plain.yaml").write_text(yaml.safe_dump(task))
    command = [
        "graph",
        "build",
        "--ontology",
        str(small_data / "ontology"),
        "--cohort",
        str(place / "cohort"),
    ]
    assert main([*command, "--task", str(place / "task.yaml"), "--out", str(place / "graph")]) == 0
    return place


def data_of(place, task="task.yaml"):
    return MultimodalData(
        str(place / "cohort"), str(place / "graph"), str(place / task), modalities=["note", "labs"]
    )


def test_all_that_reads_notes_reads_them_without_identifiers(named):
    task, cohort = Task.load(named / "task.yaml"), Cohort.open(named / "cohort")
    window = task.window(cohort)
    notes = window.events.filter(pl.col("modality") == "note")["text_value"].drop_nulls()
    assert all(text.startswith("Mr. [NAME], seen [DATE] by [NAME].\n") for text in notes)
    told = window.report["deidentified"]
    assert told["notes"] == len(notes)
    assert told["replaced"]["name"] >= 2 * len(notes)
    assert told["rules"] == task.deidentify.describe()
    graph = PatientGraph.open(named / "graph")
    mentions = graph.evidence.table.filter(pl.col("modality") == "note", pl.col("start").is_not_null())
    shown = dict(
        window.events.filter(pl.col("modality") == "note").group_by("sample_id").agg("text_value").iter_rows()
    )
    assert mentions.height > 100
    for row in mentions.iter_rows(named=True):
        assert any(text[row["start"] : row["end"]] == row["text"] for text in shown[row["sample_id"]])


def test_a_run_keeps_the_rules_and_refuses_others(named):
    data = data_of(named)
    data.setup()
    state = json.loads(json.dumps(data.state()))
    assert state["deidentify"] == Task.load(named / "task.yaml").deidentify.describe()
    assert not {"zaphodson", "trillian"} & set(data.readers["note"].tokenizer.get_vocab())
    assert "Trillian" not in json.dumps(state)
    again = data_of(named)
    again.load_fitted(state)
    again.setup()
    events = [d.events("note") for d in (data, again)]
    assert events[0].equals(events[1])
    with pytest.raises(InputError, match="graph was built from notes that were de-identified in another way"):
        data_of(named, "plain.yaml").setup()
    other = data_of(named)
    other.load_fitted(state | {"deidentify": state["deidentify"] | {"names": "0" * 64}})
    with pytest.raises(InputError, match="trained on notes that were de-identified in another way"):
        other.setup()
    older = data_of(named)
    older.load_fitted({k: v for k, v in state.items() if k != "deidentify"})  # a run of before this was there
    with pytest.raises(InputError, match="trained on notes"):
        older.setup()


def test_a_copy_of_a_cohort_has_no_identifier_and_all_else(named, tmp_path, capsys):
    out = tmp_path / "copy"
    command = [
        "cohort",
        "deidentify",
        str(named / "cohort"),
        "--out",
        str(out),
        "--rules",
        str(named / "task.yaml"),
    ]
    assert main([*command, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    old, new = Cohort.open(named / "cohort"), Cohort.open(out)
    assert new.validate() == []
    assert new.fingerprint != old.fingerprint
    note = pl.col("code").str.starts_with("NOTE//")
    assert report["texts_changed"] == old.events.filter(note, pl.col("text_value").is_not_null()).height
    assert not new.events["text_value"].drop_nulls().str.contains("Zaphod|Trillian").any()
    assert new.events.drop("text_value").equals(old.events.drop("text_value"))
    assert new.events.filter(~note).equals(old.events.filter(~note))
    assert new.labels("pneumonia").equals(old.labels("pneumonia"))
    assert new.metadata["mhdiff"]["deidentified"] == report
    assert not (out / "truth").exists()  # what no reader of a cohort needs stays behind
    with pytest.raises(InputError, match="lie in one another"):
        deidentify(old, named / "cohort" / "inside", Rules())


ANALYZER = """
supported_languages: [en]
nlp_configuration:
  nlp_engine_name: spacy
  models: [{lang_code: en, model_name: MODEL}]
recognizer_registry:
  supported_languages: [en]
  recognizers:
    - {name: Trial, type: custom, supported_language: en, supported_entity: TRIAL_CODE,
       patterns: [{name: trial, regex: 'TRL-[a-z]+', score: 0.9}]}
    - {name: Village, type: custom, supported_language: en, supported_entity: LOCATION,
       patterns: [{name: village, regex: 'Quuxville', score: 0.9}]}
"""


@pytest.mark.filterwarnings("ignore:NLP recognizer:UserWarning")
def test_presidio_finds_with_a_model_and_recognisers_of_ones_own(tmp_path, capsys, caplog):
    needs.module("presidio_analyzer")
    import spacy

    spacy.blank("en").to_disk(tmp_path / "model")
    (tmp_path / "analyzer.yaml").write_text(ANALYZER.replace("MODEL", str(tmp_path / "model")))
    rules = Rules.from_dict({"presidio": "analyzer.yaml"}, tmp_path / "rules.yaml")
    with caplog.at_level("DEBUG"):
        found = Deidentifier(rules)("Mr. Smith of Quuxville is in TRL-abc since 2020-01-02")
    assert found == "Mr. [NAME] of [ADDRESS] is in [ID] since [DATE]"
    assert not {"Smith", "Quuxville"} & set(
        (caplog.text + "".join(capsys.readouterr())).replace("'", " ").split()
    )
    (tmp_path / "analyzer.yaml").write_text(ANALYZER.replace("MODEL", "no_such_model"))
    with pytest.raises(InputError, match="'no_such_model' is not installed"):
        Deidentifier(rules)
    (tmp_path / "analyzer.yaml").write_text("nlp_configuration: 3")
    with pytest.raises(InputError, match="names no model"):
        Deidentifier(rules)


def test_presidio_that_is_not_installed_is_named_with_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)
    (tmp_path / "analyzer.yaml").write_text(ANALYZER)
    with pytest.raises(InputError, match=r"mh-diff\[presidio\]"):
        Deidentifier(Rules(presidio=tmp_path / "analyzer.yaml"))
