"""Peak memory of a block, also where blocks are nested."""

from __future__ import annotations

import mmap
import sys

import pytest

from mhdiff.stages import Peak

MIB = 1 << 20


def touch(mib: int) -> None:
    """Use so much memory, and give it back.

    Mapped and unmapped here: what malloc frees stays resident wherever it came from the heap, and glibc takes ever
    larger pieces from there once larger ones were freed (`M_MMAP_THRESHOLD` is dynamic), as tests before this one do.
    """
    with mmap.mmap(-1, mib * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as held:
        held[:: mmap.PAGESIZE] = b"1" * (mib * MIB // mmap.PAGESIZE)


def can_reset() -> bool:
    try:
        with open("/proc/self/clear_refs", "w"):
            return True
    except OSError:
        return False


@pytest.mark.skipif(not can_reset(), reason=f"{sys.platform}: the peak is the process's")
def test_a_block_has_the_peak_of_what_ran_in_it():
    touch(200)
    with Peak() as outer:
        touch(90)
        with Peak() as inner:
            touch(30)
        with Peak() as large:
            touch(150)
    with Peak() as little:
        touch(1)
    assert 15 < inner.mib - little.mib < 80
    assert 120 < large.mib - little.mib < 200
    assert outer.mib >= large.mib > inner.mib > little.mib > 0
