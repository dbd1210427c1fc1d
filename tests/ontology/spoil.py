"""Files after a few edits, for tests that want an `Ontology` or an `InputError` that names the file, nothing else."""

import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from ontology import InputError, Ontology
from ontology.assemble import assemble
from ontology.report import LoadReport
from tests.searches import LENGTH, examples

PIECES = [
    b"\t", b"\r\n", b"\n", b"\r", b'"', b"'", b"#", b"\x00", b"\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"0", b"-1",
    b"1", b"9" * 20, b"1e400", b"nan", b"", b",", b"|", b"<", b">", b"&", b"\\", b"{", b"}", b" ", "\u2028".encode(),
    "\x0b\x0c\x1c\x85".encode(), b"true", b"22298006",
]  # fmt: skip
FEW = settings(max_examples=examples(150), deadline=None, suppress_health_check=list(HealthCheck))
MANY = settings(max_examples=LENGTH, deadline=None, suppress_health_check=list(HealthCheck))


@st.composite
def edited(draw, data, pieces=()):
    """The bytes after a few edits: some replaced, put in, cut out, or said twice."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.sampled_from([0, 1, 2, 5, 40, 10**6])))
        piece = draw(st.sampled_from([*PIECES, *pieces]) | st.binary(max_size=6))
        if draw(st.integers(0, 9)) == 0:
            piece = data[start:end][:500] * 2
        data = data[:start] + piece + data[end:]
    return data


@st.composite
def spoiled(draw, files, pieces=()):
    """Files of which one or two are edited, and seldom one is missing."""
    files = dict(files)
    for name in draw(st.lists(st.sampled_from(sorted(files)), min_size=1, max_size=2)):
        files[name] = draw(edited(files[name], pieces))
    if draw(st.integers(0, 19)) == 0:
        del files[draw(st.sampled_from(sorted(files)))]
    return files


class Disk:
    """One folder in memory for all examples of a test, so that thousands of them cost no disk."""

    def __init__(self):
        memory = Path("/dev/shm")
        self.folder = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))

    def write(self, files, name="source"):
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        for file, data in files.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_bytes(data)
        folder.mkdir(exist_ok=True)
        return folder

    def close(self):
        shutil.rmtree(self.folder)


def outcome(folder, load, *, deep=True):
    """Call a loader; an error names something in the folder, an ontology keeps its promises.

    Its hash and closure are half of the time, so a search at length goes without them: `deep=False`.
    """
    try:
        ontology = load()
    except InputError as error:
        if error.path is None or not str(error.path).startswith(str(folder)):
            raise AssertionError(f"the error does not name the file: {error}") from error
        return None
    assert isinstance(ontology, Ontology)
    if deep:
        assert ontology.fingerprint
        assert ontology.closure.diagonal().all()
    for sctid in ontology.sctids[:3].tolist():
        assert ontology.term(sctid)
        assert ontology.fsn(sctid)
    return ontology


def through(reader, path):
    """Read and assemble, as `load` does with a format that is given."""
    report = LoadReport()
    return assemble("x", reader.read(path, report), report, path=path)
