"""An entry serves only where file, reader, settings, code and versions are those that it was made with."""

from __future__ import annotations

import os
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mhdiff.encoders import FileReader, ImageReader
from mhdiff.image_cache import cache as cache_module
from mhdiff.image_cache.maker import maker_facts, maker_name
from ontology.errors import InputError

OWN = """
import torch
from mhdiff.encoders import FileReader

class Mean(FileReader):
    {relies_on}
    def __init__(self, times=1.0):
        self.times, self.report = times, {{}}
    spec = property(lambda self: 1)
    def transform(self, paths):
        rows = [0 if p is None else self.times * sum(p.read_bytes()) for p in paths]
        self.report["read"] = self.report.get("read", 0) + len(paths)
        return {{"mean": torch.tensor(rows, dtype=torch.float64)[:, None]}}
    def state(self):
        return {{"kind": "Mean", "times": self.times}}
    @classmethod
    def from_state(cls, state):
        return cls(state["times"])
"""


def name(reader):
    return maker_name(maker_facts(reader))


def repaint(path, seed):
    """Other grey values in a file of the same size, number and time of modification."""
    before = path.stat()
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 30), dtype=np.uint8)
    Image.fromarray(pixels).save(path, compress_level=0)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    return before, path.stat()


@pytest.mark.parametrize("settled", [cache_module.SETTLED, -1.0])
def test_a_file_that_was_changed_is_read_anew(pictures, opened, monkeypatch, settled):
    monkeypatch.setattr(cache_module, "SETTLED", settled)
    repaint(pictures[0], 1)
    read = opened(ImageReader(16))
    first = read([pictures[0]])["pixels"]
    before, after = repaint(pictures[0], 2)
    assert (before.st_size, before.st_ino, before.st_mtime_ns) == (
        after.st_size,
        after.st_ino,
        after.st_mtime_ns,
    )
    expected = ImageReader(16).read(pictures[0])
    assert not torch.equal(first[0], expected)
    assert torch.equal(read([pictures[0]])["pixels"][0], expected)


def test_bytes_are_read_again_until_a_file_has_settled(pictures, opened, monkeypatch, unread):
    hashed = []

    def counting(path):
        hashed.append(path)
        return sha256(path)

    sha256 = cache_module.sha256
    monkeypatch.setattr(cache_module, "sha256", counting)
    expected = opened(ImageReader(16))(pictures)["pixels"]
    for many in (
        10,
        5,
        5,
    ):  # before and after it is read first; young files may change within a tick of the clock
        assert len(hashed) == many
        hashed.clear()
        assert torch.equal(opened(ImageReader(16))(pictures)["pixels"], expected)
    monkeypatch.setattr(cache_module, "SETTLED", -1.0)
    unread()
    hashed.clear()
    for many in (5, 5):
        assert torch.equal(opened(ImageReader(16))(pictures)["pixels"], expected)
        assert len(hashed) == many


@pytest.mark.parametrize("settled", [cache_module.SETTLED, -1.0])
def test_a_file_that_changes_while_it_is_read_is_not_kept(pictures, opened, entries, monkeypatch, settled):
    monkeypatch.setattr(cache_module, "SETTLED", settled)
    repaint(pictures[0], 1)
    reader, read = ImageReader(16), ImageReader.read

    def changing(self, path):
        repaint(path, 2)
        return read(self, path)

    with monkeypatch.context() as patched:
        patched.setattr(ImageReader, "read", changing)
        opened(reader)([pictures[0]])
    assert entries() == []
    repaint(pictures[0], 1)
    assert torch.equal(opened(reader)([pictures[0]])["pixels"][0], reader.read(pictures[0]))


def test_every_argument_of_a_reader_decides(pictures, opened):
    readers = [
        ImageReader(16),
        ImageReader((16, 24)),
        ImageReader(16, percentiles=(0.0, 100.0)),
        ImageReader(16, percentiles=(0.5, 99.0)),
    ]
    assert len({name(reader) for reader in [*readers, ImageReader(16, spatial_dims=3)]}) == 5
    assert name(ImageReader(16)) == name(ImageReader((16, 16)))
    for reader in readers:
        assert torch.equal(opened(reader)(pictures)["pixels"], reader.transform(pictures)["pixels"])


def test_a_library_of_another_version_decides(monkeypatch):
    before, version = name(ImageReader(16)), metadata.version
    monkeypatch.setattr(metadata, "version", lambda lib: "0.0" if lib == "pillow" else version(lib))
    assert name(ImageReader(16)) != before


def test_another_processor_decides(monkeypatch):
    before = name(ImageReader(16))
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "made up")
    assert name(ImageReader(16)) != before


def test_the_source_behind_a_reader_decides(monkeypatch, tmp_path):
    facts = maker_facts(ImageReader(16))
    assert {"mhdiff.encoders.preprocess_image", "mhdiff.cohort.dicom", "pillow", "torch"} <= facts[
        "behind"
    ].keys()
    for module in ("mhdiff.encoders.preprocess_image", "mhdiff.cohort.dicom"):
        edited = tmp_path / "edited.py"
        edited.write_text(Path(sys.modules[module].__file__).read_text() + "\n# another line\n")
        os.utime(edited, (1, 1))
        with monkeypatch.context() as patched:
            patched.setattr(sys.modules[module], "__file__", str(edited))
            assert name(ImageReader(16)) != maker_name(facts)
            os.utime(edited)  # saved while this runs: what is loaded is not what the file says
            assert maker_facts(ImageReader(16)) is None


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A function that writes and imports a reader of somebody's own."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(relies_on):
        file = tmp_path / "own_mean.py"
        file.write_text(OWN.format(relies_on=relies_on))
        os.utime(file, (1, 1))
        sys.modules.pop("own_mean", None)
        found = __import__("own_mean").Mean
        monkeypatch.setitem(sys.modules, "own_mean", sys.modules["own_mean"])
        return found

    return make


def test_a_reader_of_ones_own_is_kept_if_it_says_what_it_relies_on(own, pictures, opened, entries, capsys):
    silent = own("")
    read = opened(silent())
    assert torch.equal(read(pictures)["mean"], silent().transform(pictures)["mean"])
    assert entries() == []
    assert capsys.readouterr().err.count("what Mean reads is not kept") == 1
    speaking = own("relies_on = ('torch',)")
    reader = speaking(2.0)
    expected = speaking(2.0).transform(pictures)["mean"]
    assert torch.equal(opened(reader)(pictures)["mean"], expected)
    assert len(entries()) == 5
    again = speaking(2.0)
    assert torch.equal(opened(again)(pictures)["mean"], expected)
    assert reader.report == again.report == {"read": 6}
    assert "image_cache" not in capsys.readouterr().err


def test_rows_that_depend_on_each_other_are_refused(own, pictures, opened):
    reader = own("relies_on = ()")()
    transform = reader.transform
    reader.transform = lambda paths: {"mean": transform(paths)["mean"].expand(-1, 1 + (paths[0] is None))}
    with pytest.raises(InputError, match="relies_on") as caught:
        opened(reader)(pictures)
    assert "float64 (1, 2) for one file and torch.float64 (1, 1)" in str(caught.value)


def test_a_subclass_answers_for_itself(pictures, opened, entries):
    class Turned(ImageReader):
        def read(self, path):
            return super().read(path).flip(-1)

    assert issubclass(Turned, FileReader)
    assert Turned.relies_on is ImageReader.relies_on
    opened(ImageReader(16))(pictures)
    assert torch.equal(
        opened(Turned(16))(pictures)["pixels"], ImageReader(16).transform(pictures)["pixels"].flip(-1)
    )
    assert len(entries()) == 5
