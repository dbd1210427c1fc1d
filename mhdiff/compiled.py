"""`model.compile`: fusion, the prior's networks and the head translated by `torch.compile`, in place.

In place means that parameters keep their names: checkpoints and exported models of compiled runs are those of others.
Sizes are symbols, so the last batch, and batches with more concepts, need no translation of their own. Random numbers
are drawn as they are without it, so a compiled run differs from another by rounding alone.
"""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import torch

from mhdiff import console

if TYPE_CHECKING:
    from mhdiff.model import MHDiff

#: What torch.compile translates with, see its documentation.
BACKEND = "inductor"
_COMPILERS = (os.environ.get("CXX", "c++"), "g++", "clang++", "cl")


def compile_core(net: MHDiff) -> None:
    """Translate what stands behind the encoders when it is next asked; what was translated before stays.

    Without a C++ compiler nothing is translated, which is said: the results are the same.

    Args:
        net: The model.
    """
    if BACKEND == "inductor" and not any(shutil.which(name) for name in _COMPILERS):
        console.say(
            "model.compile needs a C++ compiler such as g++, and there is none: nothing is translated"
        )
        return
    options = {"fallback_random": True} if BACKEND == "inductor" else None
    for part in (net.fusion, *net.prior.networks, net.head):
        if part._compiled_call_impl is None:
            part.compile(backend=BACKEND, dynamic=True, options=options)


def as_written() -> AbstractContextManager[object]:
    """A context in which what is translated runs as it is written: for gradients of gradients and of many at once."""
    if "torch._dynamo" not in sys.modules:  # nothing is translated, and loading it takes seconds
        return nullcontext()
    context: AbstractContextManager[object] = torch.compiler.set_stance("force_eager")
    return context
