"""Load a terminology of any format: find its reader, let it read, assemble what it found.

| format   | source                                                        | reader                         |
|----------|---------------------------------------------------------------|--------------------------------|
| rf2      | an RF2 release: folder or zip, several over one another       | `ontology.rf2`                 |
| owl      | OWL in RDF/XML, OWL/XML or N-Triples                          | `ontology.readers.owl`         |
| ofn      | OWL in functional syntax                                      | `ontology.readers.functional`  |
| rdf      | SKOS or RDFS in Turtle, N-Triples, RDF/XML, JSON-LD           | `ontology.readers.rdf`         |
| obo      | OBO 1.4                                                       | `ontology.readers.obo`         |
| obograph | OBO graph JSON                                                | `ontology.readers.obograph`    |
| omop     | a folder with CONCEPT and CONCEPT_RELATIONSHIP                | `ontology.readers.omop`        |
| icd10cm  | ICD-10-CM: tabular XML, order file or a table of codes        | `ontology.readers.icd10cm`     |
| sssom    | mappings in SSSOM                                             | `ontology.readers.sssom`       |
| tables   | a folder with nodes and edges, CSV, TSV or Parquet            | `ontology.readers.tables`      |
| parquet  | what `ontology.writers.parquet` wrote                         | `ontology.readers.parquet_tables` |
| ontology | a folder that `Ontology.save` wrote                           | `ontology.store`               |
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from ontology.errors import InputError
from ontology.model import Ontology
from ontology.parts import Parts
from ontology.report import LoadReport

# In the order in which they are asked; the most telling first.
FORMATS = {
    "ontology": "ontology.store",
    "parquet": "ontology.readers.parquet_tables",
    "rf2": "ontology.rf2",
    "omop": "ontology.readers.omop",
    "obograph": "ontology.readers.obograph",
    "obo": "ontology.readers.obo",
    "sssom": "ontology.readers.sssom",
    "icd10cm": "ontology.readers.icd10cm",
    "ofn": "ontology.readers.functional",
    "owl": "ontology.readers.owl",
    "rdf": "ontology.readers.rdf",
    "tables": "ontology.readers.tables",
}


def detect(source: str | Path) -> str:
    """Tell the format of a source by its name and its first bytes.

    Args:
        source: A file or folder.

    Raises:
        InputError: If it is not there, or no reader recognises it.
    """
    path = Path(source)
    if not path.exists():
        raise InputError("there is no such file or folder", path=path, remedy="Check the path")
    for name, module in FORMATS.items():
        if import_module(module).recognises(path):
            return name
    raise InputError(
        "no reader recognises its format",
        path=path,
        remedy=f"Say it with --format, one of: {', '.join(FORMATS)}",
    )


def read(source: str | Path, report: LoadReport, format: str | None = None) -> Parts:
    """Read a source to parts, for a layer over an ontology.

    Args:
        source: A file or folder.
        report: The account of the load, filled.
        format: A key of `FORMATS`; found out by default.

    Raises:
        InputError: If the source cannot be read.
    """
    path = Path(source)
    name = _known(format) if format else detect(path)
    parts: Parts = import_module(FORMATS[name]).read(path, report)
    return parts


def load(
    source: str | Path | Sequence[str | Path],
    format: str | None = None,
    *,
    strict: bool = False,
    name: str | None = None,
    **options: Any,
) -> Ontology:
    """Load an ontology from a source of any format.

    Args:
        source: A file or folder; for RF2 also several, the edition first.
        format: A key of `FORMATS`; found out by default.
        strict: Refuse a source in which any row had to be dropped or anything odd was tolerated.
        name: What to call the ontology; the file's or folder's name by default.
        options: For RF2: as_of, dialects, check_dependencies.

    Raises:
        InputError: If the source cannot be read; it names file, line and column.
    """
    sources = [Path(source)] if isinstance(source, str | Path) else [Path(s) for s in source]
    if not sources:
        raise InputError("no source is given", remedy="Give a file or folder")
    known = _known(format) if format else detect(sources[0])
    if known == "rf2":
        from ontology.rf2 import load_rf2

        return load_rf2(sources, strict=strict, name=name, **options)
    if given := [key for key, value in options.items() if value]:
        raise InputError(f"'{given[0]}' is an option of RF2, and this is {known}", path=sources[0])
    if len(sources) > 1:
        raise InputError(
            f"several sources lie over one another in RF2 only, and {sources[0].name} is {known}",
            path=sources[1],
            remedy="Give the others with --extend",
        )
    if known == "ontology":
        return Ontology.open(sources[0])
    from ontology.assemble import assemble

    report = LoadReport(source=name or sources[0].resolve().name)
    parts = read(sources[0], report, known)
    ontology = assemble(report.source, parts, report, path=sources[0])
    if strict:
        report.refuse_problems(sources[0])
    return ontology


def _known(name: str) -> str:
    if name not in FORMATS:
        raise InputError(f"there is no format '{name}'", remedy=f"Formats: {', '.join(FORMATS)}")
    return name


def load_owl(path: str | Path, *, strict: bool = False, name: str | None = None) -> Ontology:
    """Load OWL: RDF/XML, OWL/XML, N-Triples or functional syntax; arguments as `load`."""
    functional = import_module(FORMATS["ofn"]).recognises(Path(path))
    return load(path, "ofn" if functional else "owl", strict=strict, name=name)


def load_rdf(path: str | Path, *, strict: bool = False, name: str | None = None) -> Ontology:
    """Load SKOS or RDFS in any of RDF's syntaxes; arguments as `load`."""
    return load(path, "rdf", strict=strict, name=name)


def load_obo(path: str | Path, *, strict: bool = False, name: str | None = None) -> Ontology:
    """Load OBO or OBO graph JSON; arguments as `load`."""
    graph = import_module(FORMATS["obograph"]).recognises(Path(path))
    return load(path, "obograph" if graph else "obo", strict=strict, name=name)


def load_omop(path: str | Path, *, strict: bool = False, name: str | None = None) -> Ontology:
    """Load OMOP vocabulary tables; arguments as `load`."""
    return load(path, "omop", strict=strict, name=name)


def load_tables(path: str | Path, *, strict: bool = False, name: str | None = None) -> Ontology:
    """Load node and edge tables; arguments as `load`."""
    return load(path, "tables", strict=strict, name=name)
