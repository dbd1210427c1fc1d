"""What a cache of images holds, reader by reader, and taking it away."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from mhdiff.image_cache.folder import FACTS, is_cache, sizes_below
from ontology.errors import InputError


@dataclass(frozen=True)
class Shelf:
    """What one reader, with its settings and the code of one time, has made.

    Attributes:
        name: The folder's name.
        reader: The reader's class, as `reader.json` says it; "" where that is lost.
        settings: Its settings.
        images: How many are kept.
        mib: Their size.
        used: When a training last opened it, ISO 8601 in UTC; "" where that is lost.
    """

    name: str
    reader: str
    settings: dict[str, Any]
    images: int
    mib: float
    used: str


def contents(folder: Path) -> list[Shelf]:
    """List what a cache holds, what was used last first.

    Args:
        folder: The cache's folder.

    Raises:
        InputError: If it is none.
    """
    if not is_cache(folder):
        raise InputError(
            "this is no cache of images", path=folder, remedy="Give the folder that data.image_cache names"
        )
    shelves = [
        _shelf(place) for place in sorted(folder.iterdir()) if place.is_dir() and len(place.name) == 32
    ]
    return sorted(shelves, key=lambda shelf: shelf.used, reverse=True)


def clear(folder: Path, unused: float = 0) -> list[Shelf]:
    """Take away what readers have made that no training has opened for some days.

    A training that is using it goes on, and reads its images anew.

    Args:
        folder: The cache's folder.
        unused: Days; 0 takes all.

    Returns:
        What was taken away.

    Raises:
        InputError: If the folder is no cache, or something cannot be removed.
    """
    before = (datetime.now(UTC) - timedelta(days=unused)).isoformat(timespec="seconds")
    found = contents(folder)
    old = [shelf for shelf in found if unused <= 0 or shelf.used < before]
    try:
        for shelf in old:
            shutil.rmtree(folder / shelf.name)
        if len(old) == len(found) and (folder / "files").is_dir():
            shutil.rmtree(folder / "files")  # names of contents that nothing is kept of
    except OSError as error:
        raise InputError(
            f"the cache cannot be cleared ({error.strerror})", path=folder, remedy="Ask who may write there"
        ) from error
    return old


def as_dict(shelves: list[Shelf]) -> list[dict[str, Any]]:
    """Give shelves as plain data.

    Args:
        shelves: What `contents` or `clear` gave.
    """
    return [asdict(shelf) for shelf in shelves]


def text(shelves: list[Shelf]) -> str:
    """Tell shelves in lines.

    Args:
        shelves: What `contents` or `clear` gave.
    """
    lines = [
        f"{shelf.name[:8]}  {shelf.images:>9,} images  {shelf.mib:>9,.1f} MiB  used {shelf.used or 'at no known time'}"
        f"  {shelf.reader.rpartition('.')[2] or 'reader not known'} {json.dumps(shelf.settings)}"
        for shelf in shelves
    ]
    total = sum(shelf.mib for shelf in shelves)
    return "\n".join([*lines, f"{sum(shelf.images for shelf in shelves):,} images, {total:,.1f} MiB"])


def _shelf(place: Path) -> Shelf:
    facts: Any = None
    used = ""
    try:
        at = (place / FACTS).stat().st_mtime
        used = datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
        facts = json.loads((place / FACTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        pass
    facts = facts if isinstance(facts, dict) else {}
    sizes = [size for name, size in sizes_below(place) if name != FACTS]
    settings = {key: value for key, value in dict(facts.get("state", {})).items() if key != "kind"}
    mib = round(sum(sizes) / (1 << 20), 1)
    return Shelf(place.name, str(facts.get("reader", "")), settings, len(sizes), mib, used)
