"""Reading volumes such as brain MRI by MONAI's transforms: one orientation, one spacing, one range, one size.

    Orientation RAS  ->  Spacing (mm a voxel)  ->  percentiles of the volume become 0 and 1  ->  pad or crop to size

`ImageReader` with three dimensions stretches every volume to its size; here a voxel has the same extent in millimetres
in everybody, and what does not fit is cut off around the middle. Nothing is fitted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mhdiff.cohort.volume_files import nibabel_for, reading_volume
from mhdiff.encoders.preprocess import FileReader, State
from mhdiff.encoders.specs import ImageSpec
from ontology.errors import InputError

_AXES = ("LR", "AP", "IS")


class VolumeReader(FileReader):
    """Reads NIfTI volumes.

    Args:
        size: Extent along right, anterior and superior in voxels; one number for all.
        spacing: Millimetres a voxel along each; one number for all.
        orientation: Where the axes point, as three letters of L/R, A/P, I/S.
        percentiles: The two percentiles that become 0 and 1; what lies beyond is clipped.
    """

    relies_on: ClassVar = ("numpy", "torch", "nibabel", "monai")

    def __init__(
        self,
        size: int | Sequence[int] = 96,
        spacing: float | Sequence[float] = 2.0,
        orientation: str = "RAS",
        percentiles: tuple[float, float] = (0.5, 99.5),
    ) -> None:
        extent = (size,) * 3 if isinstance(size, int) else tuple(size)
        step = (float(spacing),) * 3 if isinstance(spacing, (int, float)) else tuple(map(float, spacing))
        if len(extent) != 3 or min(extent) < 8 or len(step) != 3 or min(step) <= 0:
            raise InputError(
                f"a volume of size {extent} and spacing {step} cannot be read",
                remedy="Give one or three sizes of at least 8 voxels, and one or three spacings above 0 mm",
            )
        axes = [next((n for n, pair in enumerate(_AXES) if letter in pair), -1) for letter in orientation]
        if sorted(axes) != [0, 1, 2]:
            raise InputError(f"'{orientation}' is no orientation", remedy="Give three letters such as RAS")
        self.size, self.spacing, self.orientation, self.percentiles = extent, step, orientation, percentiles
        self.counts: Counter[str] = Counter()

    @property
    def spec(self) -> ImageSpec:
        """What the encoder must know."""
        return ImageSpec(channels=1, size=self.size, spatial_dims=3)

    @property
    def report(self) -> dict[str, int]:  # type: ignore[override]
        """How many volumes were read since the reader was made."""
        return dict(self.counts)

    def stands_alone(self, path: Path) -> bool:
        """Say so of NIfTI; the older forms that nibabel reads have their header in a file beside it."""
        return path.name.lower().endswith((".nii", ".nii.gz"))

    def recount(self, report: Mapping[str, int]) -> None:
        """Take in what was counted before, see `FileReader.recount`."""
        self.counts.update(report)

    @cached_property
    def _steps(self) -> Any:
        from monai import transforms as t

        low, high = self.percentiles
        return t.Compose(
            [
                t.Orientation(axcodes=self.orientation, labels=None),
                t.Spacing(pixdim=self.spacing, mode="bilinear"),
                t.ScaleIntensityRangePercentiles(low, high, b_min=0.0, b_max=1.0, clip=True),
                t.ResizeWithPadOrCrop(self.size),
            ]
        )

    def transform(self, paths: Sequence[str | Path | None]) -> dict[str, Tensor]:
        """Read one volume a sample.

        Args:
            paths: The files; None where a sample has no volume, which gives zeros.

        Returns:
            `pixels`, float32 `[samples, 1, *size]` in [0, 1].

        Raises:
            InputError: If a file is missing, cut short or no volume.
        """
        pixels = torch.zeros(len(paths), 1, *self.size)
        for row, path in enumerate(paths):
            if path is None:
                self.counts["absent"] += 1
            else:
                pixels[row] = self.read(path)
        return {"pixels": pixels}

    def read(self, path: str | Path) -> Float[Tensor, "channel right anterior superior"]:
        """Read one volume.

        Args:
            path: The file.

        Returns:
            Voxels in [0, 1].

        Raises:
            InputError: If the file is missing, cut short or no volume.
        """
        place = Path(path)
        if not place.is_file():
            raise InputError(
                "the volume is missing", path=place, remedy="Put it back, or import the cohort again"
            )
        nibabel = nibabel_for(place)
        with reading_volume(place):
            image = nibabel.load(place)
            raw = np.asarray(image.dataobj, dtype=np.float32)
        if raw.ndim != 3 or min(raw.shape) < 2:
            raise InputError(
                f"the volume has shape {raw.shape}", path=place, remedy="Give volumes of three dimensions"
            )
        self.counts["read"] += 1
        if not np.isfinite(raw).all():
            self.counts["volumes with voxels that are no number, read as 0"] += 1
            raw = np.nan_to_num(raw, nan=0.0, posinf=0.0, neginf=0.0)
        with reading_volume(place):  # its axes or its spacing may be none
            return self._made(raw, image.affine)

    def _made(
        self, raw: Float[np.ndarray, "i j k"], affine: Float[np.ndarray, "4 4"]
    ) -> Float[Tensor, "channel right anterior superior"]:
        if raw.max() == raw.min():  # there is no range to bring to [0, 1]
            self.counts["one grey value everywhere"] += 1
            return torch.zeros(1, *self.size)
        from monai.data import MetaTensor

        volume = MetaTensor(torch.from_numpy(raw)[None], affine=torch.from_numpy(affine))
        return self._steps(volume).as_tensor().to(torch.float32).clamp(0, 1)

    def state(self) -> State:
        """Give the settings."""
        return {
            "kind": "VolumeReader",
            "size": list(self.size),
            "spacing": list(self.spacing),
            "orientation": self.orientation,
            "percentiles": list(self.percentiles),
        }

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make the reader again.

        Args:
            state: What `state` gave.
        """
        low, high = state["percentiles"]
        return cls(state["size"], state["spacing"], state["orientation"], (low, high))
