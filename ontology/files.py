"""Writing files and folders so that a reader sees the old version or the new one, never half of one."""

from __future__ import annotations

import ctypes
import glob
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ontology.errors import InputError


@contextmanager
def atomic_directory(path: str | Path, *, marker: str | None = None) -> Iterator[Path]:
    """Give a temporary folder beside `path`, and put it in `path`'s place when the block ends well.

    Args:
        path: The folder to make or to replace.
        marker: Name of a file that shows that an existing folder is one of ours. A folder that is not empty
            and has no such file is never replaced.

    Yields:
        The temporary folder to write into.

    Raises:
        InputError: If `path` is a file, or a folder of somebody else's.
    """
    target = Path(path).absolute()
    if target.is_file():
        raise InputError(
            "a file stands where the folder should go", path=target, remedy="Choose another --out"
        )
    if marker and target.is_dir() and any(target.iterdir()) and not (target / marker).exists():
        raise InputError(
            f"the folder is not empty and holds no {marker}, so it is not replaced",
            path=target,
            remedy="Choose another --out or empty the folder yourself",
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    _sweep(target)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.new-{os.getpid()}-", dir=target.parent))
    temporary.chmod(0o755)
    try:
        yield temporary
        if not target.exists():
            os.replace(temporary, target)
        elif _exchange(temporary, target):
            shutil.rmtree(temporary)
        else:
            old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old-{os.getpid()}-", dir=target.parent))
            os.replace(target, old)
            os.replace(temporary, target)
            shutil.rmtree(old)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


@contextmanager
def scratch_directory(path: str | Path) -> Iterator[Path]:
    """Give a temporary folder beside where a folder is going to be written, and remove it when the block ends.

    What a killed process left there is removed by the next `atomic_directory` or `scratch_directory` of the same path.

    Args:
        path: The folder that is going to be written.

    Yields:
        The temporary folder.

    Raises:
        InputError: If `path` is a file.
    """
    target = Path(path).absolute()
    if target.is_file():
        raise InputError(
            "a file stands where the folder should go", path=target, remedy="Choose another --out"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    _sweep(target)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.new-{os.getpid()}-", dir=target.parent))
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


def _exchange(one: Path, other: Path) -> bool:
    """Let two folders change places in one step, so that no moment is without either; False where that cannot be done.

    Linux has `renameat2` for it. Elsewhere two renames follow each other, and a kill between them leaves the old folder
    under its temporary name.
    """
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    return bool(
        rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), ctypes.c_uint(_RENAME_EXCHANGE))
        == 0
    )


def _sweep(target: Path) -> None:
    """Remove what a killed writer left beside the folder: temporary folders of processes that are no more."""
    for left in target.parent.glob(f".{glob.escape(target.name)}.new-*"):
        process = left.name.rpartition(".new-")[2].partition("-")[0]
        if process.isdecimal() and int(process) != os.getpid() and not _alive(int(process)):
            shutil.rmtree(left, ignore_errors=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def atomic_write(path: str | Path, content: str | bytes) -> None:
    """Write a file whole or not at all.

    Args:
        path: The file.
        content: Its text (UTF-8) or bytes.
    """
    target = Path(path).absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(name, 0o644)
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def sha256(path: str | Path) -> str:
    """Give the SHA-256 of a file's bytes, in hexadecimal.

    Args:
        path: The file.
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checked(folder: Path) -> dict[str, dict[str, int | str]]:
    """Give size and SHA-256 of every file in a folder, and let everyone read them.

    Args:
        folder: The folder.

    Returns:
        By path in the folder, `bytes` and `sha256`.
    """
    found: dict[str, dict[str, int | str]] = {}
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        file.chmod(0o644)  # some libraries write files for their owner alone
        name = file.relative_to(folder).as_posix()
        found[name] = {"bytes": file.stat().st_size, "sha256": sha256(file)}
    return found
