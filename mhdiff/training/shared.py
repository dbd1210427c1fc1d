"""Several processes that train one model (DDP): one copy of the graph a machine, and each sample counts the same."""

from __future__ import annotations

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel


def leave_mapped(module: nn.Module) -> None:
    """Let DDP leave the buffers alone that are no part of a model's state.

    They are the graph: every process has opened the same one from the same file, and maps its pages. DDP would send
    them from the first process to the others before every step, and what it writes becomes a copy in each of them.

    Args:
        module: What DDP is going to wrap, whole.
    """
    names = [
        f"{place}.{name}" if place else name
        for place, part in module.named_modules()
        for name in sorted(part._non_persistent_buffers_set)
    ]
    DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(module, names)


def share_of_step(size: int, device: torch.device) -> float:
    """Give the factor by which a process's mean loss counts in the step, so that each sample counts the same.

    DDP averages over processes; where their batches differ in size, those in the smaller one would count for more.

    Args:
        size: Samples in this process's batch.
        device: Where the processes talk.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return 1.0
    total = torch.tensor(float(size), device=device)
    distributed.all_reduce(total)
    return size * distributed.get_world_size() / float(total)
