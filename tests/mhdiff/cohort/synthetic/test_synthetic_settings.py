from __future__ import annotations

import pytest

from mhdiff.cohort.synthetic.settings import Settings
from ontology.errors import InputError


@pytest.mark.parametrize(
    "knobs",
    [
        {"patients": 0},
        {"patients": 2.5},
        {"patients": True},
        {"seed": -1},
        {"signal": 1.1},
        {"signal": float("nan")},
        {"signal": "high"},
        {"noise": 1.5},
        {"noise": {"image": -0.1}},
        {"noise": {"images": 0.1}},
        {"off_topic": {"labs": 2}},
        {"missingness": "MIXED"},
        {"missing_rate": {"codes": "some"}},
        {"rare_prevalence": 0.0},
        {"rare_prevalence": 0.5},
        {"sites": 7},
        {"sites": 0},
        {"image_size": 16},
        {"colour": "blue"},
    ],
)
def test_knob_out_of_range_is_refused(knobs):
    with pytest.raises(InputError) as caught:
        Settings.from_dict(knobs)
    assert next(iter(knobs)) in str(caught.value)
    assert caught.value.remedy


def test_partial_mappings_keep_the_other_defaults_and_one_number_goes_to_all():
    settings = Settings(noise={"labs": 0.0}, missing_rate=0.25)
    assert settings.noise["labs"] == 0.0
    assert settings.noise["image"] == Settings().noise["image"]
    assert set(settings.missing_rate.values()) == {0.25}


def test_round_trip_through_plain_data():
    settings = Settings(patients=7, signal=0.5, missingness="MNAR")
    assert Settings.from_dict(settings.to_dict()) == settings
