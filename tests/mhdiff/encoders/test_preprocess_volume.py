import gzip

import numpy as np
import pytest
import torch

from mhdiff.encoders import ResNet, VolumeReader, restore
from ontology.errors import InputError
from tests import needs

nibabel = needs.module("nibabel")


def write(path, values, affine):
    nibabel.save(nibabel.Nifti1Image(values, affine), path)
    return path


@pytest.fixture
def corner(tmp_path):
    """Bright towards right, anterior and superior; stored with the first axis to the left, 2 x 1 x 1 mm."""
    values = np.full((16, 32, 32), 10, dtype=np.int16)
    values[:8, 16:, 16:] = 200
    return write(tmp_path / "corner.nii.gz", values, np.diag([-2.0, 1.0, 1.0, 1.0]))


def test_orientation_spacing_range_and_size(corner):
    reader = VolumeReader(16, spacing=2.0)
    pixels = reader.transform([None, corner])["pixels"]
    assert pixels.shape == (2, 1, 16, 16, 16)
    assert pixels[0].abs().max() == 0
    made = pixels[1, 0]
    assert made.min() == 0
    assert made.max() == 1
    assert made[10:, 10:, 10:].mean() > 0.95  # right, anterior, superior
    assert made[:6].max() < 0.05
    assert reader.report == {"absent": 1, "read": 1}


def test_the_way_of_storing_does_not_matter(tmp_path, corner):
    image = nibabel.load(corner)
    reader = VolumeReader(16)
    expected = reader.read(corner)
    for axes in ("RAS", "PSR", "IAL"):
        target = nibabel.orientations.axcodes2ornt(axes)
        change = nibabel.orientations.ornt_transform(nibabel.io_orientation(image.affine), target)
        turned = image.as_reoriented(change)
        nibabel.save(turned, tmp_path / f"{axes}.nii")
        assert torch.allclose(reader.read(tmp_path / f"{axes}.nii"), expected, atol=0.02), axes
    brighter = write(tmp_path / "b.nii", np.asarray(image.dataobj).astype(np.float32) * 3 + 7, image.affine)
    assert torch.allclose(reader.read(brighter), expected, atol=1e-4)


def test_a_voxel_has_the_same_extent_in_everybody(tmp_path):
    values = np.zeros((40, 40, 40), dtype=np.int16)
    values[15:25, 15:25, 15:25] = 100
    small = VolumeReader(24, spacing=1.0).read(write(tmp_path / "one.nii", values, np.eye(4)))
    large = VolumeReader(24, spacing=1.0).read(write(tmp_path / "two.nii", values, np.diag([2.0, 2, 2, 1])))
    assert (small > 0.5).sum() == pytest.approx(10**3, rel=0.1)
    assert (large > 0.5).sum() == pytest.approx(20**3, rel=0.2)


def test_it_is_restored_and_feeds_a_network(corner):
    reader = VolumeReader((16, 16, 8), spacing=(2, 2, 4))
    again = restore(reader.state())
    assert isinstance(again, VolumeReader)
    assert torch.equal(again.read(corner), reader.read(corner))
    encoder = ResNet(reader.spec, 8, depth=10, width=4)
    assert encoder(reader.transform([corner])).shape == (1, 8)


def test_what_is_no_volume_is_refused(tmp_path, corner):
    reader, cut, flat = VolumeReader(16), tmp_path / "cut.nii.gz", tmp_path / "four.nii.gz"
    whole = gzip.decompress(corner.read_bytes())
    cut.write_bytes(gzip.compress(whole[: len(whole) // 2]))
    write(flat, np.zeros((9, 9, 9, 2), dtype=np.int16), np.eye(4))
    for file, message in (
        (tmp_path / "none.nii", "the volume is missing"),
        (cut, "the volume cannot be read"),
        (flat, r"the volume has shape \(9, 9, 9, 2\)"),
    ):
        with pytest.raises(InputError, match=message):
            reader.read(file)
    for settings in ({"size": 4}, {"spacing": 0.0}, {"orientation": "RAR"}, {"size": (16, 16)}):
        with pytest.raises(InputError):
            VolumeReader(**settings)
    ones = write(tmp_path / "ones.nii", np.ones((16, 16, 16), dtype=np.int16), np.eye(4))
    assert reader.read(ones).abs().max() == 0
    assert reader.report == {"read": 1, "one grey value everywhere": 1}


def test_a_real_volume(shared):
    folder = shared / "data/imaging/nibabel"
    pixels = VolumeReader(32, spacing=4.0).read(folder / "doc/source/downloads/someones_anatomy.nii.gz")
    assert pixels.shape == (1, 32, 32, 32)
    assert 0.02 < pixels.mean() < 0.9
