"""Fixtures that every test may use."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data beside the checkout, or MHDIFF_SHARED."""
    given = os.environ.get("MHDIFF_SHARED")
    path = Path(given) if given else Path(__file__).resolve().parent.parent.parent / "shared"
    if not (path / "data").is_dir():
        reason = f"no real data at {path}; set MHDIFF_SHARED"
        if os.environ.get("MHDIFF_SHARED_REQUIRED") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return path
