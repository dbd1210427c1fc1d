"""Small cohorts and a small source of the COVID-19 image data collection, invented."""

import csv
import json
import sys
from collections.abc import Callable, Collection
from datetime import datetime
from pathlib import Path
from typing import Any

import meds as standard
import polars as pl
import pyarrow.parquet as pq
import pytest
import yaml

from mhdiff.cli import main
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


def published(cohort: Path) -> None:
    """Hold every table against the schema of the package `meds`."""
    tables = [(file, standard.DataSchema) for file in (cohort / "data").rglob("*.parquet")]
    tables += [(file, standard.LabelSchema) for file in (cohort / "labels").rglob("*.parquet")]
    tables += [(cohort / standard.code_metadata_filepath, standard.CodeMetadataSchema)]
    tables += [(cohort / standard.subject_splits_filepath, standard.SubjectSplitSchema)]
    for file, schema in tables:
        schema.validate(schema.align(pq.read_table(file)))
    standard.DatasetMetadataSchema.validate(
        json.loads((cohort / standard.dataset_metadata_filepath).read_text())
    )


@pytest.fixture
def whole_way(
    small_data: Path, small_config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., dict[str, Any]]:
    """Take a cohort from validation over its audit to an evaluated model by the command line; gives metrics.json.

    `leaks` names what the audit is known to find in the cohort, and no other failure may be there. `config` is trained
    on where it is given, and small networks otherwise; the package `meds` has the last word on the tables.
    """

    def go(
        cohort: Path,
        task: Path | str,
        modalities: list[str],
        *more: str,
        ontology: str = "",
        leaks: Collection[str] = (),
        config: str = "",
        split: str = "fold:0/3",
    ) -> dict[str, Any]:
        ontology = ontology or str(small_data / "ontology")
        graph, run = str(tmp_path / "graph"), str(tmp_path / "run")
        assert main(["cohort", "validate", str(cohort)]) == 0
        published(cohort)
        assert main(["cohort", "info", str(cohort), "--task", str(task)]) == 0
        command = ["graph", "build", "--ontology", ontology, "--cohort", str(cohort), "--task", str(task)]
        assert main([*command, "--out", graph]) == 0
        before = capsys.readouterr()
        asked = [
            "cohort",
            "audit",
            str(cohort),
            "--task",
            str(task),
            "--ontology",
            ontology,
            "--graph",
            graph,
        ]
        exit_code = main([*asked, "--split", split, "--html", str(tmp_path / "audit.html"), "--json"])
        audit = capsys.readouterr()
        sys.stdout.write(before.out + audit.out)  # for a test that looks at all that was said
        sys.stderr.write(before.err + audit.err)
        told = json.loads(audit.out)
        assert set(told["failures"]) == set(leaks)
        assert exit_code == (2 if leaks else 0)
        assert {check["name"] for check in told["checks"]} >= {
            "overlap",
            "label_codes",
            "single_features",
            "graph",
        }
        places = {
            "ontology": ontology,
            "cohort": str(cohort),
            "graph": graph,
            "task": str(task),
            "split": split,
        }
        command = ["fit", "-c", config, *(f"--data.{name}={value}" for name, value in places.items())]
        if not config:
            small = yaml.safe_load(small_config.read_text())
            small["data"] |= {**places, "modalities": modalities}
            model = small["model"]
            for part in ("encoders", "hide_latents"):
                model[part] = {name: how for name, how in model[part].items() if name in modalities}
            file = tmp_path / "whole.yaml"
            file.write_text(yaml.safe_dump(small))
            command = ["fit", "-c", str(file)]
        assert main([*command, "--out", run, *more]) == 0
        assert main(["evaluate", run, "--replicates", "20"]) == 0
        found: dict[str, Any] = json.loads((Path(run) / "metrics.json").read_text())
        predictions = pl.read_parquet(Path(run) / "predictions.parquet")
        assert set(predictions["subject_id"]) <= set(pl.read_parquet(cohort / meds.SPLITS_FILE)["subject_id"])
        held = predictions.filter(pl.col("split") == "held_out")["subject_id"].n_unique()
        assert found["n_subjects"] == held > 0
        trained = yaml.safe_load((Path(run) / "config.yaml").read_text())
        assert trained["trainer"]["max_epochs"] == 2
        full = next(p for p in found["patterns"] if set(p.split("+")) == set(modalities))
        assert 0 <= found["patterns"][full]["metrics"]["auroc"]["value"] <= 1
        return found

    return go
