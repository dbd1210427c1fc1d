"""Every verb that touches a cohort, on patients whose every word, name, id and file name is a string of its own.

None of these strings may be in what is printed, logged or shown as progress, nor in any text that is written, with good
input or broken. What a verb is for is named in `marked_told.MEANT`, with the reason. A new verb fails here until it is
run, or named in `APART` with the reason why it never sees a patient. Imports of other kinds are in
cohort/test_imports_say_nothing.py.
"""

from __future__ import annotations

import json
import random
import shutil
from datetime import date
from importlib import import_module
from pathlib import Path

import polars as pl
import pytest
import yaml
from marked_cohort import OUTCOME, Marks, learn_numbers, write_source
from marked_told import Told

from mhdiff.cli import GROUPS, VERBS
from mhdiff.cohort import Task, meds
from ontology.errors import InputError

APART = {
    "ontology": "reads terminologies; `recognise` shows the terms of a text that it is given, which is what it is for",
    "demo": "makes its own invented patients",
    "doctor": "looks at the machine",
    "cohort synthesize": "draws invented patients",
}
ONTOLOGY = {
    *(
        "build",
        "info",
        "export",
        "builtin",
        "validate",
        "shapes",
        "show",
        "search",
        "ancestors",
        "path",
        "select",
    ),
    *("map", "similarity", "recognise", "diff"),
}
#: What trains more than once; run by tests that are slow.
OFTEN = {"ablate", "tune"}


def every_verb() -> set[str]:
    grouped = {
        f"{group} {verb}" for group in GROUPS for verb in import_module(f"mhdiff.commands.{group}").VERBS
    }
    return grouped | set(VERBS)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("marked")


@pytest.fixture(scope="module")
def told(root, small_data, small_config) -> Told:
    """Run every verb once with good input."""
    t = Told(Marks(random.Random(7)))
    source = write_source(root / "source", t.marks)
    cohort, graph, run = root / "C", root / "G", root / "R"
    task, ontology = source.parent / "task.yaml", small_data / "ontology"
    columns = ("--columns", source.parent / "columns.yaml")
    t.run("cohort import", "manifest", source, *columns, "--out", cohort)
    learn_numbers(cohort, t.marks)
    t.wrote("cohort import", cohort)
    t.run("cohort deidentify", cohort, "--out", root / "clean", "--rules", task)
    t.wrote("cohort deidentify", root / "clean")
    t.run("cohort join", cohort, root / "clean", "--out", root / "joined")
    t.wrote("cohort join", root / "joined")
    t.run("cohort deidentify-check", marked_notes(root, t.marks), "--rules", task)
    t.run("cohort info", cohort, "--task", task, "--html", root / "info.html", "--svg", root / "info.svg")
    t.wrote("cohort info", root / "info.html", root / "info.svg")
    t.run("cohort validate", cohort)
    label(t, root, cohort, ontology)
    t.run("graph build", "--ontology", ontology, "--cohort", cohort, "--task", task, "--out", graph)
    t.wrote("graph build", graph)
    t.run("graph info", graph)
    audited = ("--task", task, "--ontology", ontology, "--graph", graph)
    t.run("cohort audit", cohort, *audited, "--html", root / "audit.html", code=2)
    t.wrote("cohort audit", root / "audit.html")
    t.run("graph view", graph, "--sample", 0, "--cohort", cohort, "--out", root / "view.html")
    t.wrote("graph view", root / "view.html")
    cache = root / "image_cache"
    configured = configuration(root, small_config, cohort, graph, task, ontology)
    t.run("fit", "-c", configured, f"--data.image_cache={cache}", "--out", run)
    t.run("cohort image-cache", cache)
    t.said["cohort image-cache"] += "\n".join(str(f.relative_to(cache)) for f in cache.rglob("*"))
    t.wrote("cohort image-cache", *cache.glob("*/*.json"))
    t.run("predict", run)
    t.run("evaluate", run, "--replicates", 20)
    t.run("report", run, "--tables", root / "tables")
    t.wrote("report", run / "report.html", root / "tables")
    t.wrote("fit", run)
    t.run("explain", run, "--steps", 4)
    t.wrote("explain", run / "explanations")
    t.run("explain-bias", run, "--steps", 4, "--html", root / "bias.html")
    t.wrote("explain-bias", root / "bias.html")
    t.run("report", run, "--out", root / "again.html", about="after explain")
    t.wrote("report after explain", root / "again.html")
    t.run("embed", run, "--out", root / "E")
    t.wrote("embed", root / "E")
    t.run("sample", run, "--n", 4, "--steps", 2, "--no-likelihood", "--out", root / "S")
    t.wrote("sample", root / "S")
    t.run("export", run, "--out", root / "X")
    t.wrote("export", root / "X")
    return t


def label(t: Told, root: Path, cohort: Path, ontology: Path) -> None:
    """Every other patient gets the outcome, and all are under observation before and after."""
    place, concept = root / "labelled", Task.load("pneumonia").blinded.concepts[0]
    shutil.copytree(cohort, place)
    codes, events = pl.read_parquet(place / meds.CODES_FILE), pl.read_parquet(place / "data/0.parquet")
    added = codes.head(1).with_columns(code=pl.lit(f"SNOMED/{concept}"))
    pl.concat([codes, added]).write_parquet(place / meds.CODES_FILE)
    subjects = events["subject_id"].unique().sort()
    ill = pl.col("subject_id").is_in(subjects.gather_every(2).implode()) & (pl.col("code") == "ICD10/R05")
    events = events.with_columns(code=pl.when(ill).then(pl.lit(added["code"][0])).otherwise("code"))
    seen = [
        pl.DataFrame({"subject_id": subjects}).with_columns(time=day, code=pl.lit("ICD10/R50.9"))
        for day in (pl.datetime(2020, 1, 1, time_unit="us"), pl.datetime(2022, 1, 1, time_unit="us"))
    ]
    pl.concat([events, *seen], how="diagonal").sort("subject_id", "time").write_parquet(
        place / "data/0.parquet"
    )
    outcome = {"concepts": [concept], "index": {"date": date(2021, 2, 1)}, "history_days": 30, "washout_days": 0,
               "horizon_days": 100}  # fmt: skip
    (root / "later.yaml").write_text(yaml.safe_dump({**OUTCOME, "outcome": outcome, "deidentify": {}}))
    t.run("cohort label", place, "--task", root / "later.yaml", "--ontology", ontology)
    t.wrote("cohort label", place / "metadata/dataset.json")


def configuration(root: Path, small: Path, cohort: Path, graph: Path, task: Path, ontology: Path) -> Path:
    config = yaml.safe_load(small.read_text())
    config["data"] |= {
        "ontology": str(ontology),
        "cohort": str(cohort),
        "graph": str(graph),
        "task": str(task),
    }
    used = ["image", "note", "labs"]
    config["data"] |= {"modalities": used, "split": "fold:0/3"}
    for part in ("encoders", "hide_latents"):
        config["model"][part] = {name: how for name, how in config["model"][part].items() if name in used}
    config["trainer"]["max_epochs"] = 1
    (root / "config.yaml").write_text(yaml.safe_dump(config))
    return root / "config.yaml"


def marked_notes(root: Path, marks: Marks) -> Path:
    rows = []
    for _ in range(5):
        name = marks.new("name")
        text = f"{marks.new('text')}, seen by Dr. {name}."
        rows.append(
            {"text": text, "identifiers": [{"start": text.index(name), "end": len(text) - 1, "kind": "name"}]}
        )
    (root / "notes.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return root / "notes.jsonl"


@pytest.fixture(scope="module")
def told_often(root, told) -> Told:
    """Run what trains more than once, without images to be quick."""
    few = ["--data.modalities=[note,labs]"]
    arms = {"one": [], "none": ["--model.guidance=mhdiff.guidance.NoGuidance"]}
    ablation = {"name": "a", "base": "config.yaml", "set": few, "reference": "none", "folds": 2, "seeds": [0],
                "arms": arms, "replicates": 20}  # fmt: skip
    search = {"name": "s", "base": "config.yaml", "set": few, "method": "grid", "inner": 2, "metric": "log_loss",
              "space": {"model.learning_rate": [0.001]}}  # fmt: skip
    for verb, content in (("ablate", ablation), ("tune", search)):
        (root / f"{verb}.yaml").write_text(yaml.safe_dump(content))
        told.run(verb, "-c", root / f"{verb}.yaml", "--out", root / verb)
        told.wrote(verb, root / verb)
    return told


def test_every_verb_is_run_or_named_as_apart(told):
    apart = {f"ontology {verb}" for verb in ONTOLOGY} | set(APART) - {"ontology"}
    assert every_verb() == set(told.said) - {"report after explain"} | OFTEN | apart


@pytest.mark.parametrize(
    "verb", sorted(every_verb() - set(APART) - OFTEN - {f"ontology {v}" for v in ONTOLOGY})
)
def test_a_verb_says_nothing_of_a_patient(told, verb):
    assert told.said[verb].strip()
    assert told.leaks(verb) == []


@pytest.mark.slow
@pytest.mark.parametrize("verb", sorted(OFTEN))
def test_a_verb_that_trains_often_says_nothing_of_a_patient(told_often, verb):
    assert told_often.said[verb].strip()
    assert told_often.leaks(verb) == []


def test_a_report_after_an_explanation_shows_the_one_who_was_explained_alone(told):
    assert told.leaks("report after explain") == []
    assert "identifiers replaced in 36 notes" in told.said["report"]


def test_an_exported_model_asks_for_a_list_of_its_new_place(told, root):
    from mhdiff.pretrained import from_pretrained

    assert not (root / "X/names.txt").exists()
    model = from_pretrained(root / "X")
    with pytest.raises(InputError, match=r"names\.txt: there is no such file"):
        model.read(root / "C", root / "G", split="fold:0/3")
    shutil.copy(root / "source/names.txt", root / "X/names.txt")
    data = model.read(root / "C", root / "G", split="fold:0/3")
    notes = data.events("note")["text_value"]
    assert notes.str.contains(r"\[NAME\], known to \[NAME\]").all()


BROKEN = {
    "born": "the birth",
    "crp": "a number",
    "unit": "a unit",
    "icd": "a code",
    "exam": "a time",
    "xray": "an image",
}


@pytest.mark.parametrize("column", BROKEN)
def test_a_broken_row_is_told_without_what_is_in_it(tmp_path, column):
    marks = Marks(random.Random(3))
    broken = {column: marks.new("text") + (" words" if column == "icd" else "")}
    if column == "unit":
        broken["crp"] = "4"
    source = write_source(tmp_path / "source", marks, 6, **broken)
    t = Told(marks)
    columns = ("--columns", source.parent / "columns.yaml", "--out", tmp_path / "C")
    t.run("cohort import", "manifest", source, *columns, "--max-bad", 0, code=2)
    assert "line 8" in t.said["cohort import"]
    t.run("cohort import", "manifest", source, *columns, "--max-bad", 1)
    learn_numbers(tmp_path / "C", marks)
    t.wrote("cohort import", tmp_path / "C")
    assert t.leaks("cohort import") == []


@pytest.fixture
def small(tmp_path):
    """A cohort of 24 with marks."""
    t = Told(Marks(random.Random(5)))
    source = write_source(tmp_path / "source", t.marks, 24)
    columns = ("--columns", source.parent / "columns.yaml")
    t.run("cohort import", "manifest", source, *columns, "--out", tmp_path / "C")
    learn_numbers(tmp_path / "C", t.marks)
    return t, tmp_path / "C", source.parent / "task.yaml"


def test_faults_of_a_cohort_are_told_without_whose_they_are(small, tmp_path):
    t, cohort, task = small
    file, numbers = cohort / "data/0.parquet", t.marks.numbers
    events = pl.read_parquet(file)
    late = pl.col("code") == meds.BIRTH
    first = pl.col("subject_id") == numbers[0]
    changed = pl.when(late & first).then(pl.datetime(2030, 1, 1, time_unit="us")).otherwise("time")
    outside = pl.when(pl.col("code").str.starts_with("IMAGE") & (pl.col("subject_id") == numbers[1]))
    events.with_columns(
        time=changed, text_value=outside.then(pl.lit(f"../{t.marks.new('file')}.png")).otherwise("text_value")
    ).write_parquet(file)
    next((cohort / "images").glob(f"{numbers[2]}*")).unlink()
    splits = pl.read_parquet(cohort / meds.SPLITS_FILE)
    other = splits.head(1).with_columns(
        split=pl.lit("train" if splits["split"][0] != "train" else "held_out"), subject_id=numbers[3]
    )
    pl.concat([splits.filter(pl.col("subject_id") != numbers[4]), other]).write_parquet(
        cohort / meds.SPLITS_FILE
    )
    t.run("cohort validate", cohort, code=2)
    for fault in ("before birth", "outside", "missing", "in no split"):
        assert fault in t.said["cohort validate"]
    assert t.leaks("cohort validate") == []
    t.run("cohort validate", cohort, "--cases", tmp_path / "cases.csv", "--json", code=2, about="--cases")
    assert t.leaks("cohort validate --cases") == []
    listed = pl.read_csv(tmp_path / "cases.csv")
    assert {*numbers[:3], numbers[4]} <= set(listed["subject_id"])
    for verb in ("cohort info", "cohort audit"):
        t.run(verb, cohort, "--task", task, code=2)
        assert t.leaks(verb) == []


@pytest.mark.parametrize("fault", ["twice", "strange", "unnamed"])
def test_a_wrong_table_of_splits_is_told_without_whose_line_it_is(small, tmp_path, fault):
    t, cohort, task = small
    named = t.marks.numbers[: 1 if fault == "unnamed" else None]
    rows = [(number, "train") for number in named]
    rows += {"twice": [(named[0], "tuning")], "strange": [(named[0], "test")], "unnamed": []}[fault]
    table = tmp_path / "splits.csv"
    pl.DataFrame(rows, {"subject_id": pl.Int64, "split": pl.String}, orient="row").write_csv(table)
    t.run("cohort audit", cohort, "--task", task, "--split", f"file:{table}", code=2)
    assert "splits.csv" in t.said["cohort audit"]
    assert t.leaks("cohort audit") == []


@pytest.mark.parametrize("fault", ["missing", "cut short"])
def test_an_image_that_cannot_be_read_is_told_without_whose_it_is(
    small, tmp_path, small_data, small_config, fault
):
    t, cohort, task = small
    ontology, graph = small_data / "ontology", tmp_path / "G"
    t.run("graph build", "--ontology", ontology, "--cohort", cohort, "--task", task, "--out", graph)
    for number, image in enumerate(sorted((cohort / "images").iterdir())):
        if fault == "missing":
            image.unlink()
        else:
            # each cut short in its own way: patients with the same image are kept in one split
            image.write_bytes(image.read_bytes()[:40] + bytes([number]))
    config = configuration(tmp_path, small_config, cohort, graph, task, ontology)
    t.run("fit", "-c", config, "--out", tmp_path / "R", code=2)
    assert "image" in t.said["fit"]
    assert t.leaks("fit") == []


@pytest.mark.parametrize("verb", ["deidentify", "deidentify-check"])
def test_a_list_and_marked_notes_that_are_broken_are_told_without_their_words(small, tmp_path, verb):
    t, cohort, _ = small
    word = t.marks.new("name")
    (tmp_path / "names.txt").write_bytes(f"{word}\n".encode("utf-16"))
    (tmp_path / "rules.yaml").write_text("names: names.txt\n")
    if verb == "deidentify":
        t.run(
            "cohort deidentify", cohort, "--out", tmp_path / "D", "--rules", tmp_path / "rules.yaml", code=2
        )
        assert not (tmp_path / "D").exists()
    else:
        (tmp_path / "notes.jsonl").write_text(
            json.dumps({"text": word, "identifiers": [{"start": 0, "end": 99}]})
        )
        t.run("cohort deidentify-check", tmp_path / "notes.jsonl", code=2)
        assert "line 1" in t.said["cohort deidentify-check"]
    assert t.leaks(f"cohort {verb}") == []


def test_this_test_can_fail(small):
    t, *_ = small
    t.said["cohort info"] = f"{t.marks.strings['name'][0].upper()} {t.marks.numbers[0]}"
    assert len(t.leaks("cohort info")) == 2
