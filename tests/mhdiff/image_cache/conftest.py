"""Images of every kind that readers take, whose names hold what no name in a cache may hold."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from mhdiff.encoders import ImageReader, VolumeReader
from mhdiff.image_cache.cache import ImageCache
from tests import needs


@pytest.fixture
def pictures(tmp_path):
    """Grey, colour, 16 bits, two frames, and one grey value; the third sample has none."""
    folder = tmp_path / "cohort" / "images"
    folder.mkdir(parents=True)
    draw = np.random.default_rng(3)
    grey = [draw.integers(0, 256, (40, 30), dtype=np.uint8) for _ in range(3)]
    files = [
        folder / f"MARKED-{number}.{kind}" for number, kind in enumerate(("png", "jpg", "png", "tif", "png"))
    ]
    Image.fromarray(grey[0]).save(files[0])
    Image.fromarray(np.stack(grey, -1)).save(files[1])
    Image.fromarray(grey[1].astype(np.uint16) * 200).save(files[2])
    Image.fromarray(grey[1]).save(files[3], save_all=True, append_images=[Image.fromarray(grey[2])])
    Image.fromarray(np.full((20, 20), 7, np.uint8)).save(files[4])
    return [*files[:2], None, *files[2:]]


@pytest.fixture
def dicoms(tmp_path):
    """Two frames, and one that is turned over."""
    pydicom = needs.module("pydicom")
    made = []
    for number, shape in enumerate(((2, 24, 24), (24, 32))):
        data = pydicom.Dataset()
        data.file_meta = pydicom.dataset.FileMetaDataset()
        data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = pydicom.uid.XRayAngiographicImageStorage
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
        data.PatientName, (data.Rows, data.Columns) = "Marked^Name", shape[-2:]
        data.SamplesPerPixel, data.PixelRepresentation, data.BitsAllocated = 1, 0, 16
        data.BitsStored, data.HighBit, data.PhotometricInterpretation = 16, 15, f"MONOCHROME{2 - number}"
        if len(shape) == 3:
            data.NumberOfFrames = shape[0]
        data.PixelData = np.random.default_rng(number).integers(0, 4000, shape, dtype=np.uint16).tobytes()
        made.append(tmp_path / f"MARKED-{number}.dcm")
        pydicom.dcmwrite(made[-1], data, enforce_file_format=True)
    return made


@pytest.fixture
def volumes(tmp_path):
    """One with a voxel that is no number, and one of one grey value."""
    nibabel = needs.module("nibabel")
    values = np.random.default_rng(1).normal(100, 20, (18, 16, 20)).astype(np.float32)
    values[3, 3, 3] = np.nan
    made = [tmp_path / "MARKED-a.nii.gz", tmp_path / "MARKED-b.nii"]
    nibabel.save(nibabel.Nifti1Image(values, np.diag([2.0, 1.0, 1.0, 1.0])), made[0])
    nibabel.save(nibabel.Nifti1Image(np.ones((16, 16, 16), np.float32), np.eye(4)), made[1])
    return made


CASES = {
    "pictures": lambda: ImageReader(16),
    "dicoms": lambda: ImageReader(16),
    "volumes": lambda: VolumeReader(12, spacing=2.0),
    "volumes stretched": lambda: ImageReader(12, spatial_dims=3),
}


@pytest.fixture(params=CASES)
def case(request):
    """A function that makes a reader, and files that it reads."""
    return CASES[request.param], request.getfixturevalue(request.param.split()[0])


@pytest.fixture
def place(tmp_path):
    """Where a cache goes."""
    return tmp_path / "cache"


@pytest.fixture
def entries(place):
    """A function that lists what a cache has kept of images."""

    def found():
        return sorted(f for f in place.glob("*/*/*") if f.is_file() and f.parts[-3] != "files")

    return found


@pytest.fixture
def unread(monkeypatch):
    """From here on no reader reads a file."""

    def stop():
        for reader in (ImageReader, VolumeReader):
            monkeypatch.setattr(reader, "read", lambda self, path: pytest.fail("a file was read again"))

    return stop


@pytest.fixture
def opened(place):
    """A function that opens the cache as another process would, and gives what reads as a reader does."""

    def reading(reader, **settings):
        return ImageCache(place, **settings).reading(reader)

    return reading
