"""The kinds of sources that `mhdiff cohort import` reads: add an adapter by adding a line to `KINDS`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Final, cast

from mhdiff.cohort.import_report import ImportReport
from ontology.errors import InputError

Adapter = Callable[..., ImportReport]  # (source, out, max_bad=, and the options that `OPTIONS` names)
KINDS: Final = {
    "covid-chestxray": "mhdiff.cohort.covid_chestxray:import_covid_chestxray",
    "eicu": "mhdiff.cohort.eicu:import_eicu",
    "hannover": "mhdiff.cohort.hannover:import_hannover",
    "manifest": "mhdiff.cohort.manifest:import_manifest",
    "meds": "mhdiff.cohort.from_meds:import_meds",
    "mimic-cxr": "mhdiff.cohort.mimic_cxr:import_mimic_cxr",
    "omop": "mhdiff.cohort.omop:import_omop",
    "uk-biobank": "mhdiff.cohort.uk_biobank:import_uk_biobank",
}
OPTIONS: Final[dict[str, tuple[str, ...]]] = {
    "eicu": ("ranges",),
    "manifest": ("columns",),
    "meds": ("images",),
    "mimic-cxr": ("loinc", "split"),
    "omop": ("images", "on", "ranges", "schema"),
    "uk-biobank": ("ranges", "volume"),
}


#: Kinds whose source may be the URL of a database.
DATABASES: Final = ("omop",)


def adapter(kind: str, options: Iterable[str] = ()) -> Adapter:
    """Give the function that imports a kind of source: (source, out, max_bad=, **options) -> ImportReport.

    Args:
        kind: A key of `KINDS`.
        options: Names of options that it will be called with.

    Raises:
        InputError: If there is no such kind, or it has no such option.
    """
    if kind not in KINDS:
        raise InputError(f"there is no cohort adapter '{kind}'", remedy=f"Kinds: {', '.join(KINDS)}")
    for option in options:
        if option not in OPTIONS.get(kind, ()):
            having = [other for other, names in OPTIONS.items() if option in names]
            raise InputError(
                f"the cohort adapter '{kind}' has no --{option}", remedy=f"These have: {', '.join(having)}"
            )
    module, name = KINDS[kind].split(":")
    return cast(Adapter, getattr(import_module(module), name))
