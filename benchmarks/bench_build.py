"""`python -m benchmarks.bench_build [--scale 0.1 1.0]`: a release to an ontology on disk, against a bare scan.

The release is synthetic, written by `tools/make_rf2.py` of the shared folder (scale 1.0: 370,000 active concepts).
Every figure is taken in a process of its own, so that its peak memory is its own; of three runs the median. The scan
reads with polars the very columns of the very files that the build uses, and keeps the active rows.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_COMPONENT = ("id", "effectiveTime", "active")
_DESCRIPTION = (*_COMPONENT, "conceptId", "languageCode", "typeId", "term", "caseSignificanceId")
_KIND = ("relationshipGroup", "typeId", "characteristicTypeId", "modifierId")
_MEMBER = (*_COMPONENT, "moduleId", "refsetId", "referencedComponentId")
_MAP = ("mapGroup", "mapPriority", "mapRule", "mapAdvice", "mapTarget", "correlationId", "mapCategoryId")
COLUMNS = {
    "sct2_Concept_": (*_COMPONENT, "moduleId", "definitionStatusId"),
    "sct2_Description_": _DESCRIPTION,
    "sct2_TextDefinition_": _DESCRIPTION,
    "sct2_Relationship_": (*_COMPONENT, "sourceId", "destinationId", *_KIND),
    "sct2_RelationshipConcreteValues_": (*_COMPONENT, "sourceId", "value", *_KIND),
    "sct2_sRefset_OWLExpression": (
        "effectiveTime",
        "active",
        "refsetId",
        "referencedComponentId",
        "owlExpression",
    ),
    "der2_cRefset_Language": (
        "effectiveTime",
        "active",
        "refsetId",
        "referencedComponentId",
        "acceptabilityId",
    ),
    "der2_cRefset_Association": (*_MEMBER, "targetComponentId"),
    "der2_cRefset_AttributeValue": (*_MEMBER, "valueId"),
    "der2_Refset_Simple": _MEMBER,
    "der2_iisssccRefset_": (*_COMPONENT, "refsetId", "referencedComponentId", *_MAP),
    "der2_sRefset_SimpleMap": (*_COMPONENT, "refsetId", "referencedComponentId", "mapTarget"),
}
_TEXTS = {"term", "languageCode", "owlExpression", "value", "mapRule", "mapAdvice", "mapTarget", "mapGroup",
          "mapPriority", "correlationId", "mapCategoryId", "targetComponentId", "valueId"}  # fmt: skip


def scan(release: Path) -> int:
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


def child(work: str, source: Path, folder: Path) -> dict[str, float]:
    if work == "scan":
        import polars

        start = time.perf_counter()
        scan(source)
    elif work == "build":
        from ontology import load_rf2

        start = time.perf_counter()
        load_rf2(source).save(folder)
    elif work == "open":
        import polars  # noqa: F401
        import scipy.sparse  # noqa: F401

        from mhdiff.commands.ontology import concept_document
        from ontology import Ontology

        start = time.perf_counter()
        ontology = Ontology.open(folder)
        concept_document(ontology, int(ontology.sctids[len(ontology) // 3]))
    else:
        from graph_builders import build_ontology_graph
        from ontology import load_rf2

        start = time.perf_counter()
        build_ontology_graph(load_rf2(source))
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def measured(work: str, source: Path, folder: Path, threads: int | None, runs: int = 3) -> dict[str, float]:
    environment = dict(os.environ) | ({"POLARS_MAX_THREADS": str(threads)} if threads else {})
    found = []
    for _ in range(runs):
        command = [sys.executable, "-m", "benchmarks.bench_build", "--child", work, str(source), str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        found.append(json.loads(done.stdout.splitlines()[-1]))
    return {key: statistics.median(one[key] for one in found) for key in ("seconds", "mib")}


def release(root: Path, scale: float) -> tuple[Path, Path]:
    out = root / f"rf2-{scale}"
    if not out.is_dir():
        tool = Path(os.environ.get("MHDIFF_SHARED", "../shared")) / "tools/make_rf2.py"
        subprocess.run(
            [sys.executable, str(tool), "--out", str(out), "--scale", str(scale), "--zip"],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
    (zipped,) = out.glob("*.zip")
    return zipped.with_suffix(""), zipped


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", nargs="+", type=float, default=[0.1, 1.0])
    parser.add_argument(
        "--work", type=Path, help="where releases are kept between runs; a temporary folder by default"
    )
    parser.add_argument("--child", nargs=3, metavar=("WORK", "SOURCE", "FOLDER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        work, source, folder = args.child
        print(json.dumps(child(work, Path(source), Path(folder))))
        return
    with tempfile.TemporaryDirectory() as temporary:
        root = args.work or Path(temporary)
        seconds: dict[float, float] = {}
        for scale in args.scale:
            folder, zipped = release(root, scale)
            print(f"scale {scale}")
            for threads in (None, 1):
                bare = measured("scan", folder, root, threads)
                said = "one thread" if threads else "all threads"
                print(f"  bare scan, {said:12} {bare['seconds']:6.2f} s  {bare['mib']:6.0f} MiB")
                for name, source in (("folder", folder), ("zip", zipped)):
                    built = measured("build", source, root / "ontology", threads)
                    ratio, mib = built["seconds"] / bare["seconds"], built["mib"]
                    print(
                        f"  build from {name}, {said:12} {built['seconds']:6.2f} s  {mib:6.0f} MiB  {ratio:4.1f} x"
                    )
                    if not threads and name == "folder":
                        seconds[scale] = built["seconds"]
                if not threads:
                    graph = measured("graph", folder, root, None)
                    print(f"  RF2 -> HeteroData          {graph['seconds']:6.2f} s  {graph['mib']:6.0f} MiB  "
                          f"{graph['seconds'] / bare['seconds']:4.1f} x")  # fmt: skip
            opened = measured("open", folder, root / "ontology", None)
            print(f"  Ontology.open and the first show {opened['seconds']:.3f} s")
        if len(seconds) > 1:
            (small, a), (large, b) = sorted(seconds.items())[0], sorted(seconds.items())[-1]
            print(f"growth: {large / small:.0f} times the rows take {b / a:.1f} times as long")


if __name__ == "__main__":
    main()
