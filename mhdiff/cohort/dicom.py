"""DICOM images as grey values, the way that a viewer shows them: bright where little passed the body.

    modality LUT or rescale  ->  VOI LUT or window, where the file states one  ->  MONOCHROME1 turned over

Colours become the brightness .299 R + .587 G + .114 B. What pydicom says of a file may quote its header, which names
the patient: it is neither shown nor logged.
"""

from __future__ import annotations

import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from ontology.errors import InputError

Grey = np.ndarray[Any, np.dtype[np.float64]]
_REMEDY = "Export the image again, or drop it from the cohort"


def pydicom_for(place: Path) -> Any:
    """Give pydicom.

    Args:
        place: The file or folder that needs it.

    Raises:
        InputError: If it is not installed.
    """
    try:
        return import_module("pydicom")
    except ImportError as error:
        raise InputError(
            "DICOM images need pydicom", path=place, remedy="pip install 'mh-diff[imaging]'"
        ) from error


def read_grey(path: Path) -> Grey:
    """Read a DICOM image.

    Args:
        path: The file.

    Returns:
        Grey values, `[rows, columns]`, or `[frames, rows, columns]` where it has several frames.

    Raises:
        InputError: If it is cut short, holds no image, or nothing here decodes it.
    """
    pydicom = pydicom_for(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = grey(pydicom.dcmread(path))
    except Exception as error:  # of the many that pydicom and its decoders raise
        raise InputError(
            f"the DICOM image cannot be read ({type(error).__name__})", path=path, remedy=_REMEDY
        ) from None
    if found.ndim not in (2, 3) or 0 in found.shape:
        raise InputError("the DICOM file holds no image", path=path, remedy=_REMEDY)
    return found


def grey(dataset: Any) -> Grey:
    """Give the grey values of a dataset, see the module.

    Args:
        dataset: What `pydicom.dcmread` gave.
    """
    processing = import_module("pydicom.pixels.processing")
    kind = str(dataset.get("PhotometricInterpretation"))
    raw = dataset.pixel_array  # YBR comes as RGB
    if kind == "PALETTE COLOR":
        raw = processing.apply_color_lut(raw, dataset)
    if kind == "PALETTE COLOR" or int(dataset.get("SamplesPerPixel", 1)) > 1:
        colours: Grey = np.asarray(raw, dtype=np.float64)[..., :3] @ np.array([0.299, 0.587, 0.114])
        return colours
    shown = processing.apply_voi_lut(processing.apply_modality_lut(raw, dataset), dataset)
    pixels = np.asarray(shown, dtype=np.float64)
    return -pixels if kind == "MONOCHROME1" else pixels
