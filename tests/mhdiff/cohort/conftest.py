"""Small cohorts and a small source of the COVID-19 image data collection, invented."""

import csv
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mhdiff.cohort import meds
from mhdiff.cohort.covid_rows import COLUMNS, METADATA

DAY = datetime(2021, 3, 1)
Write = Callable[..., Path]


@pytest.fixture
def write_cohort(tmp_path: Path) -> Write:
    """Write a cohort from rows of events, labels and splits; codes are made up to fit."""

    def write(
        events: list[tuple[Any, ...]],
        labels: dict[str, list[tuple[int, datetime, str]]],
        splits: dict[int, str],
        images: dict[str, bytes] | None = None,
    ) -> Path:
        folder = tmp_path / "cohort"
        folder.mkdir()
        for name, content in (images or {}).items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)
        table = pl.DataFrame(events, schema=meds.EVENTS, orient="row")
        keys = ("subject_id", "prediction_time", "categorical_value")
        schema = {name: meds.LABELS[name] for name in keys}
        meds.write_meds(
            folder,
            events=table,
            codes=table.select("code").unique(),
            splits=pl.DataFrame(list(splits.items()), schema=meds.SUBJECT_SPLITS, orient="row"),
            labels={n: pl.DataFrame(rows, schema=schema, orient="row") for n, rows in labels.items()},
            metadata={"dataset_name": "small", "mhdiff": {"kind": "test"}},
        )
        return folder

    return write


@pytest.fixture
def write_source(tmp_path: Path) -> Write:
    """Write metadata.csv and images from partial rows; what is not given is empty."""

    def write(rows: list[dict[str, str]], columns: tuple[str, ...] = COLUMNS) -> Path:
        from PIL import Image

        source = tmp_path / "source"
        (source / "images").mkdir(parents=True)
        with open(source / METADATA, "w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, columns, extrasaction="ignore")
            writer.writeheader()
            for place, row in enumerate(rows):
                base = {"modality": "X-ray", "folder": "images", "filename": f"{place}.png", "view": "PA"}
                full = {**dict.fromkeys(columns, ""), **base, **row}
                writer.writerow(full)
                grey = int(row.get("grey", place * 7 % 256))
                Image.new("L", (8, 8), grey).save(source / "images" / f"{place}.png")
        return source

    return write
