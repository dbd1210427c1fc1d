"""How the report tells of null arms: draws, the rank among them, and how many there are of each."""

from mhdiff.report.answers import sentence
from mhdiff.report.roles import NULLS, is_null


def test_the_rank_among_the_draws_is_told_beside_the_interval():
    row = {"arm": "both", "reference": "both_rewired", "metric": "auroc", "value": 0.05, "low": 0.01, "high": 0.09,
           "draws": 19, "rank_p": 0.05}  # fmt: skip
    assert "over patients and 19 draws of the null; rank p 0.050" in sentence(row, "95%")
    assert "rank p" not in sentence(row | {"rank_p": None}, "95%")


def test_every_null_of_the_family_is_known_by_its_override_and_its_name():
    from graph_builders import NULLS as FAMILY

    assert set(FAMILY) <= set(NULLS)
    for name in FAMILY:
        assert is_null(
            f"both_{name}", {"overrides": ["--model.guidance.channels=both", f"--data.null={name}"]}
        )
    assert not is_null("both", {"overrides": ["--data.null=none"]})
