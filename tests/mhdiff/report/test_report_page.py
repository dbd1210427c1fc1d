"""What the report says, and that it says what it cannot say."""

import json
import re

import polars as pl
import pytest
from made_up_run import ablation, write

from mhdiff.report import write_report
from mhdiff.report.answers import answers, verdict
from mhdiff.report.arms_by_pattern import by_pattern
from mhdiff.report.page import SECTIONS
from mhdiff.report.patient import segments
from mhdiff.report.text import duration, figure, number, signed, signed_figure, small
from ontology.errors import InputError


def page(root, **options):
    run = write(root, **options)
    return write_report(
        run, root / "report.html", ablation=root / "ablation.json", stages=root / "stages.json"
    ).read_text()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    root = tmp_path_factory.mktemp("whole")
    return page(root), root


def test_every_section_and_the_figures_of_the_files(whole):
    text, root = whole
    metrics = json.loads((root / "model" / "metrics.json").read_text())
    for section in SECTIONS:
        assert f'<section id="{section.id}"' in text
        assert f'href="#{section.id}"' in text
    for pattern in metrics["patterns"].values():
        assert figure(pattern["metrics"]["auroc"]) in text
        assert number(pattern["ceiling"]["auroc"]["value"]) in text
    assert f"On {metrics['n_subjects']} held-out patients" in text
    for told in (
        "1,234,567",
        "0a" * 32,
        "Not medical advice",
        "─[finding site]→",
        "←[finding site]─",
        "4 min 0 s",
        "abc123",
    ):
        assert told in text
    assert "Not in this report" not in text
    assert text.index('id="guidance"') < text.index('id="data"') < text.index('id="repeat"')
    assert "42% of the attribution lies inside the true finding" in text
    assert "4 relationship rows dropped: the source is unknown" in text
    assert "numbers brought to another unit: glucose: mmol/L to mg/dL 17" in text
    assert "numbers that cannot be, left out: potassium 5" in text
    assert "codes as fitted on training: codes 9, codes too seldom, rolled up 4" in text


def test_spoilt_records_draws_and_spread_are_told(whole):
    text, root = whole
    metrics = json.loads((root / "model" / "metrics.json").read_text())
    wrong, unit = metrics["corruptions"].values()
    assert "wrong note, 3 of 5" in text
    for told in (wrong["metrics"]["auroc"], wrong["flags"]["odd_one_out"]):
        assert figure(told) in text
    assert figure(wrong["difference"]["auroc"], sign=True) in text
    assert "undefined: no sample was changed" in text
    assert unit["changed"] == 0
    space = metrics["latents"]["spaces"]["shared"]
    pooled = space["train"]["pooled"]
    for told in (pooled["mmd"], space["real"]):
        assert figure(told, digits=4) in text
    assert f"{number(pooled['frechet']['floor'])} (sd {number(pooled['frechet']['floor_sd'])})" in text
    assert "too few patients to compare: 6, of at least 20" in text
    assert figure(space["privacy"]["membership"]["nearest_draw"]) in text
    assert figure(metrics["patterns"]["note"]["excess_drop"]["auroc"], sign=True) in text
    frame = pl.read_parquet(root / "model" / "predictions.parquet")
    notes = frame.filter((pl.col("pattern") == "note") & (pl.col("split") == "held_out"))["spread"]
    assert f"{number(notes.median())}, {number(notes.quantile(0.9, 'linear'))}" in text


def test_what_was_not_asked_of_a_run_is_named_with_the_option(tmp_path):
    run = write(tmp_path)
    metrics = json.loads((run / "metrics.json").read_text())
    del metrics["corruptions"], metrics["latents"]
    (run / "metrics.json").write_text(json.dumps(metrics))
    frame = pl.read_parquet(run / "predictions.parquet")
    frame.with_columns(spread=pl.lit(0.0)).write_parquet(run / "predictions.parquet")
    text = write_report(run, tmp_path / "report.html").read_text()
    assert f"mhdiff evaluate {run} --corrupt all" in text
    assert f"mhdiff evaluate {run} --latents" in text
    assert "standard deviation over imputations" not in text  # nothing was imputed


def test_the_arms_are_told_under_every_pattern(whole):
    text, root = whole
    document = json.loads((root / "ablation.json").read_text())
    assert list(document["patterns"]) == ["image+note+labs", "note+labs"]
    for pattern in document["patterns"].values():
        for row in pattern["arms"].values():
            assert f">{figure(row['metrics']['auroc'])}<" in text
            assert f">{figure(row['metrics']['rare_auroc'])}<" in text
            if row["drop"]:
                assert f">{signed_figure(row['drop']['auroc'])}<" in text
    assert "Rare classes: viral (n+ " in text
    assert "Below the ceiling" not in text  # these arms have none


def test_an_ablation_with_one_pattern_has_no_table_of_patterns():
    one = ablation(patterns=("image+note+labs",))
    assert by_pattern(one) is None
    assert by_pattern({key: value for key, value in one.items() if key != "patterns"}) is None


def test_what_a_pattern_lacks_is_said_and_the_ceiling_has_its_columns():
    document = ablation(failing="permuted")
    for pattern in document["patterns"].values():
        figures = {"auroc": {"value": 0.1, "low": 0.0, "high": 0.2}}
        pattern["arms"]["linked"] |= {"gap": figures, "excess_drop": figures}
    told = by_pattern(document)["whole"]
    for title in ("AUROC", "Below the ceiling", "Lost", "Lost beyond the ceiling", "AUROC of rare classes"):
        assert title in told.columns
    rows = {(row[0], row[1]): dict(zip(told.columns, map(str, row), strict=True)) for row in told.rows}
    assert len(rows) == 8
    assert all("the loss is NaN" in cells["AUROC"] for (_, arm), cells in rows.items() if arm == "permuted")
    assert all("+0.100" in cells["Below the ceiling"] for (_, arm), cells in rows.items() if arm == "linked")


def test_nothing_is_fetched_and_nothing_runs(whole):
    text, _ = whole
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!#|data:image/png;base64,)""", text)
    assert not re.search(r"https?://|@import|url\(|<script|<link|javascript:", text)


def test_the_note_is_escaped(whole):
    text, _ = whole
    assert "<script" not in text
    plain = re.sub(r"</?mark[^>]*>", "", text)
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; productive cough." in plain
    assert '<mark class="for s4" title="+0.400">Fever</mark>' in text
    assert '<span class="unread">travel</span>' in text


def test_verdicts_need_both_comparisons(whole):
    _, root = whole
    ablation = json.loads((root / "ablation.json").read_text())
    told = {answer["arm"]: answer for answer in answers(ablation)}
    assert set(told) == {"linked", "message passing"}
    assert told["message passing"]["verdict"].startswith("It helped here, and did better than the same graph")
    assert len(told["message passing"]["told"]) == 2
    held = [d for d in ablation["differences"] if d["arm"] == "message_passing"]
    for d in held:
        d["low"] = -0.01
    again = {answer["arm"]: answer for answer in answers(ablation)}
    assert again["message passing"]["verdict"] == "No difference could be shown."
    assert all("no difference could be shown" in sentence for sentence in again["message passing"]["told"])
    assert "cannot be put down to what the ontology says" in verdict("better", ["none"])
    assert "not tested" in verdict("better", [])
    assert "worse" in verdict("worse", ["better"])


def test_missing_parts_are_named_with_reason_and_remedy(tmp_path):
    run = write(tmp_path)
    for name in (
        "history.json",
        "preprocess.json",
        "config.yaml",
        "explanations/14.json",
        "predictions.parquet",
    ):
        (run / name).unlink()
    text = write_report(run, tmp_path / "report.html").read_text()
    for part in ("the training curve", "the ablation", "one patient explained", "time and memory by stage",
                 "the configuration", "the graph&#39;s account",
                 "the reliability diagram after temperature scaling"):  # fmt: skip
        assert part in text, part
    assert "Not in this report" in text
    assert f"mhdiff explain {run}" in text
    assert "there is no " in text


def test_an_account_of_other_data_is_not_shown(tmp_path):
    run = write(tmp_path)
    file = tmp_path / "ontology" / "ontology.json"
    file.write_text(file.read_text().replace("0a" * 32, "0f" * 32))
    text = write_report(run, tmp_path / "report.html").read_text()
    assert "another ontology (0f0f0f0f0f0f) than the run was trained on (0a0a0a0a0a0a)" in text
    assert "1,075" not in text


def test_undefined_figures_are_shown_with_their_reason(tmp_path):
    text = page(tmp_path, rare=True)
    reason = json.loads((tmp_path / "model" / "metrics.json").read_text())["patterns"]["image+note+labs"]
    reason = reason["metrics"]["auroc"]["reason"]
    assert "macro AUROC could not be computed" in text
    assert f"undefined: {reason}".replace("'", "&#39;") in text


def test_a_failed_arm_stays_visible(tmp_path):
    text = page(tmp_path, failing="permuted")
    assert "<b>permuted</b>" in text
    assert '<span class="failed">failed</span>' in text
    assert "the loss is NaN" in text
    assert "1 of its trainings failed" in text
    assert "a null comparison failed" in text


@pytest.mark.parametrize("name", ["run.json", "metrics.json"])
def test_without_run_or_metrics_nothing_is_written(tmp_path, name):
    run = write(tmp_path)
    (run / name).unlink()
    with pytest.raises(InputError, match="mhdiff evaluate"):
        write_report(run, tmp_path / "report.html")
    (run / name).write_text("{")
    with pytest.raises(InputError, match="no JSON"):
        write_report(run, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_numbers_as_text():
    assert (number(-0.0004), number(None), number(-1.5, 1)) == ("0.000", "–", "−1.5")
    assert (signed(0.0), signed(0.25, 2), small(-0.00012)) == ("0.000", "+0.25", "−0.00012")
    assert figure({"value": 0.5, "low": None, "high": None, "reason": "no interval: not resampled"}) == (
        "0.500 (no interval: not resampled)"
    )
    assert (duration(59.96), duration(3725)) == ("60.0 s", "1 h 2 min")


def test_segments_put_together_are_the_note():
    marked = [
        {"text": "b", "start": 2, "end": 3, "attribution": -1.0, "read": True},
        {"text": "overlaps", "start": 2, "end": 4, "attribution": 1.0, "read": True},
        {"text": "outside", "start": 5, "end": 99, "attribution": 1.0, "read": True},
    ]
    pieces = segments("a b c", marked)
    assert "".join(p["text"] for p in pieces) == "a b c"
    assert [p["kind"] for p in pieces] == ["", "against", ""]
