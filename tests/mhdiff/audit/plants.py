"""Leaks to plant into the known-answer cohort: one function a kind, which changes the folder that it is given.

A plant may give further arguments for the command line. Nobody but the tests knows what was planted where.
"""

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import yaml

from mhdiff.cohort import meds
from mhdiff.config import find

NAME = "Zaphod Beeblebrox"  # a patient's name, which must never be told


class Place:
    """A cohort's folder, its tables read and written back."""

    def __init__(self, folder: Path, ontology: Path):
        self.folder, self.ontology = folder, ontology
        self.data = folder / "data/0.parquet"
        self.used = set()

    @property
    def events(self):
        return pl.read_parquet(self.data)

    @events.setter
    def events(self, table):
        order = ["subject_id", "time"]
        table.sort(order, nulls_last=False, maintain_order=True).write_parquet(self.data)

    @property
    def labels(self):
        return pl.read_parquet(self.folder / "labels/pneumonia.parquet").rename(
            {"categorical_value": "label"}
        )

    @labels.setter
    def labels(self, table):
        table.rename({"label": "categorical_value"}).write_parquet(self.folder / "labels/pneumonia.parquet")

    def subjects(self, split, having="IMAGE//"):
        """Subjects of a split that have an event before their prediction, ascending."""
        own = pl.read_parquet(self.folder / meds.SPLITS_FILE).filter(pl.col("split") == split)
        events = self.events.join(self.labels, on="subject_id").filter(
            pl.col("code").str.starts_with(having), pl.col("time") <= pl.col("prediction_time")
        )
        return sorted(set(own["subject_id"]) & set(events["subject_id"]))

    def pick(self, split="train", having="IMAGE//"):
        """A subject of a split that has an event, and that no plant was given before."""
        found = next(s for s in self.subjects(split, having) if s not in self.used)
        self.used.add(found)
        return found

    def with_label(self, label):
        return self.labels.filter(pl.col("label") == label)["subject_id"].to_list()

    def add(self, rows):
        """Add events (subject, time, code, number, text), and rows of codes.parquet for new codes."""
        table = pl.DataFrame(rows, schema=meds.EVENTS, orient="row")
        self.events = pl.concat([self.events, table.select(self.events.columns)])
        self.add_codes({code: (code.split("//")[0], [code]) for code in table["code"].unique().sort()})

    def add_codes(self, codes):
        """Add rows of codes.parquet: code -> (description, parent_codes)."""
        held = pl.read_parquet(self.folder / meds.CODES_FILE)
        new = [c for c in codes if c not in set(held["code"])]
        table = pl.DataFrame(
            {
                "code": new,
                "description": [codes[c][0] for c in new],
                "parent_codes": [codes[c][1] for c in new],
            },
            schema_overrides=meds.CODES,
        )
        pl.concat([held, meds.conform(table, meds.CODES)]).write_parquet(self.folder / meds.CODES_FILE)

    def before(self, subject):
        """A time an hour before a subject's prediction."""
        t = self.labels.filter(pl.col("subject_id") == subject)["prediction_time"][0]
        return t - timedelta(hours=1)

    def write_notes(self, change):
        """Change notes: `change(subject, text)` gives the new text."""
        rows = self.events.with_row_index("row")
        texts = [
            change(s, text) if code.startswith("NOTE//") and text is not None else text
            for s, code, text in rows.select("subject_id", "code", "text_value").iter_rows()
        ]
        self.events = rows.with_columns(pl.Series("text_value", texts, dtype=pl.String)).drop("row")

    def task(self, **changes):
        """Write a task that differs from the shipped one, and give the arguments for it."""
        content = yaml.safe_load(find("tasks/pneumonia").read_text()) | changes
        path = self.folder.parent / "task.yaml"
        path.write_text(yaml.safe_dump(content))
        return ["--task", str(path)]


@dataclass(frozen=True)
class Plant:
    """A plant, what is found of it, and whether that fails."""

    plant: object
    found: str
    fails: bool = True
    also: frozenset = field(default_factory=frozenset)  # failures that cannot but come with it


def patient_in_two_splits(place):
    splits = pl.read_parquet(place.folder / meds.SPLITS_FILE)
    again = splits.filter(pl.col("split") == "train").head(1).with_columns(split=pl.lit("held_out"))
    pl.concat([splits, again]).write_parquet(place.folder / meds.SPLITS_FILE)


def group_torn(place):
    pair = [place.pick(), place.pick("held_out")]
    table = pl.DataFrame({"subject_id": pair, "group": [min(pair)] * 2})
    table.write_parquet(place.folder / meds.GROUPS_FILE)


def _image(place, subject):
    events = place.events.filter(pl.col("subject_id") == subject, pl.col("code").str.starts_with("IMAGE//"))
    return place.folder / events["text_value"][0]


def image_shared(place):
    ours, theirs = (_image(place, place.pick(split)) for split in ("train", "held_out"))
    theirs.write_bytes(ours.read_bytes())


def image_saved_anew(place):
    """Another format's losses, another size and a little more contrast."""
    from PIL import Image, ImageEnhance

    ours, theirs = (_image(place, place.pick(split)) for split in ("train", "held_out"))
    image = Image.open(ours).convert("L")
    image = ImageEnhance.Contrast(image.resize((image.width * 2, image.height * 2))).enhance(1.1)
    image.save(place.folder.parent / "lossy.jpg", quality=70)
    Image.open(place.folder.parent / "lossy.jpg").save(theirs)


def image_cut(place):
    """One in a hundred pixels of each edge is gone."""
    from PIL import Image

    ours, theirs = (_image(place, place.pick(split)) for split in ("train", "held_out"))
    image = Image.open(ours).convert("L").resize((400, 400))
    image.crop((2, 2, 398, 398)).save(theirs)


def image_negative(place):
    """MONOCHROME1 read as MONOCHROME2."""
    from PIL import Image, ImageOps

    ours, theirs = (_image(place, place.pick(split)) for split in ("train", "held_out"))
    ImageOps.invert(Image.open(ours).convert("L")).save(theirs)


def record_under_two_ids(place):
    one, other = place.pick(), place.pick("held_out")
    events = place.events
    own = events.filter(pl.col("subject_id") == one, ~pl.col("code").str.contains("IMAGE//|NOTE//"))
    copy = own.with_columns(subject_id=pl.lit(other, pl.Int64))
    place.events = pl.concat([
        events.filter(~pl.col("subject_id").is_in([one, other])), own, copy,
    ])  # fmt: skip
    time = place.labels.filter(pl.col("subject_id") == one)["prediction_time"][0]
    mine = pl.col("subject_id") == other
    place.labels = place.labels.with_columns(
        pl.when(mine)
        .then(pl.lit(time, pl.Datetime("us")))
        .otherwise("prediction_time")
        .alias("prediction_time")
    )


def graph_of_later_times(place):
    """The predictions move to an earlier day after the graph was built."""
    from mhdiff.cli import main

    graph = place.folder.parent / "graph"
    built = [
        "graph",
        "build",
        "--ontology",
        place.ontology,
        "--cohort",
        place.folder,
        "--task",
        "pneumonia",
        "--out",
        graph,
    ]
    assert main(list(map(str, built))) == 0
    place.labels = place.labels.with_columns(pl.col("prediction_time") - timedelta(hours=20))
    return ["--graph", str(graph)]


def graph_of_an_unblinded_task(place):
    from mhdiff.cli import main

    task = place.task(blinded={})
    graph = place.folder.parent / "graph"
    built = ["graph", "build", "--ontology", place.ontology, "--cohort", place.folder, *task, "--out", graph]
    assert main(list(map(str, built))) == 0
    return ["--graph", str(graph)]


def graph_of_another_table(place):
    """Glucose may not be above 100 when the graph is built."""
    from mhdiff.cli import main

    table, graph = place.folder.parent / "ours.yaml", place.folder.parent / "graph"
    row = {
        "name": "glucose",
        "codes": ["LOINC/2345-7"],
        "unit": "mg/dL",
        "possible": [0, 100],
        "source": "nobody",
    }
    table.write_text(yaml.safe_dump({"analytes": [row]}))
    task = place.task(analytes=str(table))
    built = ["graph", "build", "--ontology", place.ontology, "--cohort", place.folder, *task, "--out", graph]
    assert main(list(map(str, built))) == 0
    return ["--graph", str(graph)]


def diagnosis_without_a_date(place):
    place.add([(place.pick(), None, "ICD10/H52.4", None, None)])


def lab_of_midnight(place):
    subject = place.pick()
    t = place.labels.filter(pl.col("subject_id") == subject)["prediction_time"][0]
    place.add([(subject, datetime.combine(t.date(), datetime.min.time()), "LOINC/6690-2//10*9/L", 9.0, None)])


def note_of_the_end(place):
    subject = place.pick(having="NOTE//")
    place.write_notes(lambda s, text: f"{text}Died on 2091-04-02." if s == subject else text)


def predicted_after_death(place):
    subject = place.pick()
    place.add([(subject, place.before(subject), "MEDS_DEATH", None, None)])


def outcome_came_before(place):
    """Acute pulmonary histoplasmosis, which nobody has, may never have been there before; somebody gets it."""
    subject = place.pick()
    place.add([(subject, place.before(subject), "SNOMED/21369999001105", None, None)])
    outcome = {
        "concepts": [21369999001105],
        "index": {"every_days": 30},
        "horizon_days": 30,
        "washout_days": None,
    }
    merged = {name: "pneumonia" for name in ("bacterial", "viral", "aspiration", "fungal")}
    return place.task(classes=["no_pneumonia", "pneumonia"], merge=merged, outcome=outcome)


def code_with_an_innocent_parent(place):
    """What its author says it is hides what it is."""
    subject = place.pick()
    place.add_codes({"ICD10/J15.9": ("Unspecified organism", ["SNOMED/16229999001108"])})
    place.add([(subject, place.before(subject), "ICD10/J15.9", None, None)])


def code_below_its_parents(place):
    """A local code below a local code below bacterial pneumonia."""
    subject = place.pick()
    place.add_codes({
        "ICD10/local-1": ("Chest, group 1", ["SNOMED/21069999001108"]),
        "ICD10/local-11": ("Chest, group 1.1", ["ICD10/local-1"]),
    })  # fmt: skip
    place.add([(subject, place.before(subject), "ICD10/local-11", None, None)])


def code_grown_longer(place):
    """A national edition's code below J15.9, which no map knows."""
    subject = place.pick()
    place.add_codes({"ICD10/J15.91": ("Unspecified organism, severe", [])})
    place.add([(subject, place.before(subject), "ICD10/J15.91", None, None)])


def code_that_says_it(place):
    subject = place.pick()
    place.add_codes({"ICD10/X77": ("Order set: community viral pneumonia", [])})
    place.add([(subject, place.before(subject), "ICD10/X77", None, None)])


def synonym_in_a_note(place):
    subject = place.pick(having="NOTE//")
    place.write_notes(lambda s, text: f"{text}{NAME} has valley fever." if s == subject else text)


def soft_hyphen_in_a_note(place):
    subject = place.pick(having="NOTE//")
    place.write_notes(lambda s, text: f"{text}A pneu\u00admonia, says {NAME}." if s == subject else text)


def word_broken_over_lines(place):
    subject = place.pick(having="NOTE//")
    place.write_notes(lambda s, text: f"{text}Sent home with pneu-\nmonia." if s == subject else text)


def word_inside_a_word(place):
    subject = place.pick(having="NOTE//")
    place.write_notes(lambda s, text: f"{text}Pleuropneumonias, says {NAME}." if s == subject else text)


def class_named(place):
    subject = place.pick(having="NOTE//")
    place.write_notes(lambda s, text: f"{text}Looks fungal." if s == subject else text)


def concepts_of_another_ontology(place):
    return place.task(blinded={"concepts": [233604007]})


def note_copied(place):
    """With some words of its own."""
    ours, theirs = (place.pick(split, "NOTE//") for split in ("train", "held_out"))
    text = place.events.filter(pl.col("subject_id") == ours, pl.col("code").str.starts_with("NOTE//"))[
        "text_value"
    ][0]
    copied = text.replace("\n", f" {NAME}. ", 1) + "Copied for the file."
    place.write_notes(lambda s, t: copied if s == theirs else t)


def labs_missing_by_label(place):
    lab = pl.col("code").str.starts_with("LOINC/") & pl.col("subject_id").is_in(place.with_label("bacterial"))
    place.events = place.events.filter(~lab)


def site_by_label(place):
    sick = place.with_label("bacterial")
    own = (
        pl.when(pl.col("subject_id").is_in(sick)).then(pl.lit("SITE//north")).otherwise(pl.lit("SITE//south"))
    )
    site = pl.col("code").str.starts_with("SITE//")
    place.events = place.events.with_columns(pl.when(site).then(own).otherwise("code").alias("code"))
    place.add_codes({"SITE//north": ("north", None), "SITE//south": ("south", None)})


def long_notes_by_label(place):
    """White space only: no word tells."""
    sick = set(place.with_label("bacterial"))
    place.write_notes(lambda s, text: text + "\n" * (600 if s in sick else 0))


def years_by_label(place):
    """Cases from an epidemic, controls from the archive."""
    sick = place.with_label("bacterial")
    days = (
        pl.when(pl.col("subject_id").is_in(sick)).then(pl.duration(days=7300)).otherwise(pl.duration(days=0))
    )
    place.events = place.events.with_columns(pl.col("time") + days)
    place.labels = place.labels.with_columns(pl.col("prediction_time") + days)


def blinding_leaves_marks(place):
    sick = set(place.with_label("bacterial"))
    place.write_notes(lambda s, text: f"{text}Pneumonia? Pneumonia. Pneumonia!" if s in sick else text)


def licence_by_label(place):
    sick = set(place.with_label("bacterial"))
    images = place.events.filter(pl.col("code").str.starts_with("IMAGE//"))
    table = images.select("subject_id", path="text_value").with_columns(
        licence=pl.Series(["CC BY" if s in sick else "none" for s in images["subject_id"]])
    )
    table.write_parquet(place.folder / "metadata/images.parquet")


def code_alone(place):
    sick = place.with_label("bacterial")
    place.add([(s, place.before(s), "ICD10/Z22.3", None, None) for s in sick])


def word_alone(place):
    sick = set(place.with_label("bacterial"))
    place.write_notes(lambda s, text: f"{text}Seen by the xylophone round." if s in sick else text)
    # Of those without a note nobody can tell: everybody has one.
    without = set(place.labels["subject_id"]) - set(place.subjects("train", "NOTE//")) - set(
        place.subjects("tuning", "NOTE//")) - set(place.subjects("held_out", "NOTE//"))  # fmt: skip
    told = "Seen by the xylophone round."
    place.add(
        [
            (s, place.before(s), "NOTE//CLINICAL", None, told if s in sick else "Seen.")
            for s in sorted(without)
        ]
    )


def lab_alone(place):
    sick, rng = set(place.with_label("bacterial")), random.Random(0)
    rows = [
        (s, place.before(s), "LOINC/99999-9//ng/mL", (50.0 if s in sick else 1.0) + rng.random(), None)
        for s in place.labels["subject_id"]
    ]
    place.add(rows)


#: In one patient or two: all of them may stand in one cohort.
SMALL = [
    Plant(patient_in_two_splits, "patient_in_splits"),
    Plant(group_torn, "group_in_splits"),
    Plant(image_shared, "identical_image", also=frozenset({"near_duplicate_image"})),
    Plant(image_saved_anew, "near_duplicate_image"),
    Plant(image_cut, "near_duplicate_image"),
    Plant(image_negative, "near_duplicate_image"),
    Plant(record_under_two_ids, "identical_record"),
    Plant(diagnosis_without_a_date, "undated"),
    Plant(lab_of_midnight, "day_without_hour", fails=False),
    Plant(note_of_the_end, "later_date_in_note", fails=False),
    Plant(predicted_after_death, "predicted_after_death"),
    Plant(code_with_an_innocent_parent, "label_code"),
    Plant(code_below_its_parents, "label_code"),
    Plant(code_grown_longer, "label_code"),
    Plant(code_that_says_it, "label_code"),
    Plant(synonym_in_a_note, "label_word"),
    Plant(soft_hyphen_in_a_note, "label_word"),
    Plant(word_broken_over_lines, "label_word"),
    Plant(word_inside_a_word, "label_word_inside", fails=False),
    Plant(class_named, "class_name", fails=False),
    Plant(note_copied, "near_duplicate_note"),
]
#: By a task or a graph of its own.
ALONE = [
    Plant(graph_of_later_times, "after_prediction_time"),
    Plant(graph_of_an_unblinded_task, "stale_graph"),
    Plant(graph_of_another_table, "stale_graph", fails=False),
    Plant(outcome_came_before, "predicted_after_outcome"),
    Plant(concepts_of_another_ontology, "unknown_concept"),
]
#: In everybody with the label.
SHORTCUTS = [
    Plant(labs_missing_by_label, "shortcut_presence"),
    Plant(site_by_label, "shortcut_site"),
    Plant(long_notes_by_label, "shortcut_note_length"),
    Plant(years_by_label, "shortcut_calendar"),
    Plant(blinding_leaves_marks, "shortcut_blinding"),
    Plant(licence_by_label, "shortcut_licence", fails=False),
]
FEATURES = [
    Plant(code_alone, "single_feature"),
    Plant(word_alone, "single_feature"),
    Plant(lab_alone, "single_feature"),
]
PLANTS = [*SMALL, *ALONE, *SHORTCUTS, *FEATURES]
