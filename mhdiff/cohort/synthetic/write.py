"""Write the known-answer cohort: a MEDS dataset like any other, with the truth that real cohorts lack.

images/<subject>.png          radiographs
truth/posterior.parquet       subject_id, pattern ("image+note", "none" ...), p_0 ... p_4: exact, see
posterior.py truth/findings.parquet        subject_id, modality, sctid, polarity: what is there to be found
truth/patients.parquet        subject_id, label, site, age_band, present_<modality>, off_topic_<modality>
truth/masks/<subject>.png     where the findings are in the radiograph
truth/settings.json           the knobs
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image

from mhdiff.cohort.meds import MARKER, write_meds
from mhdiff.cohort.synthetic.assemble import assemble
from mhdiff.cohort.synthetic.chart import ADMISSION, DISCHARGE, IMAGE, NOTE, Chart, Scribe, image_path
from mhdiff.cohort.synthetic.generative import GenerativeModel, Patient
from mhdiff.cohort.synthetic.labs import code_of
from mhdiff.cohort.synthetic.posterior import posterior
from mhdiff.cohort.synthetic.settings import CLASSES, Settings
from mhdiff.cohort.synthetic.vocabulary import Vocabulary, vocabulary
from mhdiff.console import progress
from ontology.files import atomic_directory

TASK = "pneumonia"
RADIOGRAPH = "plain_chest_radiograph"
_BLOCK = ("train",) * 7 + ("tuning",) + ("held_out",) * 2


def synthesize(out: str | Path, settings: Settings | None = None) -> Path:
    """Draw patients and write the cohort.

    Args:
        out: The folder to make; an older cohort in its place is replaced.
        settings: The knobs; the defaults when left out.

    Returns:
        The folder.

    Raises:
        InputError: If the folder exists and is no cohort.
    """
    settings = settings or Settings()
    words = vocabulary()
    model = assemble(settings, words)
    patients = [model.sample(i) for i in range(settings.patients)]
    with atomic_directory(out, marker=MARKER) as folder:
        charts = _write_charts(folder, Scribe(model, words, settings.image_size), patients)
        _write_truth(folder, model, settings, patients, charts)
        subjects = pl.Series("subject_id", [c.subject_id for c in charts], dtype=pl.Int64)
        events = pl.DataFrame(
            [event for chart in charts for event in chart.events],
            schema={
                "subject_id": pl.Int64,
                "time": pl.Datetime("us"),
                "code": pl.String,
                "numeric_value": pl.Float64,
                "text_value": pl.String,
            },
            orient="row",
        )
        labels = pl.DataFrame(
            {
                "subject_id": subjects,
                "prediction_time": pl.Series([c.prediction_time for c in charts], dtype=pl.Datetime("us")),
                "categorical_value": [CLASSES[p.label] for p in patients],
            }
        )
        write_meds(
            folder,
            events=events,
            codes=code_table(events["code"].unique().sort().to_list(), words),
            splits=pl.DataFrame(
                {"subject_id": subjects, "split": assign_splits(settings.seed, len(subjects))}
            ),
            labels={TASK: labels},
            metadata={
                "dataset_name": "mhdiff known-answer cohort",
                "license": "Apache-2.0",
                "mhdiff": {"kind": "synthetic", "settings": settings.to_dict()},
            },
        )
    return Path(out)


def assign_splits(seed: int, n: int) -> list[str]:
    """Give each patient a split, 70/10/20 in every ten patients, the same whatever the number of patients.

    Args:
        seed: Seed of the cohort.
        n: Number of patients.
    """
    result: list[str] = []
    for block in range(-(-n // len(_BLOCK))):
        order = np.random.default_rng([seed, 104_729, block]).permutation(len(_BLOCK))
        result += [_BLOCK[i] for i in order]
    return result[:n]


def code_table(codes: list[str], words: Vocabulary) -> pl.DataFrame:
    """Describe the codes that occur.

    Args:
        codes: The codes.
        words: The terminology.
    """
    labs = {code_of(lab): lab for lab in words.labs}
    fixed = {
        IMAGE: ("Chest radiograph, posteroanterior view", [f"SNOMED/{words.sctid(RADIOGRAPH)}"]),
        NOTE: ("Clinical note", []),
        ADMISSION: ("Admission to hospital", []),
        DISCHARGE: ("Discharge from hospital", []),
        "MEDS_BIRTH": ("Birth", []),
        "GENDER//F": ("Female", []),
        "GENDER//M": ("Male", []),
    }
    rows: list[tuple[str, str, list[str], str | None, float | None, float | None]] = []
    for code in codes:
        if code in labs:
            lab = labs[code]
            name = words.tables.by_key[lab.observable].preferred
            low = lab.ref_low if lab.ref_low > lab.plausible_low else None
            rows.append((code, name, [f"LOINC/{lab.loinc}"], lab.unit, low, lab.ref_high))
        elif code in fixed:
            rows.append((code, *fixed[code], None, None, None))
        elif code.startswith("SITE//"):
            rows.append((code, f"Hospital {code.removeprefix('SITE//')}", [], None, None, None))
        else:
            rows.append((code, words.describe(code), [code], None, None, None))
    return pl.DataFrame(
        rows,
        schema={
            "code": pl.String,
            "description": pl.String,
            "parent_codes": pl.List(pl.String),
            "unit": pl.String,
            "ref_low": pl.Float64,
            "ref_high": pl.Float64,
        },
        orient="row",
    )


def _write_charts(folder: Path, scribe: Scribe, patients: list[Patient]) -> list[Chart]:
    for name in ("images", "truth/masks"):
        (folder / name).mkdir(parents=True)
    charts = []
    for patient in progress(patients, f"drawing {len(patients)} patients", total=len(patients)):
        chart = scribe.write(patient)
        if chart.image is not None and chart.mask is not None:
            name = image_path(chart.subject_id)
            Image.fromarray(chart.image).save(folder / name, compress_level=4)
            Image.fromarray(chart.mask).save(folder / "truth" / "masks" / Path(name).name, compress_level=4)
            chart.image = chart.mask = None
        charts.append(chart)
    return charts


def _write_truth(
    folder: Path, model: GenerativeModel, settings: Settings, patients: list[Patient], charts: list[Chart]
) -> None:
    truth = folder / "truth"
    names = [m.name for m in model.modalities]
    posterior_table(model, patients).write_parquet(truth / "posterior.parquet")
    pl.DataFrame(
        [(c.subject_id, *finding) for c in charts for finding in c.findings],
        schema={"subject_id": pl.Int64, "modality": pl.String, "sctid": pl.Int64, "polarity": pl.String},
        orient="row",
    ).write_parquet(truth / "findings.parquet")
    rows = [(p.index + 1, p.label, model.sites[p.site], p.band, *p.present, *p.off_topic) for p in patients]
    columns = {"subject_id": pl.Int64, "label": pl.Int64, "site": pl.String, "age_band": pl.Int64}
    bits = {f"{what}_{m}": pl.Boolean for what in ("present", "off_topic") for m in names}
    pl.DataFrame(rows, schema={**columns, **bits}, orient="row").write_parquet(truth / "patients.parquet")
    (truth / "settings.json").write_text(json.dumps(settings.to_dict(), indent=2) + "\n", encoding="utf-8")


def posterior_table(model: GenerativeModel, patients: list[Patient]) -> pl.DataFrame:
    """Give the exact posterior as a table: subject_id, pattern, p_0 ... p_4.

    Args:
        model: The model that the patients were drawn from.
        patients: The patients.
    """
    subjects = [p.index + 1 for p in patients]
    tables = []
    for pattern, probability in posterior(model, model.evidence(patients)).items():
        columns = {f"p_{k}": probability[:, k] for k in range(len(model.classes))}
        subject = pl.Series(subjects, dtype=pl.Int64)
        tables.append(pl.DataFrame({"subject_id": subject, "pattern": [pattern] * len(subjects), **columns}))
    return pl.concat(tables)
