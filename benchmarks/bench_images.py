"""How fast radiographs are read, against Pillow alone, and what an epoch costs once they are held or kept.

    python -m benchmarks.bench_images [--images 400] [--sizes 2544x3056 ...] [--runs 3]

Pillow decodes the same JPEG files and resizes them, bilinear, to 224 x 224; ours reads, clips between percentiles and
resizes with antialiasing. An epoch walks all batches of a `SampleDataset`, as training does. Each figure is taken in a
process of its own, with one thread:

- `held`: a first epoch that reads the files, and in the same process one over what `data.cache_images` holds of them;
- `begun`: a first epoch with an empty `data.image_cache`, which reads and writes;
- `kept`: the next epoch, in a new process that reads from that folder. Files have not changed since the last one, so
  that their bytes are not read;
- `copied`: the same for files that the cache has not seen at this place: their bytes are read to know their content.

All give the same pixels, which is compared.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.measure import Figure, Limit, Result, Stopwatch, alternate, child, median, run, spread, table

if TYPE_CHECKING:
    from mhdiff.training.dataset import Files, SampleDataset

_MODULE = "benchmarks.bench_images"
SIZE, BATCH = 224, 32
#: Height and width of plates and detectors of chest radiographs, dealt in turn.
SIZES = ("3056x2544", "2544x3056", "2500x2048", "1024x1024")
SECOND = Limit(20, 100, "x faster", more_is_better=True)


def made(root: Path, images: Path, *sizes: Path) -> Result:
    """Grey JPEG files of smooth shades and some noise, the same on every machine."""
    from PIL import Image

    (root / "images").mkdir()
    with Stopwatch() as watch:
        for number in range(int(str(images))):
            height, width = map(int, str(sizes[number % len(sizes)]).split("x"))
            draw = np.random.default_rng([0, number])
            coarse = Image.fromarray(draw.integers(0, 256, (16, 16), dtype=np.uint8))
            smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float32)
            grey = np.clip(smooth + 6 * draw.standard_normal(smooth.shape, dtype=np.float32), 0, 255)
            Image.fromarray(grey.astype(np.uint8)).save(root / "images" / f"{number:05d}.jpg", quality=90)
    return watch.result(bytes=sum(file.stat().st_size for file in _files(root)))


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


def held(root: Path) -> Result:
    """An epoch that reads the files, and one over what is held of them in memory."""
    from mhdiff.encoders.preprocess_image import ImageReader

    files = _read(root, ImageReader(SIZE).transform)
    unread = _dataset({}, {"image": files})  # imports come before the watch
    with Stopwatch() as first:
        pixels = _walked(unread)
    rows = range(len(files.paths))
    dataset = _dataset({"image": files.of(rows, list(rows))}, {})
    with Stopwatch() as second:
        again = _walked(dataset)
    if again != pixels:
        raise RuntimeError("what is held is not what was read")
    return first.result(second=second.seconds, second_cpu=second.cpu, pixels=pixels)


def kept(root: Path) -> Result:
    """An epoch with what a folder keeps, which may be nothing yet."""
    from mhdiff.encoders.preprocess_image import ImageReader
    from mhdiff.image_cache.cache import ImageCache

    _dataset({}, {"image": _read(root, None)})  # imports come before the watch
    with Stopwatch() as watch:
        read = ImageCache(root / "cache").reading(ImageReader(SIZE))
        pixels = _walked(_dataset({}, {"image": _read(root, read)}))
    return watch.result(pixels=pixels)


def _read(root: Path, read: object) -> Files:
    from mhdiff.training.dataset import Files

    return Files(list(_files(root)), read)  # type: ignore[arg-type]


def _dataset(tensors: dict[str, object], files: dict[str, Files]) -> SampleDataset:
    """Samples of one modality and no evidence."""
    import torch

    from graph_builders.tokens import TokenTable
    from mhdiff.training.dataset import SampleDataset

    torch.set_num_threads(1)
    many = len(files["image"].paths) if files else len(tensors["image"]["pixels"])  # type: ignore[index]
    none = TokenTable(*(torch.full((many, 1, 1), value) for value in (-1, 0.0, 0)))
    present = torch.ones(many, 1, dtype=torch.bool)
    return SampleDataset(range(many), [0] * many, ["image"], present, tensors, files, none)  # type: ignore[arg-type]


def _walked(dataset: SampleDataset) -> str:
    """Walk an epoch, and name all its pixels."""
    digest = hashlib.sha256()
    for _, batch in dataset.batches(BATCH):
        # A sum a batch, so that every pixel is touched and naming them costs nothing.
        digest.update(batch.inputs["image"]["pixels"].double().sum((1, 2, 3)).numpy().tobytes())
    return digest.hexdigest()


def _files(root: Path) -> list[Path]:
    return sorted((root / "images").iterdir())


WORKS = {"made": made, "pillow": pillow, "held": held, "kept": kept}


def measure(root: Path, images: int, sizes: tuple[str, ...], runs: int, rest: float = 6.0) -> list[Figure]:
    """Take the figures.

    Args:
        root: An empty folder.
        images: How many files.
        sizes: Their heights and widths in pixels, dealt in turn.
        runs: How often each work is done.
        rest: Seconds after which files count as settled, see `mhdiff.image_cache.cache`.
    """
    about = run(_MODULE, "made", root, Path(str(images)), *map(Path, sizes))
    time.sleep(rest)

    def begun() -> Result:
        shutil.rmtree(root / "cache", ignore_errors=True)
        return run(_MODULE, "kept", root, one_core=True)

    def copied() -> Result:
        for file in _files(root):
            file.chmod(file.stat().st_mode)  # a change that is none: the time of it is another
        time.sleep(rest)
        return run(_MODULE, "kept", root, one_core=True)

    found = alternate(
        runs,
        pillow=lambda: run(_MODULE, "pillow", root, one_core=True),
        held=lambda: run(_MODULE, "held", root, one_core=True),
        begun=begun,
        kept=lambda: run(_MODULE, "kept", root, one_core=True),
        copied=copied,
    )
    if (
        len({result["pixels"] for name, results in found.items() for result in results if name != "pillow"})
        != 1
    ):
        raise RuntimeError("what is kept is not what was read")
    peer, first = found["pillow"], found["begun"]

    def against(results: list[Result]) -> str:
        return f"{_told(results, images)}; {median(peer, 'cpu') / median(results, 'cpu'):.2f} x Pillow's images/s"

    def gain(name: str) -> float:
        """How much faster than the first epoch of the same turn."""
        return median([a["cpu"] / b["cpu"] for a, b in zip(first, found[name], strict=True)])

    memory = found["held"]
    what = f"{images:,} JPEG files ({', '.join(sizes)}; {about['bytes'] / images / 1e6:.2f} MB each)"
    return [
        Figure(f"{what}: Pillow's decode and resize", _told(peer, images)),
        Figure("the first epoch, read by `ImageReader`", against(memory)),
        Figure("the first epoch with an empty `data.image_cache`", against(first)),
        Figure("the next epoch in a new process", against(found["kept"]), gain("kept"), SECOND),
        Figure("the same, and the files' bytes are read", against(found["copied"]), gain("copied"), SECOND),
        Figure("the second epoch, held by `data.cache_images`", f"processor {spread(memory, 'second_cpu', 3)} s",
               median([r["cpu"] / r["second_cpu"] for r in memory]), SECOND),
    ]  # fmt: skip


def _told(results: list[Result], images: int) -> str:
    rate = images / median(results, "cpu")
    return f"{spread(results)} s; processor {spread(results, 'cpu')} s; {rate:,.0f} images/s"


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument(
        "--sizes", nargs="+", default=SIZES, help="height x width of the files in pixels, dealt in turn"
    )
    parser.add_argument("--runs", type=int, default=3, help="how often each work is done")
    parser.add_argument("--root", help="folder for the data; a temporary one by default")
    parser.add_argument("--child", nargs="+")
    given = parser.parse_args(arguments)
    if given.child:
        child(WORKS, given.child)
        return
    with tempfile.TemporaryDirectory(dir=given.root) as name:
        print(table(measure(Path(name), given.images, tuple(given.sizes), given.runs)))


if __name__ == "__main__":
    main(sys.argv[1:])
