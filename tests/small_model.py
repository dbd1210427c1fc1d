"""A whole model at toy size and a batch for it, without any data."""

from __future__ import annotations

from functools import partial

import torch
from torch_geometric.nn import SAGEConv

from graph_builders import ConceptGraph
from mhdiff.batch import Batch, EvidenceBatch
from mhdiff.diffusion import DiffusionPrior, ResidualMLP
from mhdiff.encoders.specs import CodeSpec, ImageSpec, LabSpec, TextSpec
from mhdiff.fusion.fusion import CrossModalFusion
from mhdiff.guidance import MessagePassing
from mhdiff.training.module import Diagnosis
from mhdiff.training.spec import DataSpec

MODALITIES = ["image", "note", "labs", "codes"]
CONCEPTS, CLASSES, SLOTS, DIM = 12, 3, 3, 16
COUNTS = (40, 8, 2)  # of the classes in the training split


def concept_graph(seed: int = 0) -> ConceptGraph:
    generator = torch.Generator().manual_seed(seed)
    parent = torch.stack(
        [torch.arange(1, CONCEPTS), torch.randint(0, 4, (CONCEPTS - 1,), generator=generator)]
    )
    site = torch.tensor([[5, 6, 7], [0, 1, 1]])
    edges = {
        "is_a": parent,
        "rev_is_a": parent.flip(0),
        "finding_site": site,
        "rev_finding_site": site.flip(0),
    }
    return ConceptGraph(CONCEPTS, edges, tuple(MODALITIES))


def spec(graph: ConceptGraph | None = None) -> DataSpec:
    inputs = {
        "image": ImageSpec(1, (16, 16)),
        "note": TextSpec(30, 0, 4, 2, 3, 10),
        "labs": LabSpec(("a", "b", "c")),
        "codes": CodeSpec(6),
    }
    return DataSpec(MODALITIES, inputs, ["x", "y", "z"], graph or concept_graph(), COUNTS)


def batch(size: int = 5, seed: int = 0, present: torch.Tensor | None = None) -> Batch:
    g = torch.Generator().manual_seed(seed)
    if present is None:
        present = torch.rand(size, len(MODALITIES), generator=g) > 0.3
        present[:, 2] = True
    concept = torch.randint(-1, CONCEPTS, (size, len(MODALITIES), SLOTS), generator=g)
    concept[:, 2, 0] = torch.arange(size) % CONCEPTS
    ids = torch.randint(5, 30, (size, 10), generator=g)
    ids[:, 0], ids[:, -1] = 2, 3
    measured = (torch.rand(size, 3, generator=g) > 0.3).float()
    inputs = {
        "image": {"pixels": torch.rand(size, 1, 16, 16, generator=g)},
        "note": {"input_ids": ids, "attention_mask": torch.ones_like(ids)},
        "labs": {"value": torch.randn(size, 3, generator=g) * measured, "measured": measured},
        "codes": {"weight": (torch.rand(size, 6, generator=g) > 0.5).float()},
    }
    evidence = EvidenceBatch(
        concept,
        torch.rand(concept.shape, generator=g) * 0.5 + 0.5,
        torch.randint(0, 5, concept.shape, generator=g),
    )
    return Batch(torch.arange(size), present, inputs, evidence, torch.arange(size) % CLASSES)


def module(graph: ConceptGraph | None = None, **options) -> Diagnosis:
    from mhdiff.encoders.image import ResNet
    from mhdiff.encoders.structured import CodeEncoder, LabEncoder
    from mhdiff.encoders.text import SmallBert

    torch.manual_seed(0)
    settings = {
        "encoders": {
            "image": lambda s, d: ResNet(s, d, depth=10, width=4),
            "note": lambda s, d: SmallBert(s, d, layers=1, heads=2),
            "labs": LabEncoder,
            "codes": CodeEncoder,
        },
        "guidance": lambda g, d, h: MessagePassing(g, d, h, conv=SAGEConv, layers=2),
        "fusion": CrossModalFusion,
        "prior": lambda d, m, c: DiffusionPrior(d, m, c, backbone=partial(ResidualMLP, width=32, depth=2)),
        "dim": DIM,
        "heads": 2,
    } | options
    built = Diagnosis(**settings)
    built.build(spec(graph))
    return built
