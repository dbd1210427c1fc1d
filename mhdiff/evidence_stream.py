"""The evidence of a cohort, chunk by chunk of subjects: memory goes with the chunk, time with the cohort.

Each chunk's window is cut and read on its own, here or in several processes, and its evidence goes to disk until all
are there. What is counted is added up, so that tables and report are the ones that one window over all events gives.
Processes open the ontology by its folder and share the pages of its files: it is in memory once a machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from mhdiff import console
from mhdiff.cohort.window import joined_reports, look_back
from mhdiff.processes import processes
from ontology.errors import InputError

if TYPE_CHECKING:
    from graph_builders import Evidence
    from graph_builders.collect import Collector
    from graph_builders.tally import Tally
    from mhdiff.cohort import Cohort, Task
    from ontology import Ontology

#: Subjects that are read at once.
CHUNK = 5_000


class _Told(NamedTuple):
    """What a chunk has to tell besides the tables that it wrote."""

    tally: Tally
    report: dict[str, Any]


class _Reader:
    """Reads chunks; one a process.

    Args:
        ontology: The ontology.
        cohort: The cohort.
        task: The task.
    """

    def __init__(self, ontology: Ontology, cohort: Cohort, task: Task) -> None:
        from graph_builders.collect import Collector

        self.cohort, self.task = cohort, task
        self.collector: Collector = Collector(ontology, task.blinded_in(ontology))

    def read(self, samples: pl.DataFrame, place: Path, track: Any = iter) -> _Told:
        """Write a chunk's evidence.

        Args:
            samples: All samples of its subjects.
            place: Where its tables go: a path without its ending.
            track: Wraps the list of distinct notes.
        """
        window = look_back(self.task, self.cohort, samples)
        part = self.collector.collect(window.events, track)
        part.table.write_parquet(place.with_suffix(".evidence"))
        part.observed.write_parquet(place.with_suffix(".observed"))
        return _Told(part.tally, window.report)


def stream_evidence(
    ontology: Ontology,
    cohort: Cohort,
    task: Task,
    samples: pl.DataFrame,
    scratch: Path,
    workers: int = 1,
    chunk: int = CHUNK,
) -> Evidence:
    """Collect the evidence of samples.

    Args:
        ontology: The ontology; with several workers one that was opened from a folder.
        cohort: The cohort.
        task: The task.
        samples: Its samples, or some of them: sample_id, subject_id, prediction_time.
        scratch: An empty folder for what is on its way.
        workers: How many processes read.
        chunk: How many subjects are read at once.

    Returns:
        The evidence; its report says in `window` what of the events was read.

    Raises:
        InputError: If there are no workers, a chunk is empty, the ontology has no folder, or a worker
            died.
    """
    from graph_builders.collect import Part

    if workers < 1 or chunk < 1:
        raise InputError(
            f"evidence cannot be read by {workers} workers in chunks of {chunk}",
            remedy="Give numbers from 1 on",
        )
    chunks = [(part, scratch / f"{number:06d}") for number, part in enumerate(_chunks(samples, chunk))]
    reader = _Reader(ontology, cohort, task)
    if workers == 1 or len(chunks) == 1:
        told = _read_here(reader, chunks)
    else:
        told = _read_apart(reader.collector, cohort, task, chunks, workers)
    parts = [
        Part(
            pl.read_parquet(place.with_suffix(".evidence")),
            pl.read_parquet(place.with_suffix(".observed")),
            one.tally,
        )
        for (_, place), one in zip(chunks, told, strict=True)
    ]
    evidence = reader.collector.join(parts)
    evidence.report["window"] = joined_reports([one.report for one in told])
    return evidence


def _chunks(samples: pl.DataFrame, size: int) -> Iterator[pl.DataFrame]:
    """Cut samples so that a subject's are together and sample_ids ascend; one empty chunk where there is none."""
    ordered = samples.select("sample_id", "subject_id", "prediction_time").sort("subject_id", "sample_id")
    number = pl.col("subject_id").rle_id() // size
    cut = ordered.with_columns(chunk=number).partition_by("chunk", maintain_order=True, include_key=False)
    yield from cut or [ordered]


def _read_here(reader: _Reader, chunks: list[tuple[pl.DataFrame, Path]]) -> list[_Told]:
    count = sum(samples.height for samples, _ in chunks)
    if len(chunks) == 1:

        def track(notes: list[str]) -> Iterable[str]:
            return console.progress(notes, f"reading {len(notes)} notes")

        return [reader.read(*chunks[0], track)]
    told = f"reading the events of {count} samples in {len(chunks)} chunks"
    return [reader.read(*one) for one in console.progress(chunks, told)]


def _read_apart(
    collector: Collector, cohort: Cohort, task: Task, chunks: list[tuple[pl.DataFrame, Path]], workers: int
) -> list[_Told]:
    folder = collector.ontology.folder
    if folder is None:
        raise InputError(
            "several workers need an ontology in a folder", remedy="Save it, and open it from there"
        )
    _ = collector.recogniser  # its lexicon is written beside the ontology once, and every worker maps it
    workers = min(workers, len(chunks))
    count = sum(samples.height for samples, _ in chunks)
    said = f"reading the events of {count} samples in {len(chunks)} chunks by {workers} processes"
    try:
        with processes(workers, _start, folder, cohort.path, task) as pool:
            waiting: list[Future[_Told]] = [pool.submit(_read, *one) for one in chunks]
            for one in console.progress(as_completed(waiting), said, total=len(chunks)):
                one.result()
            return [one.result() for one in waiting]
    except BrokenProcessPool as error:
        raise InputError(
            "a process that reads events died (killed, or out of memory)",
            remedy="Give fewer --workers or a smaller --chunk",
        ) from error


_reader: _Reader | None = None


def _start(ontology: Path, cohort: Path, task: Task) -> None:
    """Open everything in a worker."""
    from mhdiff.cohort import Cohort
    from ontology import Ontology

    global _reader
    _reader = _Reader(Ontology.open(ontology), Cohort.open(cohort), task)


def _read(samples: pl.DataFrame, place: Path) -> _Told:
    assert _reader is not None
    return _reader.read(samples, place)
