"""How a radiographic finding of the terminology looks: its morphology gives the kind, its site the place."""

from __future__ import annotations

from mhdiff.cohort.synthetic.opacities import Look
from ontology.builtin import Tables

SITES = {
    "right_upper_lobe": ("right", "upper"),
    "right_middle_lobe": ("right", "middle"),
    "right_lower_lobe": ("right", "lower"),
    "left_upper_lobe": ("left", "upper"),
    "left_lower_lobe": ("left", "lower"),
    "both_lungs": ("both", "all"),
    "right_hilum": ("right", "hilum"),
    "left_hilum": ("left", "hilum"),
    "right_pleural_space": ("right", "all"),
    "left_pleural_space": ("left", "all"),
    "heart": ("both", "all"),
}
"""Side and zone by finding site."""

KINDS = {
    "consolidation": "consolidation",
    "ground_glass": "ground_glass",
    "interstitial": "interstitial",
    "atelectasis": "atelectasis",
    "nodular": "nodules",
    "cavity": "cavity",
    "lymphadenopathy": "hilar",
    "effusion": "effusion",
    "enlargement": "cardiomegaly",
    "hyperinflation": "hyperinflation",
    "calcification": "calcification",
    "pleural_thickening": "pleural",
}
"""Kind by associated morphology."""

SPECIAL = {
    ("consolidation", "both_lungs"): Look("patchy", "both", "all"),
    ("atelectasis", "both_lungs"): Look("atelectasis", "both", "base"),
    ("interstitial", "right_hilum"): Look("ground_glass", "right", "hilum"),
    ("interstitial", "left_hilum"): Look("ground_glass", "left", "hilum"),
    ("hyperinflation", "right_upper_lobe"): Look("bulla", "right", "upper"),
    ("hyperinflation", "left_upper_lobe"): Look("bulla", "left", "upper"),
}
"""Where a morphology at a site looks like neither of its parts."""


def look_of(key: str, tables: Tables) -> Look | None:
    """Give the look of a finding, or None for one that says that there is nothing to see.

    Args:
        key: Key of the finding.
        tables: The terminology.

    Raises:
        ValueError: If the finding has a morphology or a site that nobody has said how to draw.
    """
    morphology, site = tables.value(key, "associated_morphology"), tables.value(key, "finding_site")
    if morphology is None or site is None:
        return None
    if (morphology, site) in SPECIAL:
        return SPECIAL[morphology, site]
    if morphology not in KINDS or site not in SITES:
        raise ValueError(f"no way to draw {key}: {morphology} of {site}; add it to KINDS, SITES or SPECIAL")
    return Look(KINDS[morphology], *SITES[site])
