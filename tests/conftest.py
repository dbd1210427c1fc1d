"""Fixtures that every test may use."""

import os
from pathlib import Path

import pytest

from tests.needs import find_chromium, missing


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data beside the checkout, or MHDIFF_SHARED."""
    given = os.environ.get("MHDIFF_SHARED")
    path = Path(given) if given else Path(__file__).resolve().parent.parent.parent / "shared"
    if not (path / "data").is_dir():
        missing(f"no real data at {path}; set MHDIFF_SHARED")
    return path


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium, for pages and pictures that are looked at in a real browser."""
    return find_chromium()
