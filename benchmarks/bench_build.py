"""A release to an ontology on disk, against a bare polars scan of the very columns and files that the build reads.

    python -m benchmarks.bench_build --release DIR [--small DIR] [--runs 3]

DIR holds a release's folder and its zip, as `make_rf2.py --zip` of the shared folder writes them. The scan keeps the
active rows and does nothing else. Scans and builds alternate; one core and all cores are measured apart, with the same
cores for both sides.
"""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.measure import (
    Figure,
    Limit,
    Result,
    Stopwatch,
    alternate,
    child,
    median,
    run,
    spread,
    table,
)

_COMPONENT = ("id", "effectiveTime", "active")
_DESCRIPTION = (*_COMPONENT, "conceptId", "languageCode", "typeId", "term", "caseSignificanceId")
_KIND = ("relationshipGroup", "typeId", "characteristicTypeId", "modifierId")
_OF_MEMBER = ("effectiveTime", "active", "refsetId", "referencedComponentId")
_MEMBER = (*_COMPONENT, "moduleId", "refsetId", "referencedComponentId")
_MAP = ("mapGroup", "mapPriority", "mapRule", "mapAdvice", "mapTarget", "correlationId", "mapCategoryId")
COLUMNS = {
    "sct2_Concept_": (*_COMPONENT, "moduleId", "definitionStatusId"),
    "sct2_Description_": _DESCRIPTION,
    "sct2_TextDefinition_": _DESCRIPTION,
    "sct2_Relationship_": (*_COMPONENT, "sourceId", "destinationId", *_KIND),
    "sct2_RelationshipConcreteValues_": (*_COMPONENT, "sourceId", "value", *_KIND),
    "sct2_sRefset_OWLExpression": (*_OF_MEMBER, "owlExpression"),
    "der2_cRefset_Language": (*_OF_MEMBER, "acceptabilityId"),
    "der2_cRefset_Association": (*_MEMBER, "targetComponentId"),
    "der2_cRefset_AttributeValue": (*_MEMBER, "valueId"),
    "der2_Refset_Simple": _MEMBER,
    "der2_iisssccRefset_": (*_COMPONENT, "refsetId", "referencedComponentId", *_MAP),
    "der2_sRefset_SimpleMap": (*_COMPONENT, "refsetId", "referencedComponentId", "mapTarget"),
}
_TEXTS = {"term", "languageCode", "owlExpression", "value", "mapRule", "mapAdvice", "mapTarget", "mapGroup",
          "mapPriority", "correlationId", "mapCategoryId", "targetComponentId", "valueId"}  # fmt: skip


def scan(release: Path) -> int:
    """Read the columns of all files, keep the active rows, and count them.

    Args:
        release: The release's folder.
    """
    import polars as pl

    rows = 0
    for beginning, columns in COLUMNS.items():
        (file,) = release.rglob(f"{beginning}*.txt")
        with file.open() as opened:
            header = opened.readline().rstrip("\r\n").split("\t")
        text = _TEXTS | ({"id"} if "refsetId" in header else set())
        schema = {name: pl.String if name in text else pl.Int64 for name in header}
        lazy = pl.scan_csv(file, separator="\t", quote_char=None, schema=schema)
        rows += lazy.select(columns).filter(pl.col("active") == 1).collect(engine="streaming").height
    return rows


def _scan(source: Path) -> Result:
    import polars  # noqa: F401

    with Stopwatch() as watch:
        rows = scan(source)
    return watch.result(rows=rows)


def _build(source: Path, folder: Path) -> Result:
    import ontology.store  # noqa: F401
    from ontology import load_rf2

    with Stopwatch() as watch:
        load_rf2(source).save(folder)
    return watch.result()


def _graph(source: Path) -> Result:
    with Stopwatch() as importing:
        from graph_builders import build_ontology_graph
        from ontology import load_rf2
    with Stopwatch() as watch:
        build_ontology_graph(load_rf2(source))
    return watch.result(imports=importing.seconds)


_FROM_FOLDER, _FROM_ZIP = Limit(4, 2.5, "x scan"), Limit(5, 4, "x scan")
_MEMORY = Limit(1.2, 0.85, "GiB")
WORKS = {"scan": _scan, "build": _build, "graph": _graph}
_MODULE = "benchmarks.bench_build"


def measure(release: Path, small: Path | None, folder: Path, runs: int = 3) -> list[Figure]:
    """Measure building.

    Args:
        release: Holds the release's folder and its zip.
        small: Holds a smaller release of the same kind, for the growth; None leaves it out.
        folder: Where the ontologies are put.
        runs: How often each figure is taken.
    """
    figures = []
    folder.mkdir(parents=True, exist_ok=True)
    source, zipped = packages(release)
    for cores in ("one core", "all cores"):
        one = cores == "one core"
        found = alternate(
            runs,
            scan=partial(run, _MODULE, "scan", source, one_core=one),
            folder=partial(run, _MODULE, "build", source, folder / "full", one_core=one),
            zip=partial(run, _MODULE, "build", zipped, folder / "zip", one_core=one),
        )
        bare = median(found["scan"])
        figures.append(Figure(f"bare polars scan, {cores}", _time(found["scan"])))
        for name, limit in (("folder", _FROM_FOLDER), ("zip", _FROM_ZIP)):
            ratio = median(found[name]) / bare
            figures.append(Figure(f"build from the {name}, {cores}", _time(found[name]), ratio, limit))
        for name in ("folder", "zip"):
            peak = median(found[name], "mib") / 1024
            words = f"{spread(found[name], 'mib', 0)} MiB"
            figures.append(Figure(f"its peak memory from the {name}, {cores}", words, peak, _MEMORY))
    if small is not None:
        little = alternate(
            runs,
            scan=partial(run, _MODULE, "scan", packages(small)[0]),
            folder=partial(run, _MODULE, "build", packages(small)[0], folder / "small"),
        )
        figures += _growth(little, found)
    graphs = alternate(
        runs,
        scan=partial(run, _MODULE, "scan", source, one_core=True),
        graph=partial(run, _MODULE, "graph", source, one_core=True),
    )
    bare, imports = median(graphs["scan"]), median(graphs["graph"], "imports")
    words = f"{_time(graphs['graph'])}; {imports:.1f} s of imports come before"
    limit = Limit(4 * bare, min(3.5, 4 * bare))
    figures.append(Figure("RF2 -> HeteroData, one core", words, median(graphs["graph"]), limit))
    return figures


def _growth(small: dict[str, list[Result]], full: dict[str, list[Result]]) -> list[Figure]:
    rows = median(full["scan"], "rows") / median(small["scan"], "rows")
    figures = []
    for what, key, unit in (("time", "seconds", "s"), ("peak memory", "mib", "MiB")):
        before, after = median(small["folder"], key), median(full["folder"], key)
        words = f"{before:,.3g} {unit} to {after:,.4g} {unit} for {rows:.1f} times the rows"
        limit = Limit(1.1 * rows, rows, "x")  # linear, but for the noise
        figures.append(Figure(f"growth of the build's {what}, all cores", words, after / before, limit))
    return figures


def packages(release: Path) -> tuple[Path, Path]:
    """Give the folder and the zip of the one release that lies in a folder."""
    (zipped,) = release.glob("*.zip")
    return zipped.with_suffix(""), zipped


def _time(results: list[Result]) -> str:
    return f"{spread(results)} s; processor {median(results, 'cpu'):.2f} s"


def main() -> None:
    """Print the table, or do one work as a child."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--release", type=Path, help="holds the release's folder and its zip")
    parser.add_argument("--small", type=Path, help="holds a smaller one, for the growth")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(WORKS, args.child)
        return
    if args.release is None:
        parser.error("give --release, or run python -m benchmarks.ontology, which makes one")
    with tempfile.TemporaryDirectory() as name:
        print(table(measure(args.release, args.small, Path(name), args.runs)))


if __name__ == "__main__":
    main()
