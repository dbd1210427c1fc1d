"""Reading radiographs and volumes: grey, resized, and clipped between two percentiles of the image itself.

    p = clip((raw - q_low) / (q_high - q_low), 0, 1)

The percentiles belong to the image, so that nothing is fitted and exposure and bit depth do not matter.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image, ImageOps
from torch import Tensor

from mhdiff.cohort.dicom import read_grey
from mhdiff.cohort.volume_files import nibabel_for, reading_volume
from mhdiff.encoders.preprocess import FileReader, State
from mhdiff.encoders.specs import ImageSpec
from ontology.errors import InputError

_VOLUMES = (".npy", ".nii", ".nii.gz")


class ImageReader(FileReader):
    """Reads image files: whatever Pillow opens and, with pydicom, DICOM in 2-D; .npy and, with nibabel, NIfTI in 3-D.

    Args:
        size: Height and width (2-D) or depth, height and width (3-D) in pixels; one number for all axes.
        spatial_dims: 2 or 3.
        percentiles: The two percentiles that become 0 and 1.
    """

    relies_on: ClassVar = (
        "mhdiff.cohort.dicom", "numpy", "torch", "pillow", "nibabel", "pydicom",
        *("pylibjpeg", "pylibjpeg-libjpeg", "pylibjpeg-openjpeg", "pylibjpeg-rle", "python-gdcm", "pyjpegls"),
    )  # fmt: skip

    def __init__(
        self,
        size: int | Sequence[int] = 224,
        spatial_dims: int = 2,
        percentiles: tuple[float, float] = (0.5, 99.5),
    ) -> None:
        extent = (size,) * spatial_dims if isinstance(size, int) else tuple(size)
        if spatial_dims not in (2, 3) or len(extent) != spatial_dims or min(extent) < 8:
            raise InputError(
                f"an image of size {extent} in {spatial_dims} dimensions cannot be read",
                remedy="Give 2 or 3 dimensions, one size for each, of at least 8 pixels",
            )
        self.size, self.spatial_dims, self.percentiles = extent, spatial_dims, percentiles
        self.counts: Counter[str] = Counter()

    @property
    def spec(self) -> ImageSpec:
        """What the encoder must know."""
        return ImageSpec(channels=1, size=self.size, spatial_dims=self.spatial_dims)

    @property
    def report(self) -> dict[str, int]:  # type: ignore[override]
        """How many images were read, and what was changed in them, since the reader was made."""
        return dict(self.counts)

    def recount(self, report: Mapping[str, int]) -> None:
        """Take in what was counted before, see `FileReader.recount`."""
        self.counts.update(report)

    def transform(self, paths: Sequence[str | Path | None]) -> dict[str, Tensor]:
        """Read one image a sample.

        Args:
            paths: The files; None where a sample has no image, which gives zeros.

        Returns:
            `pixels`, float32 `[samples, 1, *size]` in [0, 1].

        Raises:
            InputError: If a file is missing, cut short or of no known format.
        """
        pixels = torch.zeros(len(paths), 1, *self.size)
        for row, path in enumerate(paths):
            if path is None:
                self.counts["absent"] += 1
            else:
                pixels[row] = self.read(path)
        return {"pixels": pixels}

    def read(self, path: str | Path) -> Float[Tensor, "channel *size"]:
        """Read one image.

        Args:
            path: The file.

        Returns:
            Pixels in [0, 1].

        Raises:
            InputError: If the file is missing, cut short or of no known format.
        """
        raw = self._raw(Path(path))
        self.counts["read"] += 1
        low, high = np.percentile(raw, self.percentiles)
        if not high > low:
            low, high = float(raw.min()), float(raw.max())
        if not high > low:
            self.counts["one grey value everywhere"] += 1
            return torch.zeros(1, *self.size)
        scaled = torch.from_numpy(np.clip((raw - low) / (high - low), 0, 1).astype(np.float32))
        return self._resize(scaled)

    def read_mask(self, path: str | Path) -> Bool[Tensor, "*size"]:
        """Read where something is, in the geometry of `read`.

        Args:
            path: An image that is not zero there.
        """
        raw = torch.from_numpy((self._raw(Path(path)) > 0).astype(np.float32))
        return self._resize(raw)[0] >= 0.5

    def outline(self, path: str | Path | None) -> Bool[Tensor, "*size"]:
        """Read a mask, or give one of nothing where there is no file.

        Args:
            path: See `read_mask`.
        """
        return torch.zeros(self.size, dtype=torch.bool) if path is None else self.read_mask(path)

    def state(self) -> State:
        """Give the settings."""
        return {
            "kind": "ImageReader",
            "size": list(self.size),
            "spatial_dims": self.spatial_dims,
            "percentiles": list(self.percentiles),
        }

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make the reader again.

        Args:
            state: What `state` gave.
        """
        low, high = state["percentiles"]
        return cls(state["size"], state["spatial_dims"], (low, high))

    def _resize(self, array: Tensor) -> Tensor:
        mode = "bilinear" if self.spatial_dims == 2 else "trilinear"
        # Antialiasing exists for 2-D only; a volume is first averaged down by whole factors.
        if self.spatial_dims == 2:
            out = torch.nn.functional.interpolate(array[None, None], self.size, mode=mode, antialias=True)
        else:
            factors = [max(1, have // want) for have, want in zip(array.shape, self.size, strict=True)]
            out = torch.nn.functional.avg_pool3d(array[None, None], factors)
            out = torch.nn.functional.interpolate(out, self.size, mode=mode)
        return out[0].clamp(0, 1)

    def _raw(self, path: Path) -> np.ndarray[Any, np.dtype[np.float32]]:
        """The grey values as stored, or raise."""
        if not path.is_file():
            raise InputError(
                "the image is missing", path=path, remedy="Put it back, or import the cohort again"
            )
        name = path.name.lower()
        read = (
            self._volume
            if name.endswith(_VOLUMES)
            else self._dicom
            if name.endswith(".dcm")
            else self._picture
        )
        array = read(path)
        if array.ndim != self.spatial_dims or 0 in array.shape:
            raise InputError(
                f"the image has shape {array.shape} where {self.spatial_dims} dimensions are wanted",
                path=path,
                remedy="Set spatial_dims to what the files hold",
            )
        bad = int((~np.isfinite(array)).sum())
        if bad:
            self.counts["images with pixels that are no number, read as 0"] += 1
            array = np.nan_to_num(array, nan=0.0, posinf=0.0, neginf=0.0)
        return array

    def _picture(self, path: Path) -> np.ndarray[Any, np.dtype[np.float32]]:
        try:
            with Image.open(path) as opened:
                if getattr(opened, "n_frames", 1) > 1:
                    self.counts["several frames, first read"] += 1
                image = ImageOps.exif_transpose(opened)
                if image.mode not in ("L", "1", "I", "F") and not image.mode.startswith("I;16"):
                    self.counts["colour made grey"] += 1
                    image = image.convert("L")
                return np.asarray(image, dtype=np.float32)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise InputError(
                f"the image cannot be read ({type(error).__name__})",
                path=path,
                remedy="Replace it by a whole PNG, JPEG or TIFF, or drop it from the cohort",
            ) from error

    def _dicom(self, path: Path) -> np.ndarray[Any, np.dtype[np.float32]]:
        """The grey values as a viewer shows them; where several frames are not wanted, those of the first."""
        array = read_grey(path).astype(np.float32)
        if array.ndim == 3 and self.spatial_dims == 2:
            self.counts["several frames, first read"] += 1
            return array[0]
        return array

    def _volume(self, path: Path) -> np.ndarray[Any, np.dtype[np.float32]]:
        with reading_volume(path):
            if path.suffix.lower() == ".npy":
                return np.load(path, allow_pickle=False).astype(np.float32)
            nibabel = nibabel_for(path)
            image = nibabel.as_closest_canonical(nibabel.load(path))
            # Stored as (right, anterior, superior); read as (depth from below, height from the front, width).
            return np.transpose(np.asarray(image.dataobj, dtype=np.float32))
