"""What `torch.compile` makes of fusion, prior and head gives what they give as they are."""

from __future__ import annotations

import shutil

import pytest
import torch
from torch import nn

from benchmarks.core import Core, Given, Settings, given
from tests.needs import missing


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_compiled_the_core_gives_the_same_logits_loss_and_gradients(backend):
    """Captured as one graph, without a break; the slow one is also translated into C++."""
    if backend == "inductor" and not any(shutil.which(name) for name in ("c++", "g++", "clang++")):
        missing("no C++ compiler on this machine, which torch.compile needs")
    torch.manual_seed(0)
    settings = Settings(width=16, heads=2, batch=5, depth=1)
    core = Core(settings).double()  # so that what the order of sums does to the last digits is no matter
    handed = Given(
        *(t.detach().double().requires_grad_() if t.is_floating_point() else t for t in given(settings))
    )
    learned = [p for p in core.parameters() if p.requires_grad]

    def results(step):
        torch.manual_seed(1)
        logits, loss = step(handed)
        total = nn.functional.cross_entropy(logits, handed.label) + loss
        gradients = torch.autograd.grad(total, [*learned, *handed[:5]], allow_unused=True)
        return logits, loss, *(g for g in gradients if g is not None)

    torch._dynamo.reset()
    with torch._inductor.config.patch(fallback_random=True):  # the prior's noise must be the same
        eager, compiled = results(core), results(torch.compile(core, fullgraph=True, backend=backend))
    torch.testing.assert_close(compiled, eager, rtol=1e-6, atol=1e-9)
