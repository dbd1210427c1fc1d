r"""How a trained model diagnoses is settled on the tuning split: way and temperature, never on held-out patients.

For the patients with every modality, and for those who lack some, the way and the temperature with the least
log-loss

.. math:: -\tfrac{1}{n} \sum_i \log \tfrac{1}{K} \sum_k \mathrm{softmax}(l_i^k / T)_{y_i}

are looked for among the candidates that `model.inference` names (`mhdiff.candidates`). Each tuning patient counts once
for every pattern of modalities that is offered. Among many candidates the least loss is partly luck, the more so the
fewer the patients are. So the first candidate is taken, as they are ordered from the plainest on, that is worse than
the best by no more than one standard error of the difference, taken over patients (the rule of Breiman, Friedman,
Olshen and Stone, Classification and Regression Trees, 1984, section 3.4.3, for a paired difference). inference.json has
what was chosen, and beside it for which patterns, with which candidates and seed, and what each candidate had.

What was settled for some patterns is never used for others without a word: asked for others, a run is settled anew, and
where its predictions rest on the old answer that is refused.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Float64, Int64
from scipy.optimize import minimize_scalar
from torch import Tensor

from mhdiff import console
from mhdiff.batch import Batch
from mhdiff.evaluate.patterns import pattern_name
from mhdiff.inference import Inference, Way, logits_of, with_temperature
from mhdiff.training.data import MultimodalData
from mhdiff.training.module import Diagnosis
from ontology.errors import InputError
from ontology.files import atomic_write

FILE = "inference.json"
#: What a run writes that rests on how it diagnoses.
RESTING = ("predictions.parquet", "corruptions.parquet", "explanations")
#: With fewer tuning patients than this nothing is chosen.
FEWEST = 20
_RANGE = (0.05, 20.0)


def log_losses(
    logits: Float[Tensor, "draws n classes"], label: Int64[Tensor, " n"], temperature: float
) -> Float64[Tensor, " n"]:
    """Give each row's log-loss of the averaged probabilities.

    Args:
        logits: Of each draw.
        label: The classes.
        temperature: T.
    """
    logs = (logits.double() / temperature).log_softmax(-1)
    own = logs.gather(-1, label[None, :, None].expand(len(logs), -1, 1))[..., 0]
    return math.log(len(logs)) - own.logsumexp(0)


def log_loss(
    logits: Float[Tensor, "draws n classes"], label: Int64[Tensor, " n"], temperature: float
) -> float:
    """Give the mean log-loss of the averaged probabilities.

    Args:
        logits: Of each draw.
        label: The classes.
        temperature: T.
    """
    return float(log_losses(logits, label, temperature).mean())


def clustered_error(values: Float64[Tensor, " n"], patients: Int64[Tensor, " n"]) -> float:
    r"""Give the standard error of a mean whose rows belong together by patient.

    .. math:: \mathrm{se}^2 = \frac{G}{G - 1} \frac{1}{n^2} \sum_g \Bigl(\sum_{i \in g} (v_i - \bar v)\Bigr)^2

    over the G patients. With one patient nothing is known: infinite.

    Args:
        values: The rows' values v.
        patients: Whose they are.
    """
    _, group = torch.unique(patients, return_inverse=True)
    count = int(group.max()) + 1
    if count < 2:
        return math.inf
    sums = torch.zeros(count, dtype=torch.float64).index_add_(0, group, values - values.mean())
    return math.sqrt(float((sums**2).sum()) * count / (count - 1)) / len(values)


def best_temperature(
    logits: Float[Tensor, "draws n classes"], label: Int64[Tensor, " n"]
) -> tuple[float, float]:
    """Give the temperature with the least log-loss, and that loss.

    Args:
        logits: Of each draw.
        label: The classes.
    """
    low, high = map(math.log, _RANGE)
    found = minimize_scalar(
        lambda x: log_loss(logits, label, math.exp(x)), bounds=(low, high), method="bounded"
    )
    return math.exp(float(found.x)), float(found.fun)


@torch.no_grad()
def settle(
    module: Diagnosis, data: MultimodalData, patterns: Sequence[Sequence[str]], seed: int = 0
) -> tuple[Inference, dict[str, Any]]:
    """Choose how to diagnose.

    Args:
        module: A trained module.
        data: Its data, set up.
        patterns: The patterns of modalities that will be offered.
        seed: Of the imputations.

    Returns:
        What was chosen, and what was tried with its figures.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    module.to(device).eval()
    dataset = data.dataset(["tuning"])
    size = 4 * data.batch_size
    batches = [
        dataset.collate(range(start, min(start + size, len(dataset)))).to(device)
        for start in range(0, len(dataset), size)
    ]
    chosen: dict[str, Way] = {}
    told: dict[str, Any] = {}
    for group in ("complete", "incomplete"):
        ways = module.inference.of(module.net.prior, group == "incomplete")
        with module.net.guidance.unchanging():
            logits, label, samples = _logits(
                module, data, batches, patterns, ways, group == "incomplete", seed
            )
        patients = patients_of(data, samples)
        told[group] = {"n": len(label), "patients": len(patients.unique()), "tried": []}
        chosen[group] = Way() if not ways[0].imputes else ways[0]
        if told[group]["patients"] >= FEWEST:
            chosen[group], told[group]["tried"] = _first_of_the_best(ways, logits, label, patients)
    return Inference(chosen["complete"], chosen["incomplete"], seed), told


def patients_of(data: MultimodalData, samples: Int64[Tensor, " n"]) -> Int64[Tensor, " n"]:
    """Say which rows are of one patient.

    Args:
        data: Data, set up.
        samples: The rows' samples.

    Returns:
        For each row a number, the same for the same patient.
    """
    subjects = dict(data.samples.select("sample_id", "subject_id").iter_rows())
    numbers: dict[Any, int] = {}
    return torch.tensor(
        [numbers.setdefault(subjects[s], len(numbers)) for s in samples.tolist()], dtype=torch.int64
    )


def _first_of_the_best(
    ways: Sequence[Way], logits: Sequence[Tensor], label: Tensor, patients: Tensor
) -> tuple[Way, list[dict[str, Any]]]:
    """The first way that is no more than one standard error worse than the best; and all, with their figures."""
    temperatures = [best_temperature(found, label)[0] for found in logits]
    losses = [log_losses(found, label, t) for found, t in zip(logits, temperatures, strict=True)]
    best = min(losses, key=lambda each: float(each.mean()))
    tempered = [with_temperature(way, t) for way, t in zip(ways, temperatures, strict=True)]
    rows = [
        {
            "log_loss": float(each.mean()),
            "above_best": float((each - best).mean()),
            "standard_error": clustered_error(each - best, patients),
        }
        for each in losses
    ]
    first = next(place for place, row in enumerate(rows) if row["above_best"] <= row["standard_error"])
    return tempered[first], [asdict(way) | row for way, row in zip(tempered, rows, strict=True)]


def _logits(
    module: Diagnosis,
    data: MultimodalData,
    batches: Sequence[Batch],
    patterns: Sequence[Sequence[str]],
    ways: Sequence[Way],
    incomplete: bool,
    seed: int,
) -> tuple[list[Tensor], Tensor, Tensor]:
    """Give the logits by each way [draws, n, classes] of the group's rows, their labels and their samples."""
    found: list[list[Tensor]] = [[] for _ in ways]
    labels: list[Tensor] = [torch.zeros(0, dtype=torch.int64)]
    samples: list[Tensor] = [torch.zeros(0, dtype=torch.int64)]
    for batch in batches:
        features = module.net.features(batch)
        for pattern in patterns:
            shown = batch.offering(torch.tensor([m in pattern for m in data.modalities]))
            rows = shown.present.all(dim=1) != incomplete
            if not bool(rows.any()):
                continue
            output = module.net.run(features, shown, shown.evidence.weight, compact=True)
            labels.append(batch.label[rows].cpu())
            samples.append(batch.sample_id[rows].long().cpu())
            each = logits_of(module.net, output, shown, rows, ways, seed)
            for logits, parts in zip(each, found, strict=True):
                parts.append(logits.cpu())
    logits_found = [torch.cat(parts, 1) if parts else torch.zeros(1, 0, 1) for parts in found]
    return logits_found, torch.cat(labels), torch.cat(samples)


def settled(
    run: Path, module: Diagnosis, data: MultimodalData, patterns: Sequence[Sequence[str]]
) -> Inference:
    """Give how a run diagnoses: as it was settled before, or as it is settled now and written down.

    Args:
        run: The run's folder.
        module: Its module.
        data: Its data, set up.
        patterns: The patterns of modalities that will be offered.

    Raises:
        InputError: If it was settled for other patterns, candidates or another seed, and predictions rest on that.
    """
    path = run / FILE
    asked = {
        "patterns": sorted(pattern_name(pattern, data.offered) for pattern in patterns),
        "configuration": module.inference.as_dict(),
        "seed": module.seed,
    }
    if path.is_file():
        document = _read(path)
        other = [key for key, value in asked.items() if document.get(key) != value]
        if not other:
            return Inference.from_dict(document["chosen"])
        resting = [name for name in RESTING if (run / name).exists()]
        told = ", ".join(f"{key} {_told(document.get(key))}, not {_told(asked[key])}" for key in other)
        if resting:
            raise InputError(
                f"how this run diagnoses was settled for other {told}; {' and '.join(resting)} rest on it",
                path=path,
                remedy=f"Delete {', '.join([FILE, *resting])} to settle it anew, or train and predict for these "
                "patterns in a folder of its own",
            )
        console.say(f"{path}: settled for other {told}; settling anew")
    inference, tried = settle(module, data, patterns, module.seed)
    atomic_write(path, json.dumps(asked | {"chosen": inference.as_dict()} | tried, indent=1))
    return inference


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError("the file is not JSON", path=path, remedy="Delete it: it is settled anew") from error
    if not isinstance(document, dict) or "chosen" not in document:
        raise InputError("the file does not say how the run diagnoses", path=path, remedy="Delete it")
    return document


def _told(value: Any) -> str:
    return "unsaid" if value is None else json.dumps(value)
