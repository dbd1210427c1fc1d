"""One patient of a run explained: attributions, the concepts found, and the paths that carried the bias.

What is attributed, and every probability, is of the diagnosis as the run makes it (`mhdiff.explain.settled`).

The bias between two modalities is told by the pairs of concepts whose contributions it is the sum of
(`mhdiff.explain.bias`), and each pair by a path through the graph that the model saw (`mhdiff.explain.paths`).
"""

from __future__ import annotations

from itertools import combinations
from pathlib import PurePosixPath
from typing import Any

import polars as pl
import torch
from torch import Tensor

from mhdiff.batch import Batch
from mhdiff.cohort.measurements import with_rewritten
from mhdiff.encoders.events import joined_text, latest_text
from mhdiff.encoders.preprocess_image import ImageReader
from mhdiff.encoders.preprocess_structured import CodeTable, LabTable
from mhdiff.encoders.preprocess_text import TextPreprocessor
from mhdiff.explain.bias import between, contributions
from mhdiff.explain.explanation import (
    CodeValue,
    ConceptEvidence,
    Explanation,
    ImageView,
    LabValue,
    ModalityShare,
    OntologyPath,
    PathStep,
)
from mhdiff.explain.modalities import modality_shapley
from mhdiff.explain.model import ModelAttribution, attribute
from mhdiff.explain.paths import PathTeller
from mhdiff.explain.pixels import base64_png, overlay, png, relevance
from mhdiff.explain.settled import Settled
from mhdiff.explain.words import Word, words
from mhdiff.inference import Inference
from mhdiff.names import NodeNames
from mhdiff.training.data import MultimodalData
from mhdiff.training.module import Diagnosis
from ontology import Ontology
from ontology.errors import InputError
from ontology.recognise import POLARITIES

PATHS = 8  # paths that are told, the strongest first


def explain_sample(
    module: Diagnosis,
    data: MultimodalData,
    sample_id: int,
    steps: int = 32,
    inference: Inference | None = None,
) -> Explanation:
    """Explain one sample.

    Args:
        module: A trained module.
        data: Its data module, set up.
        sample_id: The sample.
        steps: Points on the path of integrated gradients, to begin with.
        inference: How the run diagnoses; by default by denoising at the prior's own time.

    Raises:
        InputError: If there is no such sample.
    """
    row = data.samples.filter(pl.col("sample_id") == sample_id)
    if row.is_empty():
        raise InputError(f"there is no sample {sample_id}", remedy="See predictions.parquet for the samples")
    dataset = data.dataset([row["split"][0]], [sample_id])
    net = module.net.cpu().eval()
    batch = dataset.collate([0])
    settled = Settled(net, inference or Inference())
    with torch.no_grad():
        features = net.features(batch)
    diagnosed = settled.diagnose(features, batch)
    probability = diagnosed.probabilities[0]
    predicted = int(probability.argmax())
    found = attribute(settled, batch, predicted, steps=steps)
    classes = data.spec.classes
    names = node_names(data)
    subject = int(row["subject_id"][0])
    return Explanation(
        sample_id=sample_id,
        subject_id=subject,
        label=classes[int(row["label"][0])],
        predicted=classes[predicted],
        probabilities=dict(zip(classes, probability.tolist(), strict=True)),
        way=settled.way_of(diagnosed, batch),
        posterior=_posterior(data, subject),
        target=classes[predicted],
        difference=float(found.difference[0]),
        completeness_gap=float(found.gap[0]),
        modalities=_modalities(settled, features, data, batch, found, predicted),
        labs=_labs(data, sample_id, found),
        codes=_codes(data, sample_id, found),
        concepts=_concepts(data, sample_id, batch, found, names),
        paths=_paths(net, data, batch, names),
        image=_image(data, sample_id, batch, found),
        **_note(data, sample_id, found),
    )


def node_names(data: MultimodalData) -> NodeNames:
    """Give names to the nodes of a run's graph.

    Args:
        data: Its data module, set up.
    """
    ontology = Ontology.open(data.ontology_path) if data.ontology_path else None
    return NodeNames([int(s) for s in data.graph.data["concept"].sctid.tolist()], ontology)


def _descriptions(data: MultimodalData) -> dict[str, dict[str, Any]]:
    codes = data.cohort.codes
    every = codes if data.analytes is None else with_rewritten(codes, data.analytes)
    return {row["code"]: row for row in every.iter_rows(named=True)}


def _posterior(data: MultimodalData, subject: int) -> dict[str, float] | None:
    path = data.cohort.path / "truth" / "posterior.parquet"
    if not path.exists():
        return None
    rows = pl.read_parquet(path).filter(
        (pl.col("subject_id") == subject) & (pl.col("pattern") == "+".join(data.offered))
    )
    if rows.is_empty():
        return None
    return {name: float(rows[f"p_{i}"][0]) for i, name in enumerate(data.spec.classes)}


def _modalities(
    settled: Settled,
    features: dict[str, Tensor],
    data: MultimodalData,
    batch: Batch,
    found: ModelAttribution,
    target: int,
) -> list[ModalityShare]:
    present = batch.present[0].tolist()

    def offered(subset: tuple[str, ...]) -> float:
        shown = batch.offering(torch.tensor([m in subset for m in data.modalities]))
        return float(settled.diagnose(features, shown).probabilities[0, target])

    shapley = modality_shapley(data.modalities, present, offered)
    return [
        ModalityShare(
            name=name,
            present=present[i],
            attribution=float(found.by_modality[0, i]),
            shapley=shapley[name],
            by_input=float(found.by_input[0, i]),
            by_evidence=float(found.by_evidence[0, i]),
        )
        for i, name in enumerate(data.modalities)
    ]


def _reader(data: MultimodalData, modality: str) -> Any:
    assert data.fitted is not None
    return data.fitted.preprocessors.get(modality)


def _events(data: MultimodalData, modality: str, sample_id: int) -> pl.DataFrame:
    return data.window.filter((pl.col("modality") == modality) & (pl.col("sample_id") == sample_id))


def _note(data: MultimodalData, sample_id: int, found: ModelAttribution) -> dict[str, Any]:
    tool = _reader(data, "note")
    if not isinstance(tool, TextPreprocessor):
        return {}
    note = joined_text(_events(data, "note", sample_id), [sample_id])[0]
    if note is None:
        return {}
    per_token = found.inputs["note"][0].sum(-1).tolist()
    marked: list[Word] = words(note, tool.tokens(note).offsets, per_token)[0]
    return {"note": note, "words": marked}


def _labs(data: MultimodalData, sample_id: int, found: ModelAttribution) -> list[LabValue]:
    tool = _reader(data, "labs")
    if not isinstance(tool, LabTable):
        return []
    known = _descriptions(data)
    share = dict(zip(tool.names, found.inputs["labs"][0].reshape(-1).tolist(), strict=False))
    latest = (
        _events(data, "labs", sample_id)
        .sort("time")
        .group_by("code", maintain_order=True)
        .last()
        .sort("code")
    )
    labs = []
    for event in latest.iter_rows(named=True):
        value, low, high = event["numeric_value"], event["ref_low"], event["ref_high"]
        if value is None:
            continue
        flag = "" if low is None and high is None else "normal"
        flag = (
            "low"
            if low is not None and value < low
            else "high"
            if high is not None and value > high
            else flag
        )
        about = known.get(event["code"], {})
        labs.append(
            LabValue(
                event["code"],
                about.get("description") or event["code"],
                float(value),
                event["unit"] or "",
                low,
                high,
                flag,
                share.get(tool.column_of(event)),
            )
        )
    return sorted(labs, key=lambda lab: -abs(lab.attribution or 0.0))


def _codes(data: MultimodalData, sample_id: int, found: ModelAttribution) -> list[CodeValue]:
    tool = _reader(data, "codes")
    if not isinstance(tool, CodeTable):
        return []
    known = _descriptions(data)
    share = found.inputs["codes"][0]
    column = {code: i for i, code in enumerate(tool.codes or [], start=1)}
    rows = []
    every = _events(data, "codes", sample_id).unique("code", keep="first", maintain_order=True)
    for code, parents in every.select("code", "parent_codes").iter_rows():
        read = tool.column_of(code, parents)
        seen = read is not None
        name = (known.get(code) or {}).get("description") or code
        rows.append(
            CodeValue(
                code,
                name if seen else f"{name} (not seen in training)",
                float(share[column[read]]) if read is not None else None,
            )
        )
    return sorted(rows, key=lambda code: -abs(code.attribution or 0.0))


def _concepts(
    data: MultimodalData, sample_id: int, batch: Batch, found: ModelAttribution, names: NodeNames
) -> list[ConceptEvidence]:
    table = data.graph.evidence.table.filter(pl.col("sample_id") == sample_id)
    concepts = []
    for m, modality in enumerate(data.modalities):
        for slot, node in enumerate(batch.evidence.concept[0, m].tolist()):
            if node < 0:
                continue
            sctid = names.sctids[node]
            polarity = POLARITIES[int(batch.evidence.polarity[0, m, slot])]
            source = table.filter(
                (pl.col("modality") == modality)
                & (pl.col("concept") == sctid)
                & (pl.col("polarity") == polarity)
            ).row(0, named=True)
            concepts.append(
                ConceptEvidence(
                    sctid,
                    names.fsn(sctid),
                    modality,
                    polarity,
                    float(batch.evidence.weight[0, m, slot]),
                    float(found.evidence[0, m, slot]),
                    source["source"] or "",
                    source["text"],
                    source["start"],
                    source["end"],
                )
            )
    return sorted(concepts, key=lambda concept: -abs(concept.attribution or 0.0))


def _paths(net: Any, data: MultimodalData, batch: Batch, names: NodeNames) -> list[OntologyPath]:
    parts = contributions(net, batch.evidence, batch.present)
    if parts is None:
        return []
    teller = PathTeller(net.guidance, data.graph.concept_graph())
    nodes = batch.evidence.concept[0].flatten().tolist()
    told: list[OntologyPath] = []
    for m, n in combinations(range(len(data.modalities)), 2):
        for pair in between(parts, batch.evidence, batch.present, m, n).pairs:
            a, b = nodes[pair.a], nodes[pair.b]
            steps = teller.path(a, b) if pair.contribution else None
            if steps is None:
                continue
            walked = [
                PathStep(names.node(s.node), s.relation.replace("_", " "), names.node(s.next_node), s.forward)
                for s in steps
            ]
            told.append(
                OntologyPath(
                    names.node(a),
                    names.node(b),
                    data.modalities[m],
                    data.modalities[n],
                    pair.share,
                    pair.contribution,
                    walked,
                )
            )
    return sorted(told, key=lambda path: -abs(path.bias))[:PATHS]


def _image(data: MultimodalData, sample_id: int, batch: Batch, found: ModelAttribution) -> ImageView | None:
    tool = _reader(data, "image")
    if not isinstance(tool, ImageReader):
        return None
    name = latest_text(_events(data, "image", sample_id), [sample_id])[0]
    if name is None:
        return None
    pixels, share = batch.inputs["image"]["pixels"][0, 0], found.inputs["image"][0].sum(0)
    mask_file = data.cohort.path / "truth" / "masks" / f"{PurePosixPath(name).stem}.png"
    mask = tool.read_mask(mask_file) if mask_file.exists() else None
    if mask is not None and not mask.any():
        mask = None
    where = relevance(share, mask) if mask is not None else None
    return ImageView(
        base64_png(png(pixels)),
        base64_png(overlay(pixels, share, mask)),
        where.mass if where else None,
        where.area if where else None,
        where.hit if where else None,
        name,
    )
