"""A cohort, opened: a MEDS dataset whose files and columns were checked, read when they are asked for."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from graph_builders.collect import names_a_file
from mhdiff.cohort import meds
from ontology.errors import InputError
from ontology.files import sha256

_REBUILD = (
    "Write it with `mhdiff cohort import` or `mhdiff cohort synthesize`, or point to a MEDS 0.4 dataset"
)
UNKNOWN_SITE = "unknown"
_WHOSE = "Which and whose they are: mhdiff cohort validate DIR --cases FILE"


class Finding(NamedTuple):
    """Something that is wrong with a cohort.

    Attributes:
        check: Name of the check that failed.
        detail: What is wrong, without any text and any id of a patient.
        subjects: Whose records are meant; for the file that --cases asks for, and nothing else.
        file: The image that is meant, if one is; its name may hold an id, so it goes where `subjects` go.
    """

    check: str
    detail: str
    subjects: tuple[int, ...] = ()
    file: str = ""


class Cohort:
    """A cohort folder.

    Args:
        path: The folder.
        metadata: The content of `metadata/dataset.json`.
    """

    def __init__(self, path: Path, metadata: dict[str, Any]) -> None:
        self.path, self.metadata = path, metadata

    @classmethod
    def open(cls, path: str | Path) -> Cohort:
        """Open a cohort folder; files and column types are checked, no event is read yet.

        Args:
            path: The folder.

        Raises:
            InputError: If a file or a column is missing or of the wrong type.
        """
        root = Path(path)
        if not root.is_dir():
            raise InputError("there is no such cohort folder", path=root, remedy=_REBUILD)
        shards = sorted((root / "data").rglob("*.parquet"))
        for name in (meds.MARKER, meds.CODES_FILE, meds.SPLITS_FILE):
            if not (root / name).is_file():
                raise InputError(f"the cohort has no {name}", path=root, remedy=_REBUILD)
        if not shards:
            raise InputError("the cohort has no data/*.parquet", path=root, remedy=_REBUILD)
        for shard in shards:
            _check_columns(shard, meds.EVENTS | meds.EVENTS_OPTIONAL, ("subject_id", "time", "code"))
        _check_columns(root / meds.CODES_FILE, meds.CODES, ("code", "description", "parent_codes"))
        _check_columns(root / meds.SPLITS_FILE, meds.SUBJECT_SPLITS, ("subject_id", "split"))
        try:
            metadata = json.loads((root / meds.MARKER).read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError("the file is not JSON", path=root / meds.MARKER, remedy=_REBUILD) from error
        return cls(root, metadata if isinstance(metadata, dict) else {})

    @property
    def name(self) -> str:
        """The dataset's name, or the folder's."""
        return str(self.metadata.get("dataset_name") or self.path.name)

    @property
    def kind(self) -> str:
        """Which adapter wrote it; `meds` if none of ours did."""
        return str(self._ours.get("kind", "meds"))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the tables, labels and images: the one that was stored when it was written, if any."""
        return str(self._ours.get("fingerprint") or meds.fingerprint(self.path))

    @property
    def _ours(self) -> dict[str, Any]:
        ours = self.metadata.get("mhdiff")
        return ours if isinstance(ours, dict) else {}

    def scan(self, *, optional: bool = False) -> pl.LazyFrame:
        """Give the events lazily, with the columns of `meds.EVENTS`.

        Args:
            optional: Give those of `meds.EVENTS_OPTIONAL` too, null where the cohort has none.
        """
        frames, schema = [], meds.EVENTS | (meds.EVENTS_OPTIONAL if optional else {})
        for shard in sorted((self.path / "data").rglob("*.parquet")):
            held = pl.read_parquet_schema(shard)
            frames.append(
                pl.scan_parquet(shard).select(
                    (pl.col(name) if name in held else pl.lit(None)).cast(dtype).alias(name)
                    for name, dtype in schema.items()
                )
            )
        return pl.concat(frames)

    @cached_property
    def events(self) -> pl.DataFrame:
        """All events, read once."""
        return self.scan().collect()

    @cached_property
    def codes(self) -> pl.DataFrame:
        """The codes' descriptions, parents, units and reference ranges."""
        return meds.conform(pl.read_parquet(self.path / meds.CODES_FILE), meds.CODES)

    @cached_property
    def splits(self) -> pl.DataFrame:
        """The stored split of each subject."""
        return meds.conform(pl.read_parquet(self.path / meds.SPLITS_FILE), meds.SUBJECT_SPLITS)

    @cached_property
    def sites(self) -> pl.DataFrame:
        """Columns subject_id and site, from the static `SITE//` codes; `unknown` where there is none."""
        named = (
            self.scan()
            .filter(pl.col("code").str.starts_with("SITE//"))
            .group_by("subject_id")
            .agg(pl.col("code").first().str.strip_prefix("SITE//").alias("site"))
        )
        subjects = self.scan().select("subject_id").unique()
        found = subjects.join(named, on="subject_id", how="left").sort("subject_id").collect()
        return found.with_columns(pl.col("site").fill_null(UNKNOWN_SITE))

    @property
    def label_names(self) -> list[str]:
        """The names that `labels` knows."""
        return sorted(p.stem for p in (self.path / "labels").glob("*.parquet"))

    def labels(self, name: str) -> pl.DataFrame:
        """Give the labels of a task, with all columns of `meds.LABELS`.

        Args:
            name: Name of the file below `labels/`, without `.parquet`.

        Raises:
            InputError: If the cohort has no such labels.
        """
        if name not in self.label_names:
            raise InputError(
                f"the cohort has no labels '{name}'",
                path=self.path,
                remedy=f"It has: {', '.join(self.label_names) or 'none'}. Choose a task that fits it, or make "
                "those of a task with an outcome: mhdiff cohort label",
            )
        file = self.path / "labels" / f"{name}.parquet"
        _check_columns(file, meds.LABELS, ("subject_id", "prediction_time"))
        return meds.conform(pl.read_parquet(file), meds.LABELS)

    def image_path(self, relative: str) -> Path:
        """Give an image's place on disk.

        Args:
            relative: The event's text_value.

        Raises:
            InputError: If the path leaves the cohort's folder or there is no such file. The message does not name the
                file, since names of files hold ids of patients.
        """
        place = (self.path / relative).resolve()
        if not place.is_relative_to(self.path.resolve()):
            raise InputError(
                "an image that an event names lies outside the cohort's folder",
                path=self.path,
                remedy=f"Copy it into the folder and write its relative path into the event. {_WHOSE}",
            )
        if not place.is_file():
            raise InputError(
                "an image that an event names is missing",
                path=self.path,
                remedy=f"Restore it or import the cohort again. {_WHOSE}",
            )
        return place

    @cached_property
    def images(self) -> pl.DataFrame:
        """Columns subject_id and path (relative), one row an event that names a file: an image or a signal."""
        events = self.scan().filter(names_a_file(), pl.col("text_value").is_not_null())
        return events.select("subject_id", pl.col("text_value").alias("path")).collect()

    @cached_property
    def groups(self) -> pl.DataFrame:
        """Columns subject_id and group: subjects that must stay in one split.

        Subjects share a group if they share an image, byte for byte, or if the adapter found that they belong
        together (`metadata/groups.parquet`). The group is the smallest of their subject_ids.
        """
        from mhdiff.cohort.splits import unite

        pairs = self._image_hashes()
        if (self.path / meds.GROUPS_FILE).is_file():
            stored = pl.read_parquet(self.path / meds.GROUPS_FILE)
            pairs += [(s, f"group {g}") for s, g in stored.select("subject_id", "group").iter_rows()]
        subjects = {*self.splits["subject_id"], *self.sites["subject_id"], *(subject for subject, _ in pairs)}
        return unite(sorted(subjects), pairs)

    def _image_hashes(self) -> list[tuple[int, str]]:
        """Hash the images whose size is not unique: only those can be identical to another."""
        sized, home = [], self.path.resolve()
        for subject, relative in self.images.unique().sort("subject_id", "path").iter_rows():
            place = (home / relative).resolve()
            if place.is_relative_to(home) and place.is_file():
                sized.append((subject, place, place.stat().st_size))
        counts: dict[int, int] = {}
        for _, _, size in sized:
            counts[size] = counts.get(size, 0) + 1
        return [(subject, sha256(place)) for subject, place, size in sized if counts[size] > 1]

    def validate(self) -> list[Finding]:
        """Look for everything that would spoil training, and list all of it."""
        found = []
        for subject, relative in self.images.iter_rows():
            try:
                self.image_path(relative)
            except InputError as error:
                found.append(Finding("image", error.problem, (subject,), relative))
        found += self._validate_tables()
        stored = self._ours.get("fingerprint")
        if stored and stored != meds.fingerprint(self.path):
            found.append(
                Finding("fingerprint", "the files are not those that were written: import the cohort again")
            )
        return found

    def _validate_tables(self) -> list[Finding]:
        events, found = self.events, []
        if unknown := sorted(set(events["code"]) - set(self.codes["code"])):
            more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
            found.append(Finding("codes", f"not in {meds.CODES_FILE}: {', '.join(unknown[:5])}{more}"))
        births = (
            events.filter(pl.col("code") == meds.BIRTH)
            .group_by("subject_id")
            .agg(pl.col("time").min().alias("born"))
        )
        early = events.join(births, on="subject_id").filter(pl.col("time") < pl.col("born"))
        found += [
            Finding("time", f"a subject has {n} events before birth", (subject,))
            for subject, n in early.group_by("subject_id").len().sort("subject_id").iter_rows()
        ]
        twice = self.splits.group_by("subject_id").agg(pl.col("split").n_unique()).filter(pl.col("split") > 1)
        found += [
            Finding("splits", "a subject is in several splits", (s,)) for s in twice["subject_id"].sort()
        ]
        if missing := sorted(set(events["subject_id"]) - set(self.splits["subject_id"])):
            found.append(Finding("splits", f"{len(missing)} subjects are in no split", tuple(missing)))
        torn = (
            self.groups.join(self.splits, on="subject_id")
            .group_by("group")
            .agg(pl.col("split").n_unique(), pl.col("subject_id").sort())
            .filter(pl.col("split") > 1)
            .sort("group")
        )
        found += [
            Finding(
                "splits", f"{len(members)} subjects belong together and are in several splits", tuple(members)
            )
            for members in torn["subject_id"]
        ]
        for name in self.label_names:
            strangers = set(self.labels(name)["subject_id"]) - set(events["subject_id"])
            if strangers:
                told = f"'{name}': {len(strangers)} subjects have no events"
                found.append(Finding("labels", told, tuple(sorted(strangers))))
        return found


def _check_columns(file: Path, schema: dict[str, meds.Type], required: tuple[str, ...]) -> None:
    try:
        held = pl.read_parquet_schema(file)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError("the file is not readable Parquet", path=file, remedy=_REBUILD) from error
    for name, dtype in schema.items():
        if name not in held:
            if name in required:
                raise InputError("the column is missing", path=file, column=name, remedy=_REBUILD)
        elif held[name] != dtype and not _castable(held[name], dtype):
            raise InputError(
                f"the column is {held[name]}, it should be {dtype}", path=file, column=name, remedy=_REBUILD
            )


def _castable(held: pl.DataType, wanted: meds.Type) -> bool:
    if held == pl.Null():
        return True
    if wanted in (pl.Float32(), pl.Float64()):
        return held.is_numeric()
    if wanted == pl.Int64():
        return held.is_integer()
    return isinstance(held, (pl.Categorical, pl.Enum)) and wanted == pl.String()
