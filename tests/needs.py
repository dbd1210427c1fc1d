"""What a test needs of the machine: without it the test skips with a reason, and fails where all must run."""

from __future__ import annotations

import importlib
import os
import shutil
from types import ModuleType
from typing import NoReturn

import pytest


def missing(reason: str) -> NoReturn:
    """Skip the test; fail it where MHDIFF_SHARED_REQUIRED=1 says that nothing may be missing."""
    if os.environ.get("MHDIFF_SHARED_REQUIRED") == "1":
        pytest.fail(reason)
    pytest.skip(reason, allow_module_level=True)


def module(name: str) -> ModuleType:
    """Import what an extra brings."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        missing(f"{name} is not installed, which an extra of pyproject.toml brings")


def find_chromium() -> str:
    """Give the path of a Chromium."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name)
        if found is not None:
            return found
    missing("no Chromium on this machine")
