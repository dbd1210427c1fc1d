"""Volumes that are cut short, damaged or none: refused when they are imported, and named by whoever reads them."""

import contextlib
import gzip
import random
from types import SimpleNamespace

import numpy as np
import omop_source
import polars as pl
import pytest
import yaml

from mhdiff.audit import near_images
from mhdiff.audit.thresholds import Thresholds
from mhdiff.cohort import Cohort
from mhdiff.cohort.from_meds.importing import import_meds
from mhdiff.cohort.image_files import unusable
from mhdiff.cohort.manifest import import_manifest
from mhdiff.cohort.omop import import_omop
from mhdiff.cohort.refused import MaxBad
from mhdiff.encoders import ImageReader, VolumeReader
from ontology.errors import InputError
from tests import needs

nibabel = needs.module("nibabel")
CUT = "the volume is truncated or not readable"


def volume(shape=(14, 12, 10)):
    values = np.random.default_rng(0).integers(0, 900, shape).astype(np.int16)
    return nibabel.Nifti1Image(values, np.eye(4))


def written(folder, name, image=None):
    folder.mkdir(exist_ok=True)
    nibabel.save(image or volume(), folder / name)
    return folder / name


def cut(file, share=0.7):
    whole = file.read_bytes()
    file.write_bytes(whole[: int(share * len(whole))])
    return file


def claims(shape, flat=False):
    header = nibabel.Nifti1Header()
    if flat:
        header["sform_code"], header["srow_x"] = 2, [1, 0, 0, 0]
    header.set_data_shape(shape)
    header.set_data_dtype(np.int16)
    header["vox_offset"] = 352
    return header.binaryblock + b"\0\0\0\0"


def array(folder, name, values):
    np.save(folder / name, values, allow_pickle=True)


CASES = {
    "whole.nii": (lambda p: written(p, "whole.nii"), ""),
    "whole.nii.gz": (lambda p: written(p, "whole.nii.gz"), ""),
    "four.nii.gz": (lambda p: written(p, "four.nii.gz", volume((9, 8, 7, 3))), ""),
    "whole.npy": (lambda p: array(p, "whole.npy", np.ones((9, 9, 9))), ""),
    "cut.nii": (lambda p: cut(written(p, "cut.nii")), CUT),
    "cut.nii.gz": (lambda p: cut(written(p, "cut.nii.gz")), CUT),
    "last.nii.gz": (lambda p: cut(written(p, "last.nii.gz"), 0.999), CUT),
    "cut.npy": (lambda p: array(p, "cut.npy", np.ones((9, 9, 9))) or cut(p / "cut.npy"), CUT),
    "words.npy": (lambda p: array(p, "words.npy", np.array(["a", "b"])), "the volume holds no numbers"),
    "objects.npy": (lambda p: array(p, "objects.npy", np.array([{}, 1])), CUT),
    "axes.nii": (
        lambda p: (p / "axes.nii").write_bytes(claims((9, 9, 9), flat=True) + b"\0" * 2 * 9**3),
        "the volume's header says not where its axes point",
    ),
    "huge.nii.gz": (
        lambda p: (p / "huge.nii.gz").write_bytes(gzip.compress(claims((3000, 3000, 3000)))),
        "the volume is larger than 4 GiB",
    ),
    "more.nii.gz": (
        lambda p: (p / "more.nii.gz").write_bytes(gzip.compress(claims((9, 9, 9)) + b"\0" * (1 << 25))),
        "the volume holds more than its header says",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_volume_holds_what_its_header_says(tmp_path, name):
    make, reason = CASES[name]
    make(tmp_path)
    assert unusable(name, tmp_path)[0] == reason


def test_real_volumes_are_taken_whole_and_refused_cut(tmp_path, shared):
    files = sorted((shared / "data/imaging/nibabel").rglob("*.nii*"))
    assert len(files) == 6
    for file in files:
        place = tmp_path / file.name
        place.write_bytes(file.read_bytes())
        assert unusable(file.name, tmp_path) == ("", "")
        cut(place, 0.6)
        assert unusable(file.name, tmp_path)[0] == CUT, file.name


@pytest.fixture(params=["cut.nii.gz", "cut.nii", "cut.npy"])
def pictures(tmp_path, request):
    """A folder with a whole volume and one that is cut short."""
    folder = tmp_path / "x"
    folder.mkdir()
    CASES["whole.nii.gz"][0](folder)
    CASES[request.param][0](folder)
    return folder, request.param


def test_a_manifest_refuses_the_row(tmp_path, pictures):
    _, broken = pictures
    rows = ["patient,exam,scan", "1,2020-01-01 10:00,x/whole.nii.gz", f"2,2020-01-01 10:00,x/{broken}"]
    (tmp_path / "visits.csv").write_text("\n".join(rows) + "\n")
    columns = {"subject": "patient", "time": "exam", "images": {"scan": "MR"}}
    (tmp_path / "columns.yaml").write_text(yaml.safe_dump(columns))
    report = import_manifest(
        tmp_path / "visits.csv", tmp_path / "out", columns=tmp_path / "columns.yaml", max_bad=MaxBad(1)
    )
    assert report.refused.places == {CUT: [("visits.csv", 3, "scan")]}
    assert Cohort.open(tmp_path / "out").events["code"].str.starts_with("IMAGE//MR").sum() == 1


def test_the_row_of_a_table_of_images_is_refused(tmp_path, pictures):
    folder, broken = pictures
    rows = ["{},time,path,modality", "1,2020-01-01,whole.nii.gz,MR", f"2,2020-01-01,{broken},MR"]
    table = folder / "images.csv"
    table.write_text("\n".join(rows).format("person_id") + "\n")
    source = omop_source.write(tmp_path / "cdm", omop_source.tables())
    import_omop(source, tmp_path / "cohort", max_bad=MaxBad(9))
    report = import_omop(source, tmp_path / "out", images=table, max_bad=MaxBad(9))
    assert report.refused.places[CUT] == [("images.csv", 3, "path")]
    table.write_text("\n".join(rows).format("subject_id") + "\n")
    report = import_meds(tmp_path / "cohort", tmp_path / "again", images=table, max_bad=MaxBad(1))
    assert report.refused.places == {CUT: [("images.csv", 3, "path")]}


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_readers_name_a_damaged_volume_whatever_is_wrong_with_it(tmp_path, suffix):
    good, place = written(tmp_path, "good" + suffix).read_bytes(), tmp_path / f"bad{suffix}"
    readers = [ImageReader(8, spatial_dims=3)._raw, VolumeReader(8).read]
    draw, named = random.Random(0), 0
    for _ in range(60):
        broken = bytearray(good)
        for _ in range(6):
            broken[draw.randrange(352 if suffix == ".nii" else len(good))] = draw.randrange(256)
        place.write_bytes(broken)
        if unusable(place.name, tmp_path)[0]:  # else these are bytes that do not matter, or a huge volume
            for read in readers:
                with contextlib.suppress(InputError):
                    read(place)
                    named -= 1
                named += 1
    assert named > 30


def test_the_audit_reads_no_volume_and_bears_a_damaged_one(tmp_path, monkeypatch):
    for name in ("whole.nii", "whole.nii.gz", "whole.npy", "cut.nii.gz", "cut.npy"):
        CASES[name][0](tmp_path)
    array(tmp_path, "flat.npy", np.random.default_rng(0).random((40, 40)))
    read, real = [], ImageReader.read
    monkeypatch.setattr(ImageReader, "read", lambda self, path: read.append(path.name) or real(self, path))
    names = sorted(p.name for p in tmp_path.iterdir())
    material = SimpleNamespace(
        thresholds=Thresholds(),
        files=pl.DataFrame({"subject_id": range(len(names)), "path": names}),
        cohort=SimpleNamespace(image_path=lambda name: tmp_path / name),
        split_of={},
    )
    found = near_images.check(material)
    assert read == ["flat.npy"]
    assert [one.name for one in found.findings] == ["not_checked"]
    assert found.findings[0].detail.startswith("5 files")
