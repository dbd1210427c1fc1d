"""DICOM images are read as a viewer shows them; what is cut short is refused without a word of its header."""

import numpy as np
import pytest
from PIL import Image

from mhdiff.cohort.dicom import read_grey
from mhdiff.cohort.image_files import unusable
from mhdiff.encoders import ImageReader
from ontology.errors import InputError
from tests import needs

pydicom = needs.module("pydicom")
RAMP = np.arange(64 * 48, dtype=np.uint16).reshape(64, 48)


def write(path, pixels=RAMP, **more):
    """A DICOM file of an invented patient."""
    data = pydicom.Dataset()
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = (
        pydicom.uid.DigitalXRayImageStorageForPresentation
    )
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = pydicom.uid.generate_uid()
    data.PatientName, data.PatientID = "Marked^Name", "MARKED-ID"
    data.Rows, data.Columns = pixels.shape[-2:] if pixels.shape[-1] != 3 else pixels.shape[:2]
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PixelRepresentation = 1, "MONOCHROME2", 0
    data.BitsAllocated = data.BitsStored = pixels.itemsize * 8
    data.HighBit = data.BitsStored - 1
    for name, value in more.items():
        setattr(data, name, value)
    data.PixelData = pixels.tobytes()
    pydicom.dcmwrite(path, data, enforce_file_format=True)
    return path


def test_rescale_window_and_inversion(tmp_path):
    assert np.array_equal(read_grey(write(tmp_path / "a.dcm")), RAMP)
    scaled = read_grey(write(tmp_path / "b.dcm", RescaleSlope=2, RescaleIntercept=-1000))
    np.testing.assert_allclose(scaled, 2.0 * RAMP - 1000)
    window = read_grey(write(tmp_path / "c.dcm", WindowCenter=1000, WindowWidth=200))
    assert (np.unique(window[RAMP < 899]).size, np.unique(window[RAMP > 1101]).size) == (1, 1)
    assert np.all(np.diff(window[(RAMP > 905) & (RAMP < 1095)]) > 0)
    turned = read_grey(write(tmp_path / "d.dcm", PhotometricInterpretation="MONOCHROME1"))
    np.testing.assert_array_equal(turned, -1.0 * RAMP)


def test_colours_become_brightness(tmp_path):
    colours = np.zeros((16, 16, 3), dtype=np.uint8)
    colours[..., 1] = 100
    file = write(
        tmp_path / "c.dcm", colours, SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0
    )
    np.testing.assert_allclose(read_grey(file), 58.7)


def test_the_reader_sees_in_a_dicom_what_it_sees_in_a_picture(tmp_path):
    Image.fromarray(RAMP).save(tmp_path / "a.png")
    reader = ImageReader(16)
    one, other = (reader.read(tmp_path / "a.png"), reader.read(write(tmp_path / "a.dcm")))
    np.testing.assert_allclose(one.numpy(), other.numpy(), atol=1e-6)
    frames = write(tmp_path / "f.dcm", np.stack([RAMP, RAMP[::-1]]), NumberOfFrames=2)
    np.testing.assert_allclose(reader.read(frames).numpy(), one.numpy(), atol=1e-6)
    assert reader.report["several frames, first read"] == 1
    volume = ImageReader(16, spatial_dims=3).read(
        write(tmp_path / "v.dcm", np.stack([RAMP] * 20), NumberOfFrames=20)
    )
    assert volume.shape == (1, 16, 16, 16)


def test_real_files(shared):
    folder = shared / "data/imaging/pydicom/src/pydicom/data/test_files"
    seen = {file.name: unusable(file.name, folder)[0] for file in sorted(folder.glob("*.dcm"))}
    assert seen["CT_small.dcm"] == seen["MR_small.dcm"] == seen["MR_small_RLE.dcm"] == ""
    assert seen["MR_truncated.dcm"] == "the DICOM image is cut short, or nothing here decodes it"
    for name, reason in seen.items():
        if not reason:
            pixels = ImageReader(32).read(folder / name)
            assert pixels.max() > pixels.min(), name


def test_what_is_cut_short_is_refused_without_a_word_of_its_header(tmp_path):
    whole = write(tmp_path / "a.dcm").read_bytes()
    (tmp_path / "cut.dcm").write_bytes(whole[:-2000])
    with pytest.raises(InputError, match="cannot be read") as caught:
        read_grey(tmp_path / "cut.dcm")
    assert "arked" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert unusable("cut.dcm", tmp_path)[0]
    assert unusable("a.dcm", tmp_path) == ("", "")
