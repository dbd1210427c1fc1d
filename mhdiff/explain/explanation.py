"""One patient explained, as a document.

`Explanation.to_json()` is one JSON object; every number that is not finite is null:

    sample_id, subject_id   int
    label, predicted        str: class names; label is null where it is not known
    probabilities           {class: probability}, as the run's predictions have them
    way                     {by, temperature, time, draws, steps, via, seed, spread}: how the patient was
    diagnosed, see `mhdiff.explain.way`
    posterior               {class: probability} of the exact model of a known-answer cohort, or null
    target                  str: the class whose score is attributed
    output                  str: what is attributed, such as "log_odds"
    difference              float: change of the score from the baseline to the patient
    completeness_gap        float: |sum of attributions - difference| / |difference|
    modalities              [{name, present, attribution, shapley, by_input, by_evidence}]
    note                    str or null: the text as the model read it
    words                   [{text, start, end, attribution, read}]: characters start to end of the note
    labs                    [{code, name, value, unit, ref_low, ref_high, flag, attribution}]
    codes                   [{code, name, attribution}]
    concepts                [{sctid, fsn, modality, polarity, weight, attribution, source, text, start, end}]
    paths                   [{a, b, from_modality, to_modality, share, bias, steps: [{from, relation, to,
    forward}]}] image                   {original_png_base64, overlay_png_base64, mask_share, mask_area,
    mask_hit, path} or null warning                 str

The attributions of words, labs, codes and pixels are those of the encoders' inputs; concepts carry what the
evidence contributed on top. A modality's attribution is the sum of both.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from mhdiff.explain.way import WayTaken
from mhdiff.explain.words import Word

WARNING = "Research software. Nothing here is medical advice."


@dataclass(frozen=True)
class ModalityShare:
    """What one modality contributed.

    Args:
        name: The modality.
        present: Whether the patient has it.
        attribution: Its share of the score; exactly 0 where it is absent.
        shapley: Its share of the probability; None where it was not computed.
        by_input: The part of the attribution that came through the encoder.
        by_evidence: The part that came through the ontology.
    """

    name: str
    present: bool
    attribution: float
    shapley: float | None = None
    by_input: float | None = None
    by_evidence: float | None = None


@dataclass(frozen=True)
class LabValue:
    """One laboratory value.

    Args:
        code: The event's code.
        name: What it is called.
        value: In its unit.
        unit: The unit.
        ref_low: Lower end of the reference range.
        ref_high: Upper end of the reference range.
        flag: "low", "normal", "high", or "" where there is no range.
        attribution: What it contributed; None where the encoder has no column for it.
    """

    code: str
    name: str
    value: float
    unit: str
    ref_low: float | None
    ref_high: float | None
    flag: str
    attribution: float | None


@dataclass(frozen=True)
class CodeValue:
    """One code.

    Args:
        code: The event's code.
        name: What it is called.
        attribution: What it contributed.
    """

    code: str
    name: str
    attribution: float | None


@dataclass(frozen=True)
class ConceptEvidence:
    """One concept that the patient's data point to.

    Args:
        sctid: The concept.
        fsn: Its fully specified name.
        modality: Where it was found.
        polarity: "present", "absent", "uncertain", "family" or "historical".
        weight: Its weight as evidence.
        attribution: What it contributed.
        source: The code of the event.
        text: The words that were recognised.
        start: The first character in the note.
        end: The character after the last.
    """

    sctid: int
    fsn: str
    modality: str
    polarity: str
    weight: float
    attribution: float | None
    source: str = ""
    text: str | None = None
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True)
class PathStep:
    """One relation on a path; written as {from, relation, to, forward}.

    Args:
        source: Name of the concept it starts at.
        relation: Name of the relation.
        target: Name of the concept it ends at.
        forward: Whether the relation points this way in the ontology.
    """

    source: str
    relation: str
    target: str
    forward: bool


@dataclass(frozen=True)
class OntologyPath:
    """A path through the ontology that carried the bias between two modalities.

    Args:
        a: Name of the concept of the one.
        b: Name of the concept of the other.
        from_modality: The one.
        to_modality: The other.
        share: Share of the bias between them.
        bias: The bias.
        steps: The path; empty where both found the same concept.
    """

    a: str
    b: str
    from_modality: str
    to_modality: str
    share: float
    bias: float
    steps: list[PathStep]


@dataclass(frozen=True)
class ImageView:
    """The image and its map, ready to be shown.

    Args:
        original_png_base64: The image as the model saw it.
        overlay_png_base64: The same with the map over it.
        mask_share: Share of the attribution inside the true finding; None where it is not known.
        mask_area: Share of the area that the finding covers: what chance would give.
        mask_hit: Whether the map's peak lies inside the finding.
        path: The file, relative to the cohort's folder.
    """

    original_png_base64: str
    overlay_png_base64: str
    mask_share: float | None = None
    mask_area: float | None = None
    mask_hit: bool | None = None
    path: str | None = None


@dataclass(frozen=True)
class Explanation:
    """Everything that is said about one patient; the module's text describes each field.

    Args:
        sample_id: The sample.
        subject_id: The patient.
        label: True class.
        predicted: Predicted class.
        probabilities: By class.
        way: How the patient was diagnosed.
        modalities: What each contributed.
        completeness_gap: How far the attributions are from adding up, relative.
        difference: Change of the score from the baseline to the patient.
        posterior: The exact posterior by class.
        target: The class whose score is attributed; empty means the predicted one.
        output: What is attributed.
        words: The note's words.
        note: The note.
        labs: Laboratory values.
        codes: Codes.
        concepts: Concepts found.
        paths: Paths through the ontology.
        image: The image.
        warning: What every reader must know.
    """

    sample_id: int
    subject_id: int
    label: str | None
    predicted: str
    probabilities: dict[str, float]
    way: WayTaken
    modalities: list[ModalityShare]
    completeness_gap: float
    difference: float = math.nan
    posterior: dict[str, float] | None = None
    target: str = ""
    output: str = "log_odds"
    words: list[Word] = field(default_factory=list)
    note: str | None = None
    labs: list[LabValue] = field(default_factory=list)
    codes: list[CodeValue] = field(default_factory=list)
    concepts: list[ConceptEvidence] = field(default_factory=list)
    paths: list[OntologyPath] = field(default_factory=list)
    image: ImageView | None = None
    warning: str = WARNING

    def to_dict(self) -> dict[str, Any]:
        """Give the document as plain dicts, lists, strings, numbers and None."""
        document: dict[str, Any] = _plain(self)
        document["target"] = self.target or self.predicted
        return document

    def to_json(self, indent: int | None = 2) -> str:
        """Give the document as JSON.

        Args:
            indent: Spaces of each level; None puts everything on one line.
        """
        return json.dumps(self.to_dict(), indent=indent, ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, PathStep):
        return {
            "from": value.source,
            "relation": value.relation,
            "to": value.target,
            "forward": value.forward,
        }
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "item") and not isinstance(value, str | bytes):  # numbers of numpy and torch
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
