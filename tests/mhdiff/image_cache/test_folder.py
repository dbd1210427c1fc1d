"""A cache is never trusted unseen, is shared without a lock, and is not worth a training."""

from __future__ import annotations

import errno
import os
import pickle
import shutil
import time
from collections import namedtuple

import pytest
import torch

from mhdiff.encoders import ImageReader
from mhdiff.image_cache import cache as cache_module
from mhdiff.image_cache import folder as folder_module
from mhdiff.image_cache.cache import ImageCache
from mhdiff.image_cache.folder import CacheFolder, _digest
from ontology.errors import InputError


@pytest.fixture
def expected(pictures):
    return ImageReader(16).transform(pictures)["pixels"]


def flip(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


DAMAGES = {
    "cut short": lambda content: content[: len(content) // 2],
    "without its last byte": lambda content: content[:-1],
    "longer": lambda content: content + b"\0",
    "empty": lambda content: b"",
    "another bit in its pixels": lambda content: flip(content, len(content) - 9),
    "another bit in its digest": lambda content: flip(content, 3),
    "something else": lambda content: b"PK\x03\x04 not an entry at all, but somebody's file of some length",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_entry_is_noticed_and_made_anew(
    pictures, opened, entries, expected, capsys, unread, damage
):
    opened(ImageReader(16))(pictures)
    whole = {file: file.read_bytes() for file in entries()}
    for file, content in whole.items():
        file.write_bytes(DAMAGES[damage](content))
    assert torch.equal(opened(ImageReader(16))(pictures)["pixels"], expected)
    assert capsys.readouterr().err.count("was damaged") == 1
    assert {file: file.read_bytes() for file in entries()} == whole
    unread()
    assert torch.equal(opened(ImageReader(16))(pictures)["pixels"], expected)


def test_an_entry_in_the_place_of_another_is_noticed(pictures, opened, entries, expected, capsys):
    opened(ImageReader(16))(pictures)
    files = entries()
    contents = [file.read_bytes() for file in files]
    for file, content in zip(files, [*contents[1:], contents[0]], strict=True):
        file.write_bytes(content)
    assert torch.equal(opened(ImageReader(16))(pictures)["pixels"], expected)
    opened(ImageReader(16, percentiles=(1, 99)))(pictures)
    other = {file.name: file for file in entries() if file not in files}
    for file in files:  # whole entries, of other settings
        file.write_bytes(other[file.name].read_bytes())
    assert torch.equal(opened(ImageReader(16))(pictures)["pixels"], expected)
    assert capsys.readouterr().err.count("of another name") == 2


@pytest.mark.parametrize("payload", [b"", b"\x02\0\0\0{}", b"\xff\xff\xff\xff{}", b"\x01\0\0\0{" + bytes(99)])
def test_what_has_the_right_digest_and_no_row_is_no_entry(pictures, opened, entries, expected, payload):
    opened(ImageReader(16))(pictures)
    for file in entries():
        file.write_bytes(_digest(file.parts[-3], file.name, payload) + payload)
    assert torch.equal(opened(ImageReader(16))(pictures)["pixels"], expected)
    assert all(len(file.read_bytes()) > 16 * 16 * 4 for file in entries())


def test_a_remembered_content_is_not_trusted_either(pictures, opened, place, expected, monkeypatch):
    monkeypatch.setattr(cache_module, "SETTLED", -1.0)
    opened(ImageReader(16))(pictures)
    remembered = sorted(place.glob("files/*/*"))
    contents = [file.read_bytes() for file in remembered]
    assert len(remembered) == 5
    for file, content in zip(remembered, [*contents[1:], contents[0][:40]], strict=True):
        file.write_bytes(content)
    assert torch.equal(opened(ImageReader(16))(pictures)["pixels"], expected)
    assert [file.read_bytes() for file in remembered] == contents


Usage = namedtuple("Usage", "total used free")


def no_room(monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1 << 40, 1 << 40, 1 << 29))
    return "less than 1,024 MiB"


def failing(number):
    def set_up(monkeypatch):
        def fail(*arguments, **options):
            raise OSError(number, os.strerror(number), "MARKED")

        monkeypatch.setattr(os, "replace", fail)
        return os.strerror(number)

    return set_up


FULL = {
    "full soon": no_room,
    "full": failing(errno.ENOSPC),
    "quota": failing(errno.EDQUOT),
    "io": failing(errno.EIO),
}


@pytest.mark.parametrize("how", FULL)
def test_a_full_disk_is_told_once_and_what_is_there_is_used(
    pictures, opened, place, expected, monkeypatch, capsys, how
):
    opened(ImageReader(16))(pictures[:2])
    reason = FULL[how](monkeypatch)
    read = opened(ImageReader(16))
    for _ in range(3):
        assert torch.equal(read(pictures)["pixels"], expected)
    said = capsys.readouterr().err
    assert said.count("image_cache") == said.count(reason) == 1
    assert "MARKED" not in said
    assert not list((place / "new").iterdir())
    monkeypatch.setattr(ImageReader, "read", lambda self, path: pytest.fail("a file was read again"))
    assert torch.equal(read(pictures[:2])["pixels"], expected[:2])


def test_a_folder_that_cannot_be_written_is_told_once(
    pictures, opened, entries, expected, monkeypatch, capsys
):
    opened(ImageReader(16))(pictures[:2])

    def refuse(path, flags, *more, **options):
        if flags & os.O_CREAT and "cache" in str(path):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return plain(path, flags, *more, **options)

    plain = os.open
    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr("pathlib.Path.touch", lambda path, **_: refuse(path, os.O_CREAT))
    read = opened(ImageReader(16))
    assert torch.equal(read(pictures)["pixels"], expected)
    assert torch.equal(read(pictures)["pixels"], expected)
    said = capsys.readouterr().err
    assert said.count("image_cache") == said.count("Read-only file system") == 1
    assert len(entries()) == 2


def test_a_folder_that_cannot_be_made_is_told_and_lost_nothing(tmp_path, pictures, expected, capsys):
    (tmp_path / "file").write_text("")
    read = ImageCache(tmp_path / "file" / "cache").reading(ImageReader(16))
    assert torch.equal(read(pictures)["pixels"], expected)
    assert capsys.readouterr().err.count("nothing more is put into") == 1


def test_it_holds_no_more_than_it_may(pictures, opened, place, expected, capsys):
    """Entries are 1,200 bytes or so."""
    read = opened(ImageReader(16), gib=6_000 / (1 << 30))
    for _ in range(2):
        assert torch.equal(read(pictures)["pixels"], expected)
    held = sum(file.stat().st_size for file in place.rglob("*") if file.is_file())
    assert 4_000 < held < 6_400
    assert capsys.readouterr().err.count("data.image_cache_gib") == 1
    for wrong in (0.0, -1.0, float("nan")):
        with pytest.raises(InputError, match="image_cache_gib"):
            CacheFolder(place, wrong)


def test_a_folder_that_somebody_removes_is_made_again(
    pictures, opened, entries, place, expected, unread, capsys
):
    read = opened(ImageReader(16))
    read(pictures[:2])
    shutil.rmtree(place)
    assert torch.equal(read(pictures)["pixels"], expected)
    assert len(entries()) == 5
    unread()
    assert torch.equal(opened(ImageReader(16))(pictures)["pixels"], expected)
    assert "image_cache" not in capsys.readouterr().err


def test_somebody_elses_folder_is_left_alone(tmp_path, place):
    place.mkdir()
    (place / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55\n# of another program\n")
    with pytest.raises(InputError, match="no cache of images"):
        ImageCache(place)
    assert [file.name for file in place.iterdir()] == ["CACHEDIR.TAG"]
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="a file stands"):
        ImageCache(tmp_path / "file")
    with pytest.raises(InputError, match="lies in the folder of the cohort"):
        ImageCache(
            tmp_path / "cohort" / "x" / ".." / "cache",
            apart={"ontology": None, "cohort": str(tmp_path / "cohort")},
        )
    assert not (tmp_path / "cohort").exists()


def test_what_killed_processes_left_is_swept_away(opened, place):
    opened(ImageReader(16))
    for name, age in (("old", 2 * 86_400), ("young", 60)):
        (place / "new" / name).write_bytes(b"half")
        os.utime(place / "new" / name, (time.time() - age, time.time() - age))
    opened(ImageReader(16))
    assert [file.name for file in (place / "new").iterdir()] == ["young"]


def test_it_goes_to_another_process_with_what_was_said(place, monkeypatch, capsys):
    folder = CacheFolder(place)
    no_room(monkeypatch)
    folder.put("a" * 32, "b" * 64, b"row")
    again = pickle.loads(pickle.dumps(folder))
    again.put("a" * 32, "b" * 64, b"row")
    assert capsys.readouterr().err.count("image_cache") == 1


def test_files_are_for_whom_the_umask_lets(place):
    before = os.umask(0o027)
    try:
        CacheFolder(place).put("a" * 32, "b" * 64, b"row")
    finally:
        os.umask(before)
    assert (place / ("a" * 32) / "bb" / ("b" * 64)).stat().st_mode & 0o777 == 0o640
    assert folder_module.is_cache(place)
