"""A task that notes with how many threads, and in which process, each cell is computed."""

import os
from dataclasses import dataclass
from pathlib import Path

import torch

from mhdiff.ablate.cells import Cell


@dataclass(frozen=True)
class Note:
    folder: Path

    def __call__(self, cell):
        (self.folder / cell.key).write_text(f"{torch.get_num_threads()} {os.getpid()}")


def cells(number):
    return [Cell("arm", fold, 1, (), f"key{fold}") for fold in range(number)]


def told(folder):
    """Threads and processes of all cells."""
    pairs = [tuple(map(int, file.read_text().split())) for file in sorted(folder.glob("key*"))]
    return [threads for threads, _ in pairs], {process for _, process in pairs}
