"""Words with a capital that are no patient's name: eponyms, and what stands beside titles and names in notes."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final

#: What an eponym is an eponym of: whatever stands before it with a capital is no patient.
HEADS: Final = (
    "disease|syndrome|palsy|lymphoma|sign|signs|test|sarcoma|tumou?r|dementia|phenomenon|fracture|catheter|procedure|"
    "operation|fundoplication|lines?|nodules?|nodes?|node|gait|joint|cysts?|ring|diverticulum|crisis|thyroiditis|anemia|"
    "anaemia|esophagus|oesophagus|granulomatosis|bodies|body|score|scale|stage|criteria|classification|index|wire|lactate|"
    "solution|arthritis|hernia|contracture|ulcer|reflex|maneuver|manoeuvre|position|respiration|breathing|triad|tetralogy|"
    "murmur|membrane|stain|valve|shunt|tube|clamp|drain|line|angina|paralysis|ataxia|chorea|encephalopathy|nephritis|"
    "malformation|anomaly|virus|fever|reaction|pouch|units?|method|formula|view|effect|spots?|cells?"
)


@cache
def listed(name: str) -> frozenset[str]:
    """Give the words of a list of ours.

    Args:
        name: `given_names`, `eponyms` or `common`.
    """
    text = files("mhdiff.cohort.deidentify").joinpath(f"{name}.txt").read_text(encoding="utf-8")
    return frozenset(w for line in text.splitlines() if not line.startswith("#") for w in line.split())
