"""Who the persons of an OMOP source are: birth, sex, race, site, and which two of them are one.

Site: the care site of the person, else the one where most of the person's visits were, else the state or country of
the person's location, else `unknown`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from mhdiff.cohort import meds
from mhdiff.cohort.cohort import UNKNOWN_SITE
from mhdiff.cohort.import_report import ImportReport
from mhdiff.cohort.omop_tables import Table, refuse_bad, stage
from mhdiff.cohort.refused import Refused
from mhdiff.cohort.table_files import find, need, reading, scan
from ontology.errors import InputError

#: Persons who share their day of birth and sex, and at least this much of what the one with less was diagnosed,
#: given and measured, at the same times, are one person under two ids.
SHARED, AT_LEAST = 0.1, 5
_GENDERS: Final = {8507: "M", 8532: "F"}
_SEXES: Final = {"M": "Male", "F": "Female"}
_CONCEPTS = {
    "concept": "gender_concept_id",
    "source_concept": "race_concept_id",
    "value_concept": "ethnicity_concept_id",
}
_REST = {
    "year": "year_of_birth",
    "month": "month_of_birth",
    "day": "day_of_birth",
    "care_site": "care_site_id",
    "location": "location_id",
}


@dataclass(frozen=True)
class People:
    """The persons.

    Attributes:
        table: subject_id, born (null if unknown), exact (the day of birth is known), gender ("M", "F" or null),
            race and ethnicity (concept_ids, 0 if none), site.
        concepts: The concept_ids that they use.
    """

    table: pl.DataFrame
    concepts: set[int]


def read_people(folders: list[Path], report: ImportReport) -> People:
    """Read PERSON, and CARE_SITE, LOCATION and VISIT_OCCURRENCE for the sites.

    Args:
        folders: Where the tables are.
        report: Filled.

    Raises:
        InputError: If PERSON is missing, or a person is there twice.
    """
    files = find(folders, "person")
    if not files:
        raise InputError(
            "there is no table 'person'", path=folders[0], remedy="Give the folder with the tables of the CDM"
        )
    table = pl.concat([_person(file, report.refused) for file in files])
    again = ~table["subject_id"].is_first_distinct()
    for row in table.filter(again)["row"]:
        report.refused.add(
            "the person is there twice", files[0], row, "person_id", remedy="Keep one row a person"
        )
    report.refused.check()
    table = table.filter(~again)
    if table.is_empty():
        raise InputError("the table 'person' has no rows", path=files[0], remedy="Export it again")
    report.read["persons"] = table.height
    for what, rows in (
        ("year_of_birth is empty: no birth is written", table.filter(pl.col("born").is_null())),
        (
            "day or month of birth unknown: the first one possible is taken",
            table.filter(pl.col("born").is_not_null() & ~pl.col("exact")),
        ),
        ("sex neither male nor female: none is written", table.filter(pl.col("gender").is_null())),
    ):
        for row in rows["row"].sort():
            report.changed.add(f"person: {what}", row)
    sites = _sites(folders, table, report)
    used = {*table["gender_concept"], *table["race"], *table["ethnicity"]} - {0}
    return People(
        table.join(sites, on="subject_id", how="left", maintain_order="left").sort("subject_id"), used
    )


def _person(file: Path, refused: Refused) -> pl.DataFrame:
    held = scan(file).collect_schema().names()
    need(file, held, ("person_id", "gender_concept_id", "year_of_birth"))
    staged = _staged(file, held)
    refuse_bad(staged, file, refused)
    with reading(file):
        rows = staged.filter(pl.col("bad").is_null()).collect()
    lost = pl.col("subject_id").is_null()
    for row in rows.filter(lost)["row"]:
        refused.add("the person has no id", file, row, "person_id")
    rows = rows.filter(~lost)
    parts = [pl.col("year"), pl.col("month").fill_null(1), pl.col("day").fill_null(1)]
    made = pl.concat_str(parts, separator="-").str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us"))
    rows = rows.with_columns(made=made)
    wrong = rows.filter(pl.col("year").is_not_null() & pl.col("made").is_null())
    for row in wrong["row"]:
        refused.add(
            "the birthday is no day of the calendar", file, row, "day_of_birth",
            remedy="Correct it, or leave day and month empty",
        )  # fmt: skip
    refused.check()
    return rows.filter(~pl.col("row").is_in(wrong["row"].implode())).with_columns(
        born=pl.coalesce(pl.col("time").dt.truncate("1d"), "made"),
        exact=pl.col("time").is_not_null()
        | (pl.col("made").is_not_null() & pl.col("month").is_not_null() & pl.col("day").is_not_null()),
        gender=pl.col("concept").replace_strict(_GENDERS, default=None, return_dtype=pl.String),
    ).select(
        "row", "subject_id", "born", "exact", "gender", "care_site", "location",
        gender_concept="concept", race="source_concept", ethnicity="value_concept",
    )  # fmt: skip


def _staged(file: Path, held: list[str]) -> pl.LazyFrame:
    """Stage PERSON: `stage` reads what it has in common with other tables, and the rest beside it, as ids."""
    dated = "birth_datetime" if "birth_datetime" in held else ""
    staged = stage(file, Table("person", "person", dated, _CONCEPTS, fixed="person"))
    for name, column in _REST.items():
        one = stage(file, Table("person", "person", "", {"id": column}, fixed="person"))
        staged = staged.join(
            one.select("row", name="id", bad_one="bad").rename({"name": name}), on="row", how="left"
        )
        staged = staged.with_columns(bad=pl.coalesce("bad", "bad_one")).drop("bad_one")
    return staged


def _sites(folders: list[Path], table: pl.DataFrame, report: ImportReport) -> pl.DataFrame:
    """Give subject_id and site."""
    care = _names(folders, "care_site", ("care_site_name", "care_site_source_value"), report.refused)
    places = _names(folders, "location", ("state", "country", "location_source_value"), report.refused)
    visited = pl.DataFrame(schema={"subject_id": pl.Int64, "visited": pl.Int64})
    if table["care_site"].fill_null(0).eq(0).any():
        visited = _visited(folders)
    rows = table.select("subject_id", "care_site", "location").join(visited, on="subject_id", how="left")
    known = pl.when(pl.col("care_site") > 0).then("care_site").otherwise("visited")
    rows = (
        rows.with_columns(care_site=known)
        .join(care, on="care_site", how="left")
        .join(places, on="location", how="left")
    )
    site = pl.coalesce(
        "care_site_name",
        pl.when(pl.col("care_site") > 0).then(pl.concat_str(pl.lit("care_site "), "care_site")),
        "location_name",
        pl.lit(UNKNOWN_SITE),
    )
    found = rows.select("subject_id", site=site)
    report.sites = dict(
        found["site"].value_counts().sort(["count", "site"], descending=[True, False]).iter_rows()
    )
    if n := report.sites.get(UNKNOWN_SITE):
        report.changed.add("person: neither care site nor location, site 'unknown'", n=n)
    return found


def _names(folders: list[Path], table: str, columns: tuple[str, ...], refused: Refused) -> pl.DataFrame:
    """Give a table's id and the first of the columns that says something."""
    frames = [pl.DataFrame(schema={table: pl.Int64, f"{table}_name": pl.String})]
    for file in find(folders, table):
        held = scan(file).collect_schema().names()
        need(file, held, (f"{table}_id",))
        read = Table(table, table, "", {"id": f"{table}_id"}, fixed=table, personal=False)
        ids = stage(file, read)
        if refuse_bad(ids, file, refused):
            ids = ids.filter(pl.col("bad").is_null())
        texts = [
            pl.when(pl.col(c).cast(pl.String).str.strip_chars() != "").then(
                pl.col(c).cast(pl.String).str.strip_chars()
            )
            for c in columns
            if c in held
        ]
        named = scan(file).select(
            pl.col("row").cast(pl.Int64), pl.coalesce(*texts, pl.lit(None, pl.String)).alias(f"{table}_name")
        )
        with reading(file):
            frames.append(
                ids.join(named, on="row").select(pl.col("id").alias(table), f"{table}_name").collect()
            )
    return pl.concat(frames).unique(table, keep="first", maintain_order=True)


def _visited(folders: list[Path]) -> pl.DataFrame:
    """Give each person's most frequent care site, by rows that are whole; of several the one with the smallest id."""
    frames = [pl.DataFrame(schema={"subject_id": pl.Int64, "visited": pl.Int64})]
    for file in find(folders, "visit_occurrence"):
        read = Table("visit_occurrence", "visit", "", {"id": "care_site_id"}, fixed="visit")
        need(file, scan(file).collect_schema().names(), ("person_id",))
        staged = stage(file, read)
        whole = staged.filter(pl.col("id") > 0, pl.col("bad").is_null())
        with reading(file):
            frames.append(whole.select("subject_id", visited="id").collect(engine="streaming"))
    return (
        pl.concat(frames)
        .group_by("subject_id", "visited")
        .len()
        .sort(["subject_id", "len", "visited"], descending=[False, True, False])
        .unique("subject_id", keep="first", maintain_order=True)
        .select("subject_id", "visited")
    )


def static_events(people: pl.DataFrame, concepts: pl.DataFrame) -> pl.DataFrame:
    """Give the events of who somebody is: sex, race, ethnicity and site without a time, and the birth.

    Args:
        people: `People.table`, or some of it.
        concepts: concept_id and code.
    """
    codes = dict(concepts.select("concept_id", "code").iter_rows())
    frames = [
        people.filter(pl.col("gender").is_not_null()).select(
            "subject_id",
            code=pl.concat_str(pl.lit("GENDER//"), "gender"),
            time=pl.lit(None, pl.Datetime("us")),
        ),
        people.select(
            "subject_id", code=pl.concat_str(pl.lit("SITE//"), "site"), time=pl.lit(None, pl.Datetime("us"))
        ),
    ]
    for name in ("race", "ethnicity"):
        known = people.filter(pl.col(name) != 0)
        code = pl.Series([codes.get(c, f"OMOP/{c}") for c in known[name].to_list()], dtype=pl.String)
        frames.append(known.select("subject_id", code=code, time=pl.lit(None, pl.Datetime("us"))))
    born = people.filter(pl.col("born").is_not_null())
    frames.append(born.select("subject_id", code=pl.lit(meds.BIRTH), time="born"))
    return pl.concat(frames)


def name_unknown(people: pl.DataFrame, concepts: pl.DataFrame, report: ImportReport) -> None:
    """Name the concepts of race and ethnicity that CONCEPT does not hold.

    Args:
        people: `People.table`.
        concepts: concept_id of those that it holds.
        report: Filled.
    """
    said = pl.concat([people["race"], people["ethnicity"]])
    missing = said.filter((said != 0) & ~said.is_in(concepts["concept_id"].implode())).value_counts()
    named = {f"OMOP/{c}": n for c, n in missing.sort(["count", "race"], descending=[True, False]).iter_rows()}
    report.name("persons whose race or ethnicity is not in CONCEPT", named)


def describe_static(code: str) -> str | None:
    """Give the description of a static code, None for another one.

    Args:
        code: The code.
    """
    kind, _, value = code.partition("//")
    if kind == "GENDER":
        return _SEXES[value]
    if kind == "SITE":
        return f"Site: {value}"
    if kind == "IMAGE":
        return f"Image: {value}"
    return "Birth" if code == meds.BIRTH else None


def same_person(events: pl.DataFrame, people: pl.DataFrame) -> pl.DataFrame:
    """Find ids that stand for one person: same day of birth and sex, and much of the record the same.

    Registries hold such pairs where two systems were joined, and simulators write a person again who died. In two
    folds they would give the test set away.

    Args:
        events: subject_id, time, code of the persons, coded events only.
        people: `People.table` of the same persons.

    Returns:
        Columns one and other, the smaller id first.
    """
    key = ["born", "gender"]
    twins = people.filter(pl.col("exact"), pl.col("gender").is_not_null())
    twins = twins.filter(pl.struct(key).is_duplicated()).select(
        "subject_id", twin=pl.struct(key).rank("dense")
    )
    if twins.is_empty():
        return pl.DataFrame(schema={"one": pl.Int64, "other": pl.Int64})
    twin = pl.col("subject_id").replace_strict(
        *twins.get_columns(), default=None, return_dtype=twins["twin"].dtype
    )
    rows = events.select("subject_id", "time", "code", twin=twin).drop_nulls("twin")
    # Few events are anybody else's too: by a hash they are found quickly, and only they are compared.
    mark = pl.col("time").hash(1) ^ pl.col("code").hash(2) ^ pl.col("twin").hash(3)
    marks = rows.select(mark).to_series()
    ordered = marks.sort()
    alike = rows.filter(marks.is_in(ordered.filter(ordered == ordered.shift(1)).implode())).unique()
    both = alike.join(alike, on=["twin", "time", "code"], suffix="_other").filter(
        pl.col("subject_id") < pl.col("subject_id_other")
    )
    shared = both.group_by(one="subject_id", other="subject_id_other").len().sort("one", "other")
    shared = shared.filter(pl.col("len") >= AT_LEAST)
    asked = pl.concat([shared["one"], shared["other"]]).unique()
    size = (
        rows.filter(pl.col("subject_id").is_in(asked.implode())).unique().group_by("subject_id").len("size")
    )
    for name in ("one", "other"):
        size_of = size.rename({"subject_id": name, "size": f"size_{name}"})
        shared = shared.join(size_of, on=name, how="left", maintain_order="left")
    enough = pl.col("len") >= SHARED * pl.min_horizontal("size_one", "size_other")
    return shared.filter(enough).select("one", "other")
