"""The state of every component: its latest row over all files of a kind, in all packages."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from ontology.progress import step
from ontology.report import LoadReport
from ontology.rf2_files import COLUMNS, MEMBER, RF2File
from ontology.rf2_table import ACTIVE, ID, TEXT, TIME, Wanted, read_rows, schema_of


class Release:
    """The files that are read together.

    Args:
        files: The files of all packages, in the packages' order.
        report: The account of the load.
        as_of: Leave out rows later than this effectiveTime (YYYYMMDD); 0 takes them all.
        state: 1 gives the active components, 0 the inactive ones: what a layer takes back.
    """

    def __init__(
        self, files: Sequence[RF2File], report: LoadReport, as_of: int = 0, *, state: int = 1
    ) -> None:
        self.files, self.report, self.as_of, self.state = list(files), report, as_of, state
        self._bytes, self._read = max(1, sum(file.entry.size for file in self.files)), 0

    def kinds(self) -> list[str]:
        """Give the kinds of files that there are, in the files' order."""
        return list(dict.fromkeys(file.kind for file in self.files))

    def latest(
        self, kind: str, wanted: Wanted, *, counted: str = "", identified: bool = True
    ) -> pl.DataFrame:
        """Give the latest row of each component, active or not.

        Args:
            kind: The kind of files.
            wanted: Their own columns; a column that a file lacks is an empty text.
            counted: Under which name to count; the kind by default.
            identified: Whether the identifier is needed for more than telling states apart; if not, it is not read
                where there is but one file, whose rows are states already.

        Returns:
            id, effectiveTime (null: not yet released), active, and the columns wanted.
        """
        files = [file for file in self.files if file.kind == kind]
        member = "refsetId" in wanted
        # an alternate identifier has no id of its own: it is its scheme and itself, both among those wanted
        key = ["identifierSchemeId", "alternateIdentifier"] if kind == "identifier" else ["id"]
        identity = {} if kind == "identifier" else {"id": TEXT if member else ID}
        several = len(files) > 1 or any(file.release == "Full" for file in files)
        own = {**(identity if identified or several else {}), "effectiveTime": TIME, "active": ACTIVE}
        frames = []
        for file in files:
            here = {column: what for column, what in wanted.items() if column in file.header}
            for column in file.header:
                if column not in (*COLUMNS["concept"][:4], *wanted):
                    self.report.tolerate(f"column '{column[:40]}' of {kind} files is not used", 1)
            step(f"reading {file.entry.filename}", self._read / self._bytes)
            frames.append(read_rows(file, {**own, **here}, self.report))
            self._read += file.entry.size
        schema = schema_of({**own, **wanted})
        if not frames:
            return pl.DataFrame(schema=schema)
        frame = pl.concat(frames, how="diagonal") if len(frames) > 1 else frames.pop()
        for column in wanted:
            if column not in frame.columns:
                frame = frame.with_columns(pl.lit("").alias(column))
            elif len(files) > 1 and schema[column] == pl.String() and frame[column].null_count():
                frame = frame.with_columns(pl.col(column).fill_null(""))
        counted = counted or kind
        self.report.count(counted, read=frame.height)
        frame = self._now(frame, kind)
        told_apart = several or (identified and kind != "identifier")
        if told_apart and (frame[key[0]] if len(key) == 1 else frame.select(key)).n_unique() < frame.height:
            frame = self._resolved(frame, kind, key, full=any(file.release == "Full" for file in files))
        active = pl.col("active") == 1
        height, newest = frame.select(active.sum(), pl.col("effectiveTime").filter(active).max()).row(0)
        self.report.count(counted, active=height)
        self.report.effective_time = max(self.report.effective_time, str(newest or ""))
        return frame

    def active(
        self, kind: str, wanted: Wanted, *, counted: str = "", identified: bool = True
    ) -> pl.DataFrame:
        """Give the components whose latest row is active (or not, by `state`); arguments and columns as `latest`."""
        frame = self.latest(kind, wanted, counted=counted, identified=identified)
        return frame.filter(pl.col("active") == self.state).drop("active")

    def members(self, kind: str) -> pl.DataFrame:
        """Give the active members of reference sets with all their columns, those of their own as text.

        Args:
            kind: The kind of files.
        """
        own = dict.fromkeys(
            (c for file in self.files if file.kind == kind for c in file.header if c not in MEMBER), TEXT
        )
        wanted = {"moduleId": ID, "refsetId": ID, "referencedComponentId": ID, **own}
        return self.active(
            kind, wanted, counted="reference set" if kind.startswith("reference set with") else ""
        )

    def _now(self, frame: pl.DataFrame, kind: str) -> pl.DataFrame:
        if not self.as_of:
            return frame
        unreleased = int(frame["effectiveTime"].null_count())
        self.report.tolerate(f"{kind} row without effectiveTime, left out of a state of the past", unreleased)
        return frame.filter(pl.col("effectiveTime") <= self.as_of)

    def _resolved(self, frame: pl.DataFrame, kind: str, key: list[str], *, full: bool) -> pl.DataFrame:
        latest = frame.sort("effectiveTime", nulls_last=True, maintain_order=True).unique(
            key, keep="last", maintain_order=True
        )
        if not full:
            packages = len({file.package for file in self.files})
            what = f"{kind} row replaced by a later row of the same id"
            if packages > 1:  # what layers are for, and no oddity
                self.report.overridden[kind] = frame.height - latest.height
            else:
                self.report.tolerate(what, frame.height - latest.height)
        return latest
