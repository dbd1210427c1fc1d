"""How fast radiographs are read, against Pillow alone, and what an epoch costs once `data.cache_images` holds them.

    python -m benchmarks.bench_images [--images 300] [--side 1024] [--runs 3]

Pillow decodes the same JPEG files and resizes them, bilinear, to 224 x 224; ours reads, clips between percentiles and
resizes with antialiasing. An epoch walks all batches of a `SampleDataset`, as training does. Each figure is taken in a
process of its own, with one thread.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.measure import Figure, Limit, Result, Stopwatch, alternate, child, median, run, spread, table

_MODULE = "benchmarks.bench_images"
SIZE, BATCH = 224, 32
CACHED = Limit(20, 100, "x faster", more_is_better=True)


def made(root: Path, images: Path, side: Path) -> Result:
    """Grey JPEG files of smooth shades and some noise, the same on every machine."""
    from PIL import Image

    pixels = int(str(side))
    (root / "images").mkdir()
    with Stopwatch() as watch:
        for number in range(int(str(images))):
            draw = np.random.default_rng([0, number])
            coarse = Image.fromarray(draw.integers(0, 256, (16, 16), dtype=np.uint8))
            smooth = np.asarray(coarse.resize((pixels, pixels), Image.Resampling.BICUBIC), dtype=np.float32)
            grey = np.clip(smooth + draw.normal(0, 6, smooth.shape), 0, 255).astype(np.uint8)
            Image.fromarray(grey).save(root / "images" / f"{number:05d}.jpg", quality=90)
    return watch.result()


def pillow(root: Path) -> Result:
    """Decode and resize by Pillow alone."""
    from PIL import Image

    held = np.empty((len(_files(root)), SIZE, SIZE), np.float32)
    with Stopwatch() as watch:
        for row, file in enumerate(_files(root)):
            with Image.open(file) as image:
                small = image.convert("L").resize((SIZE, SIZE), Image.Resampling.BILINEAR)
            held[row] = np.asarray(small, dtype=np.float32) / 255
    return watch.result()


def epochs(root: Path) -> Result:
    """An epoch that reads the files, and one over what is held of them."""
    import torch
    from torch import Tensor

    from graph_builders.tokens import TokenTable
    from mhdiff.encoders.preprocess_image import ImageReader
    from mhdiff.training.dataset import Files, SampleDataset

    torch.set_num_threads(1)
    files = _files(root)
    rows = range(len(files))
    none = TokenTable(*(torch.full((len(files), 1, 1), value) for value in (-1, 0.0, 0)))
    present = torch.ones(len(files), 1, dtype=torch.bool)
    read = Files(list(files), ImageReader(SIZE).transform)
    ids, labels = list(rows), [0] * len(files)

    def walked(dataset: SampleDataset) -> Iterator[Tensor]:
        return (batch.inputs["image"]["pixels"] for _, batch in dataset.batches(BATCH))

    with Stopwatch() as first:
        sums = [
            float(pixels.sum())
            for pixels in walked(SampleDataset(ids, labels, ["image"], present, {}, {"image": read}, none))
        ]
    held = SampleDataset(ids, labels, ["image"], present, {"image": read.of(rows, ids)}, {}, none)
    with Stopwatch() as second:
        again = [float(pixels.sum()) for pixels in walked(held)]
    if again != sums:
        raise RuntimeError("what is held is not what was read")
    return first.result(second=second.seconds, second_cpu=second.cpu)


def _files(root: Path) -> list[Path]:
    return sorted((root / "images").iterdir())


WORKS = {"made": made, "pillow": pillow, "epochs": epochs}


def measure(root: Path, images: int, side: int, runs: int) -> list[Figure]:
    """Take the figures.

    Args:
        root: An empty folder.
        images: How many files.
        side: Their height and width in pixels.
        runs: How often each work is done.
    """
    run(_MODULE, "made", root, Path(str(images)), Path(str(side)))
    found = alternate(
        runs,
        pillow=lambda: run(_MODULE, "pillow", root, one_core=True),
        epochs=lambda: run(_MODULE, "epochs", root, one_core=True),
    )
    peer, ours = found["pillow"], found["epochs"]
    # Each pair of epochs is of one process: the machine's speed cancels.
    gains = [r["cpu"] / r["second_cpu"] for r in ours]
    share = median(peer, "cpu") / median(ours, "cpu")
    what = f"{images:,} JPEG files of {side} x {side}"
    return [
        Figure(f"{what}: Pillow's decode and resize", _told(peer, images)),
        Figure("the first epoch, read by `ImageReader`", f"{_told(ours, images)}; {share:.2f} x Pillow's images/s"),
        Figure("the second epoch, held", f"processor {spread(ours, 'second_cpu', 3)} s", median(gains), CACHED),
    ]  # fmt: skip


def _told(results: list[Result], images: int) -> str:
    return f"processor {spread(results, 'cpu')} s; {images / median(results, 'cpu'):,.0f} images/s"


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--side", type=int, default=1024, help="height and width of the files in pixels")
    parser.add_argument("--runs", type=int, default=3, help="how often each work is done")
    parser.add_argument("--root", help="folder for the data; a temporary one by default")
    parser.add_argument("--child", nargs="+")
    given = parser.parse_args(arguments)
    if given.child:
        child(WORKS, given.child)
        return
    with tempfile.TemporaryDirectory(dir=given.root) as name:
        print(table(measure(Path(name), given.images, given.side, given.runs)))


if __name__ == "__main__":
    main(sys.argv[1:])
