"""One run: train in a folder that can be resumed after a kill, and predict from it.

config.yaml          everything that decides the run
run.json             versions, git hash, fingerprints, parameters, seconds, warnings; `finished` when training is over
preprocess.json      what was fitted on the training split
splits.parquet       who was in which split, for data.split=file:<this file>
history.json         metrics of each epoch
checkpoints/         last.ckpt and best.ckpt
model.safetensors    the weights of the best epoch
inference.json       how patients are diagnosed, as the tuning split decided, and what else was tried
predictions.parquet  probabilities of tuning and held-out samples for every pattern of present modalities
strange.parquet      where asked for: which modality of whom is strange given the others
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import torch
import yaml
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback
from safetensors.torch import save_file

from mhdiff import __version__, console
from mhdiff.baselines.estimator import Estimator, Fitted
from mhdiff.cohort.splits import write_splits
from mhdiff.diffusion.effort import Effort
from mhdiff.evaluate.patterns import EVERY, all_patterns, asked_patterns, pattern_name
from mhdiff.evaluate.stored import write_predictions
from mhdiff.inference import Inference, diagnose
from mhdiff.training.accompany import accompanied
from mhdiff.training.announce import announce, parted, warn
from mhdiff.training.checkpoint import RunCheckpoint
from mhdiff.training.cli import FitCLI, config_text, parse, saved_config
from mhdiff.training.data import MultimodalData
from mhdiff.training.frame import names_of, prediction_frame, prediction_rows
from mhdiff.training.module import Diagnosis
from mhdiff.training.progress import EpochLines, quiet
from mhdiff.training.refit import refit
from mhdiff.training.weights import check_resumable, load_weights
from ontology.errors import InputError
from ontology.files import atomic_write

# Keys that say where or how fast a run is computed, not what it computes: they may differ when it is resumed.
_ELSEWHERE = (
    "out",
    "trainer.accelerator",
    "trainer.devices",
    "trainer.strategy",
    "trainer.num_nodes",
    "model.compile",
    "data.num_workers",
    "data.cache_images",
    "data.image_cache",
    "data.image_cache_gib",
)

#: A model with its best weights, and its data.
Opened = tuple[Diagnosis, MultimodalData]

_DECIDE_STEPS = frozenset({"trainer.max_epochs", "trainer.max_steps"})


def fit(arguments: Sequence[str], patterns: Sequence[str] = (EVERY,)) -> Path:
    """Train, or go on training, or find that training was finished.

    Args:
        arguments: What stands after `mhdiff fit`.
        patterns: Patterns of modalities that an estimator predicts, which keeps no model to ask later.

    Returns:
        The run's folder: `--out`, or runs/TASK-HASH by the settings, so that the same command goes on where it was
        and another command gets a folder of its own.

    Raises:
        InputError: If the folder holds another run.
    """
    return _fit(arguments, patterns)[0]


def _fit(arguments: Sequence[str], patterns: Sequence[str]) -> tuple[Path, Opened | None]:
    """Do what `fit` does; give the model and its data too, if they were trained here and now."""
    quiet()
    # With deterministic algorithms every new tensor would be filled before it is written, a tenth of a small step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    cli = parse(arguments)
    text = config_text(cli)
    out = Path(cli.config["out"] or _own_folder(text))
    first = cli.trainer.is_global_zero  # of the processes that train; it alone writes and speaks
    if first:
        _claim(out, text)
    data: MultimodalData = cli.datamodule
    module: Diagnosis = cli.model
    data.seed = module.seed = int(cli.config["seed_everything"] or 0)
    if _finished(out):
        console.say(f"{out}: training is finished; choose another --out to train again")
        return out, None
    data.prepare_data()
    data.setup()
    if first:
        data.warnings += parted(data)
    if cli.estimator is not None:
        _fit_estimator(cli.estimator, data, module, out, text, asked_patterns(patterns, data.offered))
        return out, None
    module.build(data.spec)
    facts = _facts(data, module)
    if first:
        announce(data)
        atomic_write(out / "config.yaml", text)
        atomic_write(out / "preprocess.json", json.dumps(data.state(), indent=1))
        write_splits(data.samples, out / "splits.parquet")
        atomic_write(out / "run.json", json.dumps(facts | {"finished": False}, indent=1))
        (out / "checkpoints").mkdir(exist_ok=True)
    checkpoint = RunCheckpoint(out)
    cli.trainer.callbacks += [EpochLines(), checkpoint, _Reports(out)]
    last = checkpoint.last_path
    if last.exists():
        check_resumable(module, last)
    if last.exists() and first:
        console.say(f"{out}: going on from the last finished epoch")
    start = time.monotonic()
    cli.trainer.fit(
        module, datamodule=data, ckpt_path=str(last) if last.exists() else None, weights_only=True
    )
    if cli.trainer.interrupted:
        raise KeyboardInterrupt
    if not first:
        return out, None
    checkpoint.catch_up()
    module.load_state_dict(_best_weights(checkpoint.best_path))
    refit(module, data, module.seed)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    save_file(weights, out / "model.new")
    (out / "model.new").replace(out / "model.safetensors")
    done = {
        "finished": True,
        "seconds": round(time.monotonic() - start, 2),
        "best_epoch": checkpoint.best_epoch,
        "best_tuning_loss": checkpoint.best,
    }
    atomic_write(out / "run.json", json.dumps(facts | done, indent=1))
    console.say(f"{out}: best epoch {checkpoint.best_epoch}, tuning loss {checkpoint.best:.4f}")
    return out, (module, data)


def _fit_estimator(
    estimator: Estimator,
    data: MultimodalData,
    module: Diagnosis,
    out: Path,
    text: str,
    patterns: Sequence[Sequence[str]],
) -> None:
    """Fit what takes the network's place, and predict: it keeps no model to ask later."""
    announce(data)
    atomic_write(out / "config.yaml", text)
    start = time.monotonic()
    fitted = Fitted(estimator, data, module.masking, patterns, module.seed)
    frame, about = accompanied(fitted.predict(), data)
    write_predictions(frame, out / "predictions.parquet", about)
    atomic_write(out / "preprocess.json", json.dumps(data.state(), indent=1))
    write_splits(data.samples, out / "splits.parquet")
    facts = _facts(data, module) | fitted.facts()
    facts |= {"finished": True, "seconds": round(time.monotonic() - start, 2)}
    atomic_write(out / "run.json", json.dumps(facts, indent=1))
    console.say(f"{out}: fitted and predicted")


class _Reports(Callback):
    """Write what preprocessing could not use where the loaders were made, which may be a process of its own."""

    def __init__(self, out: Path) -> None:
        self.out = out

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write it.

        Args:
            trainer: Knows the data.
            pl_module: Not read.
        """
        if trainer.is_global_zero:
            state = trainer.datamodule.state()  # type: ignore[attr-defined]
            atomic_write(self.out / "preprocess.json", json.dumps(state, indent=1))


def open_run(run: str | Path) -> Opened:
    """Open a finished run: the model with its best weights, the data with what was fitted.

    Args:
        run: Its folder.

    Returns:
        The module, in evaluation mode, and the data module, set up.

    Raises:
        InputError: If the folder is no run, is not finished, or its data are not the ones it was trained on.
    """
    quiet()
    run = Path(run)
    for name in ("config.yaml", "run.json", "preprocess.json"):
        if not (run / name).is_file():
            raise InputError(
                f"there is no {name}", path=run, remedy="Give the folder of a run made by mhdiff fit"
            )
    if not _finished(run):
        raise InputError(
            "training is not finished", path=run, remedy="Start the same mhdiff fit again: it goes on"
        )
    if fitted := json.loads((run / "run.json").read_text()).get("estimator"):
        raise InputError(
            f"{fitted['class']} of scikit-learn keeps its predictions and no model",
            path=run,
            remedy="Use its predictions.parquet, or fit it again into another folder",
        )
    cli = parse(saved_config(run))
    data: MultimodalData = cli.datamodule
    module: Diagnosis = cli.model
    module.seed = int(cli.config["seed_everything"] or 0)
    data.load_fitted(json.loads((run / "preprocess.json").read_text()))
    data.prepare_data()
    data.setup()
    facts = json.loads((run / "run.json").read_text())
    for what, here in (
        ("ontology", data.graph.meta["ontology"]["fingerprint"]),
        ("cohort", data.cohort.fingerprint),
        *([("embeddings", data.stored.fingerprint)] if data.stored is not None else []),
    ):
        if facts["fingerprints"][what] != here:
            raise InputError(
                f"the run was trained on another {what} ({facts['fingerprints'][what][:12]}) than the folder now "
                f"holds ({here[:12]})",
                path=run,
                remedy="Put the old one back, or train again",
            )
    warn(data)
    module.build(data.spec)
    load_weights(module, run / "model.safetensors")
    module.eval()
    return module, data


def predict(
    module: Diagnosis,
    data: MultimodalData,
    splits: Sequence[str] = ("tuning", "held_out"),
    patterns: Sequence[Sequence[str]] | None = None,
    inference: Inference | None = None,
) -> pl.DataFrame:
    """Predict samples with every pattern of modalities offered.

    Args:
        module: A built module.
        data: A data module that is set up.
        splits: Which samples.
        patterns: Which patterns; None for all 2^M - 1.
        inference: How they are diagnosed; by default by denoising at the prior's own time.

    Returns:
        The predictions frame of `mhdiff.evaluate.predictions`, with the modalities that each sample has.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    module.to(device).eval()
    module.speed_up()
    dataset = data.dataset(splits)
    offered = list(patterns) if patterns is not None else all_patterns(data.offered)
    named = data.offered
    frames: list[pl.DataFrame] = []
    effort: Effort | None = None
    with torch.inference_mode(), module.net.guidance.unchanging():
        for _, batch in dataset.batches(4 * data.batch_size, "predicting"):
            moved = batch.to(device)
            features = module.net.features(moved)
            there = names_of(batch.present, data)
            for pattern in offered:
                here = torch.tensor([m in pattern for m in data.modalities])
                shown = moved.offering(here)
                found = diagnose(module.net, features, shown, inference)
                if found.effort is not None:
                    effort = found.effort if effort is None else effort + found.effort
                probability, spread = found.probabilities.cpu().numpy(), found.spread.cpu().numpy()
                frames.append(
                    prediction_rows(
                        batch.sample_id.numpy(),
                        batch.label.numpy(),
                        pattern_name(pattern, named),
                        probability,
                        spread.max(1),
                        there,
                    )
                )
    if effort is not None:
        console.say(f"imputing took {effort}")
    return prediction_frame(frames, data.samples)


def predict_run(run: str | Path) -> Path:
    """Write `predictions.parquet` of a finished run, if it is not there.

    Args:
        run: The run's folder.

    Returns:
        The file.
    """
    path = Path(run) / "predictions.parquet"
    if not path.exists():
        from mhdiff.training.settle import settled

        module, data = open_run(run)
        inference = settled(Path(run), module, data, all_patterns(data.offered))
        frame, about = accompanied(predict(module, data, inference=inference), data)
        write_predictions(frame, path, about)
    return path


def fit_cell(config: Path, overrides: list[str], out: Path, patterns: Sequence[str] = ()) -> None:
    """Train and predict one cell of an ablation.

    Args:
        config: The base configuration.
        overrides: Options in the style of the command line.
        out: The cell's folder; gets a run and its predictions.
        patterns: Names of the patterns of modalities that are offered, or `all`, beside the fullest one. How patients
            are diagnosed is settled for these.
    """
    _, opened = _fit(["--config", str(config), *overrides, "--out", str(out)], patterns)
    if (out / "predictions.parquet").is_file():
        return  # an estimator's
    from mhdiff.training.settle import settled

    module, data = opened or open_run(out)
    offered = asked_patterns(patterns, data.offered)
    inference = settled(out, module, data, offered)
    frame, about = accompanied(predict(module, data, patterns=offered, inference=inference), data)
    write_predictions(frame, out / "predictions.parquet", about)
    shutil.rmtree(out / "checkpoints", ignore_errors=True)  # a finished cell is never resumed


def _best_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read the weights of a checkpoint."""
    state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    return {name: tensor.contiguous() for name, tensor in state.items()}


def _finished(out: Path) -> bool:
    path = out / "run.json"
    return path.is_file() and bool(json.loads(path.read_text()).get("finished"))


def _claim(out: Path, text: str) -> None:
    """Refuse a folder that holds another run, or something else."""
    if out.is_file():
        raise InputError("a file stands where the run should go", path=out, remedy="Choose another --out")
    saved = out / "config.yaml"
    if saved.is_file():
        old, new = (_settings(_flat(yaml.safe_load(t))) for t in (saved.read_text(), text))
        different = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
        if different:
            said = f"the folder holds a run with other settings ({', '.join(different[:5])})"
            if old.get("model.learning_rate_schedule.class_path") and _DECIDE_STEPS.intersection(different):
                said += "; by model.learning_rate_schedule the rate of every step depends on how many there will be"
            raise InputError(
                said,
                path=out,
                remedy="Choose another --out, or delete the folder",
            )
    elif out.is_dir() and any(out.iterdir()):
        raise InputError("the folder is not empty and holds no run", path=out, remedy="Choose another --out")
    out.mkdir(parents=True, exist_ok=True)


def _own_folder(text: str) -> Path:
    """Name a run by its settings."""
    settings = _settings(_flat(yaml.safe_load(text)))
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()[:8]
    return Path("runs") / f"{Path(str(settings['data.task'])).stem}-{digest}"


def _settings(flat: dict[str, Any]) -> dict[str, Any]:
    """Keep what decides the result of a run."""
    return {
        key: value
        for key, value in flat.items()
        if not any(key == name or key.startswith(f"{name}.") for name in _ELSEWHERE)
    }


def _flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(tree, dict):
        return {prefix: tree}
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}.{key}" if prefix else str(key))
    return flat


def _facts(data: MultimodalData, module: Diagnosis) -> dict[str, Any]:
    """Say what the run was made with."""
    import pytorch_lightning
    import torch_geometric

    commit = None
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        commit = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"],
            capture_output=True, text=True, check=True, timeout=10,
        ).stdout.strip()  # fmt: skip
    return {
        "task": data.task.name,
        "classes": list(data.task.classes),
        "modalities": data.modalities,
        "offered": data.offered,
        "parameters": sum(p.numel() for p in module.parameters() if p.requires_grad),
        "fingerprints": {
            "ontology": data.graph.meta["ontology"]["fingerprint"],
            "cohort": data.cohort.fingerprint,
            **({"embeddings": data.stored.fingerprint} if data.stored is not None else {}),
        },
        "null": data.null_facts,
        "warnings": data.warnings,
        "versions": {
            "mhdiff": __version__,
            "torch": torch.__version__,
            "torch_geometric": torch_geometric.__version__,
            "pytorch_lightning": pytorch_lightning.__version__,
        },
        "git": commit,
    }


__all__ = ["FitCLI", "fit", "fit_cell", "open_run", "predict", "predict_run"]
