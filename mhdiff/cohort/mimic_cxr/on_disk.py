"""Which images and reports a shard was made from: a killed import makes it again if one of them has changed since.

files/<n>.parquet       the images of a shard's subjects and the reports of their studies, before they are read

Tables are stamped by the key of the import. Of images and reports there are too many for it, and one that is mended
after an import was killed should cost its own shard alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import polars as pl

from mhdiff.cohort.account import Account
from mhdiff.cohort.looked_at import stamp
from mhdiff.cohort.mimic_cxr import pictures
from mhdiff.cohort.mimic_cxr.sources import Sources
from mhdiff.cohort.resumed import Parts

_SCHEMA: Final[dict[str, pl.DataType]] = {
    "report": pl.Boolean(),
    "path": pl.String(),  # null where there is no such file
    "size": pl.Int64(),
    "changed": pl.Int64(),
}


def find_image(sources: Sources, image: str, subject: int, study: int) -> Path | None:
    """Give the file of an image, a JPEG or a DICOM; None where there is none.

    Args:
        sources: Where the images are.
        image: Its dicom_id.
        subject: Its subject_id.
        study: Its study_id.
    """
    found = (sources.find(subject, study, image + suffix) for suffix in pictures.SUFFIXES)
    return next((place for place in found if place is not None), None)


def forget_changed(parts: Parts, number: int, sources: Sources, own: pl.DataFrame) -> None:
    """Note the files of a shard, and remove what was made from them before if some have changed since.

    A changed report costs the events of the shard, a changed image its images too.

    Args:
        parts: The parts of the import.
        number: The shard.
        sources: Where the files are.
        own: dicom_id, subject_id and study_id of the shard's images.
    """
    now = pl.DataFrame(list(_files(sources, own)), schema=_SCHEMA, orient="row")
    name = f"files/{number}.parquet"
    if parts.path(name).is_file():
        before = pl.read_parquet(parts.path(name))
        if before.equals(now):
            return
        if not before.filter(~pl.col("report")).equals(now.filter(~pl.col("report"))):
            parts.path(f"placed/{number}.parquet").unlink(missing_ok=True)
        parts.path(f"data/{number}.parquet").unlink(missing_ok=True)
        parts.path(name).unlink()

    def write(target: Path, account: Account) -> None:
        now.write_parquet(target)

    parts.make(name, write)


def _files(sources: Sources, own: pl.DataFrame) -> Iterator[tuple[bool, str | None, int | None, int | None]]:
    for image, subject, study in own.select("dicom_id", "subject_id", "study_id").iter_rows():
        yield False, *_stamped(find_image(sources, image, subject, study), sources.root)
    for subject, study in own.select("subject_id", "study_id").unique(maintain_order=True).iter_rows():
        yield True, *_stamped(sources.find(subject, study), sources.root)


def _stamped(file: Path | None, root: Path) -> tuple[str | None, int | None, int | None]:
    if file is None:
        return None, None, None
    path = file.relative_to(root).as_posix()
    return path, *stamp(path, root)
