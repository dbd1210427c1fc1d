"""What comes from a cache is what the reader would make, to the bit, with what it would count."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from mhdiff.encoders import ImageReader, VolumeReader
from ontology.errors import InputError
from tests import needs

ROOT = Path(__file__).resolve().parents[3]
#: Reads images in a process of its own; the last argument says whether a file may be opened.
ELSEWHERE = """
import hashlib, sys
from pathlib import Path
from mhdiff.encoders import ImageReader
from mhdiff.image_cache.cache import ImageCache
def stop(self, path):
    raise SystemExit("a file was read")
if sys.argv[-1] == "kept":
    ImageReader.read = stop
read = ImageCache(sys.argv[1]).reading(ImageReader(16))
for _ in range(5):
    pixels = read([Path(name) for name in sys.argv[2:-1]])["pixels"]
print(hashlib.sha256(pixels.numpy().tobytes()).hexdigest())
"""


def same(one, other):
    assert one.keys() == other.keys()
    for key in one:
        assert one[key].dtype == other[key].dtype
        assert torch.equal(one[key], other[key])
        assert one[key].numpy().tobytes() == other[key].numpy().tobytes()


def test_first_and_second_reading_are_the_readers_own(case, opened, entries, unread):
    make, files = case
    plain = make()
    expected = plain.transform(files)
    first = make()
    same(opened(first)(files), expected)
    assert len(entries()) == len([file for file in files if file is not None])
    unread()
    second = make()
    same(opened(second)(files), expected)
    same(opened(second)([]), {"pixels": expected["pixels"][:0]})
    assert first.report == plain.report
    assert second.report == plain.report


def test_a_changed_row_stays_with_who_changed_it(pictures, opened):
    read = opened(ImageReader(16))
    read(pictures)
    expected = read(pictures)["pixels"].clone()
    read(pictures)["pixels"].zero_()
    assert torch.equal(read(pictures)["pixels"], expected)


def test_names_hold_nothing_of_a_patient(case, opened, place):
    make, files = case
    opened(make())(files)
    assert not [f for f in place.rglob("*") if "MARKED" in str(f.relative_to(place))]
    told = [f.read_text() for f in place.rglob("*.json")]
    assert told
    assert not [text for text in told if "MARKED" in text or str(files[0].parent) in text]


def test_what_cannot_be_read_is_told_as_ever_and_not_kept(tmp_path, opened, entries):
    read = opened(ImageReader(16))
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG not really")
    for _ in range(2):
        for file, message in (
            (broken, "cannot be read"),
            (tmp_path / "none.png", "is missing"),
            (tmp_path, "missing"),
        ):
            with pytest.raises(InputError, match=message) as caught:
                read([file])
            assert caught.value.path == file
    assert entries() == []


def test_an_ending_says_how_a_file_is_read(tmp_path, pictures, opened):
    read = opened(ImageReader(16))
    read(pictures)
    renamed = tmp_path / "a.npy"
    renamed.write_bytes(pictures[0].read_bytes())
    with pytest.raises(InputError, match="cannot be read"):
        read([renamed])


def test_a_copy_under_another_name_is_there_already(tmp_path, pictures, opened, unread):
    expected = opened(ImageReader(16))([pictures[0]])
    copy = tmp_path / "copy.png"
    copy.write_bytes(pictures[0].read_bytes())
    unread()
    same(opened(ImageReader(16))([copy]), expected)


def test_processes_share_a_folder(pictures, place):
    """Two that begin with nothing at once, then one that may read no file."""
    files = [str(file) for file in pictures if file is not None]
    expected = ImageReader(16).transform([Path(file) for file in files])["pixels"].numpy().tobytes()
    command = [sys.executable, "-c", ELSEWHERE, str(place), *files]

    def start(how):
        return subprocess.Popen(
            [*command, how], cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    for hows in (["empty", "empty"], ["kept"]):
        for process in [start(how) for how in hows]:
            out, err = process.communicate(timeout=120)
            assert process.returncode == 0, err
            assert out.strip() == hashlib.sha256(expected).hexdigest()
            assert "image_cache" not in err
    assert not list((place / "new").iterdir())


class _Rows(list):
    def __init__(self, read, files):
        super().__init__(range(len(files)))
        self.read, self.files = read, files

    def collate(self, rows):
        return self.read([self.files[row] for row in rows])


def test_workers_of_a_loader_share_it(pictures, opened, entries, unread, capfd):
    files = [*pictures, *pictures]
    expected = ImageReader(16).transform(files)["pixels"]
    rows = _Rows(opened(ImageReader(16)), files)
    for epoch in range(2):
        loader = DataLoader(rows, batch_size=2, num_workers=2, collate_fn=rows.collate)
        assert torch.equal(torch.cat([batch["pixels"] for batch in loader]), expected), epoch
        unread()
    assert len(entries()) == 5
    assert "image_cache" not in capfd.readouterr().err


def test_a_volume_of_two_files_is_read_anew(tmp_path, opened, entries):
    """The older form has its header beside it, whose change would not be seen."""
    nibabel = needs.module("nibabel")
    values = torch.rand(16, 16, 16).numpy()
    nibabel.save(nibabel.Nifti1Pair(values, None), tmp_path / "a.img")
    read = opened(VolumeReader(8))
    same(read([tmp_path / "a.img"]), VolumeReader(8).transform([tmp_path / "a.img"]))
    assert entries() == []
