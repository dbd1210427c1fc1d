"""One patient's chart: the events of the MEDS table, the picture, and the truth about what was drawn.

Up to prediction_time, which is a day after admission, the chart says nothing about the label but what the
drawn findings, the absences and the site say. After prediction_time it names the label outright, in a
discharge code and a discharge letter, as real charts do: whoever reads past prediction_time is caught by
metrics above the ceiling.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
from jaxtyping import UInt8

from mhdiff.cohort.synthetic.generative import STATES, GenerativeModel, Patient
from mhdiff.cohort.synthetic.labs import code_of, draw_value
from mhdiff.cohort.synthetic.looks import look_of
from mhdiff.cohort.synthetic.notes import Content, compose, style_of
from mhdiff.cohort.synthetic.radiograph import MACHINES, render
from mhdiff.cohort.synthetic.vocabulary import DIAGNOSES, QUESTIONS, Vocabulary

Event = tuple[int, datetime | None, str, float | None, str | None]
"""subject_id, time, code, numeric_value, text_value."""

IMAGE, NOTE = "IMAGE//CXR//PA", "NOTE//CLINICAL"
ADMISSION, DISCHARGE = "HOSPITAL_ADMISSION", "HOSPITAL_DISCHARGE"
ICD_HABIT = (0.3, 0.7, 0.5)
"""Share of codes that a site writes in ICD-10 where that loses nothing; the rest is SNOMED CT."""

_NOTE_STREAM, _IMAGE_STREAM, _LAB_STREAM, _CODE_STREAM, _TIME_STREAM = 1, 2, 3, 4, 5
_FIRST_DAY = datetime(2016, 1, 1)


@dataclass
class Chart:
    """What is written down about one patient.

    Attributes:
        subject_id: Number of the subject, from 1.
        prediction_time: When the diagnosis is to be made.
        events: Rows of the MEDS table.
        findings: Truth: modality, SCTID, polarity.
        image: The radiograph, if there is one.
        mask: Where its findings are.
    """

    subject_id: int
    prediction_time: datetime
    events: list[Event] = field(default_factory=list)
    findings: list[tuple[str, int, str]] = field(default_factory=list)
    image: UInt8[np.ndarray, "size size"] | None = None
    mask: UInt8[np.ndarray, "size size"] | None = None


def image_path(subject_id: int) -> str:
    """Give the path of a subject's radiograph, relative to the cohort's folder.

    Args:
        subject_id: The subject.
    """
    return f"images/{subject_id:06d}.png"


class Scribe:
    """Writes charts.

    Args:
        model: The generative model.
        words: The terminology.
        image_size: Side of the radiographs in pixels.
    """

    def __init__(self, model: GenerativeModel, words: Vocabulary, image_size: int) -> None:
        self.model, self.words, self.image_size = model, words, image_size
        self.modality = {m.name: (i, m) for i, m in enumerate(model.modalities)}
        self.history = words.leaves_of("codes")
        self.looks = {key: look_of(key, words.tables) for key in words.leaves_of("image")}
        self.diagnoses = tuple(DIAGNOSES.values())
        self.site_code = tuple(f"SITE//{name}" for name in model.sites)

    def write(self, patient: Patient) -> Chart:
        """Write one patient's chart.

        Args:
            patient: The patient, as drawn.
        """
        rng = self.model.rng(patient.index, _TIME_STREAM)
        admitted = _FIRST_DAY + timedelta(minutes=int(rng.integers(8 * 365 * 24 * 60)))
        birth = (admitted - timedelta(days=365.25 * patient.age)).replace(
            hour=0, minute=0, second=0, microsecond=0
        )
        chart = Chart(patient.index + 1, admitted + timedelta(days=1))
        self._add(chart, None, f"GENDER//{'F' if patient.female else 'M'}")
        self._add(chart, None, self.site_code[patient.site])
        self._add(chart, birth, "MEDS_BIRTH")
        self._add(chart, admitted, ADMISSION)
        hours = rng.uniform((0.3, 0.5, 0.2), (6.0, 10.0, 4.0))
        when = {
            m: admitted + timedelta(minutes=round(60 * h))
            for m, h in zip(("image", "note", "labs"), hours, strict=True)
        }
        if self._has(patient, "image"):
            self._image(chart, patient, when["image"])
        if self._has(patient, "note"):
            self._note(chart, patient, when["note"])
        if self._has(patient, "labs"):
            self._labs(chart, patient, when["labs"])
        if self._has(patient, "codes"):
            self._codes(chart, patient, admitted)
        self._aftermath(chart, patient, rng)
        return chart

    def _has(self, patient: Patient, name: str) -> bool:
        return patient.present[self.modality[name][0]]

    def _drawn(self, patient: Patient, name: str) -> list[str]:
        i, modality = self.modality[name]
        return [modality.outcomes[c] for c in patient.draws[i]]

    def _add(
        self,
        chart: Chart,
        time: datetime | None,
        code: str,
        number: float | None = None,
        text: str | None = None,
    ) -> None:
        chart.events.append((chart.subject_id, time, code, number, text))

    def _truth(self, chart: Chart, modality: str, keys: Sequence[str], polarity: str = "present") -> None:
        chart.findings += [(modality, self.words.sctid(key), polarity) for key in keys]

    def _image(self, chart: Chart, patient: Patient, time: datetime) -> None:
        keys = self._drawn(patient, "image")
        looks = [look for key in keys if (look := self.looks[key]) is not None]
        machine = MACHINES[patient.site % len(MACHINES)]
        rng = self.model.rng(patient.index, _IMAGE_STREAM)
        chart.image, chart.mask = render(looks, machine, self.image_size, patient.female, rng)
        self._add(chart, time, IMAGE, text=image_path(chart.subject_id))
        self._truth(chart, "image", keys)

    def _note(self, chart: Chart, patient: Patient, time: datetime) -> None:
        rng = self.model.rng(patient.index, _NOTE_STREAM)
        i, modality = self.modality["note"]
        present = self._drawn(patient, "note")
        # What is denied is drawn from the background, without what is affirmed: independent of the label.
        pool = modality.background.copy()
        pool[patient.draws[i]] = 0.0
        u, tail = rng.random(3), rng.random(3)
        denied: list[str] = []
        for _ in range(1 + int(3 * u[0])):
            choice = int(rng.choice(len(pool), p=pool / pool.sum()))
            denied.append(modality.outcomes[choice])
            pool[choice] = 0.0
        family = [self.history[int(tail[0] * len(self.history))]] if u[1] < 0.4 else []
        past = [self.history[int(tail[1] * len(self.history))]] if u[2] < 0.6 else []
        question = QUESTIONS[int(rng.integers(len(QUESTIONS)))] if tail[2] < 0.3 else ""

        def worded(keys: Sequence[str]) -> list[str]:
            terms = [self.words.terms[key] for key in keys]
            return [options[int(rng.integers(len(options)))] for options in terms]

        content = Content(
            present=worded(present),
            repeated=[key in present[:n] for n, key in enumerate(present)],
            absent=worded(denied),
            family=worded(family),
            past=worded(past),
            question=question,
            age=int(patient.age),
            female=patient.female,
        )
        self._add(chart, time, NOTE, text=compose(content, style_of(patient.site), rng))
        for keys, polarity in (
            (present, "present"),
            (denied, "absent"),
            (family, "family"),
            (past, "historical"),
        ):
            self._truth(chart, "note", keys, polarity)

    def _labs(self, chart: Chart, patient: Patient, time: datetime) -> None:
        rng = self.model.rng(patient.index, _LAB_STREAM)
        for outcome in patient.draws[self.modality["labs"][0]]:
            lab, state = self.words.labs[outcome // len(STATES)], int(outcome % len(STATES))
            self._add(chart, time, code_of(lab), draw_value(lab, state, rng))
            if state != STATES.index("normal"):
                self._truth(chart, "labs", [lab.lowered if state == 0 else lab.raised])

    def _codes(self, chart: Chart, patient: Patient, admitted: datetime) -> None:
        rng = self.model.rng(patient.index, _CODE_STREAM)
        keys = self._drawn(patient, "codes")
        for key in keys:
            icd10 = self.words.icd10.get(key)
            habit = ICD_HABIT[patient.site % len(ICD_HABIT)]
            written = (
                f"ICD10/{icd10}" if rng.random() < habit and icd10 else f"SNOMED/{self.words.sctid(key)}"
            )
            self._add(chart, admitted + timedelta(minutes=int(rng.integers(30, 23 * 60))), written)
        # An early working diagnosis, any of the labels at random: what the task blinds.
        if rng.random() < 0.15:
            guess = self.diagnoses[int(rng.integers(len(self.diagnoses)))]
            self._add(chart, admitted + timedelta(minutes=20), f"SNOMED/{self.words.sctid(guess)}")
        self._truth(chart, "codes", keys)

    def _aftermath(self, chart: Chart, patient: Patient, rng: np.random.Generator) -> None:
        """Write what comes after prediction_time and gives the label away."""
        leaving = chart.prediction_time + timedelta(minutes=int(rng.integers(24 * 60, 12 * 24 * 60)))
        label = self.model.classes[patient.label]
        named = DIAGNOSES.get(label)
        if named is not None:
            self._add(chart, leaving, f"SNOMED/{self.words.sctid(named)}")
        name = label.replace("_", " ") if named is None else f"{label} pneumonia"
        self._add(chart, leaving, NOTE, text=f"Discharge letter\n\nFinal diagnosis: {name}.\n")
        self._add(chart, leaving, DISCHARGE)
