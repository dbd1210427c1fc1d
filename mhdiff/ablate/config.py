"""What an ablation YAML says: a base configuration, arms that override it, folds, seeds, a reference.

    base: demo.yaml                   # what every arm starts from: a file beside this one, or a shipped one
    set: [--trainer.max_epochs=8]     # overrides that all cells share
    arms:                             # each arm: the overrides that make it
      none: [--model.guidance=mhdiff.guidance.NoGuidance]
      message_passing: []
      permuted: {data.null: permuted, data.null_seed: "{seed}"}
    factors: null                     # crossed factors, whose levels make further arms or all of them, see `factors`
    reference: none                   # every other arm is compared with this one
    contrasts: [[message_passing, permuted]]
    folds: 3                          # patient-grouped folds; null keeps the base configuration's own split
    repeats: 1                        # how often the folds are dealt, see `repeats`
    seeds: [1]
                                      # an arm may have seeds of its own: {set: [...], seeds: [1, 2, 3]}
    replicates: 1000                  # bootstrap resamples of patients
    patterns: null                    # which patterns of modalities are offered beside the fullest: all, or their names
    pattern: null                     # which of them the arms are compared on first; null: the fullest
    rare: null                        # rare classes, told apart: their names, or the largest share of the samples
    encoders: null                    # or {set: [...], seeds: first}: trained once, shared by all arms, see `encoders`

Overrides are a list of command-line options or a mapping of dotted keys; {seed}, {fold} and {folds} are
filled in, and `--config=baselines/gated_fusion.yaml` stands for all that this file sets. With seeds of its own a null
arm can be drawn often, and an arm that nothing is drawn for trained once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from mhdiff.ablate.encoders import SharedEncoders
from mhdiff.ablate.entries import find_base, read_arm, read_overrides, read_seeds
from mhdiff.ablate.factors import MOST, read_factors
from mhdiff.ablate.repeats import refuse_split_seeds
from mhdiff.config import find
from mhdiff.evaluate.patterns import EMPTY, EVERY
from ontology.errors import InputError

_KNOWN = (
    "name", "base", "set", "arms", "reference", "contrasts", "folds", "seeds", "replicates", "bootstrap_seed",
    "pattern", "patterns", "rare", "encoders", "factors", "without", "contrasts_of", "repeats",
)  # fmt: skip


@dataclass(frozen=True)
class Ablation:
    """One ablation, as its YAML describes it.

    Args:
        base: The configuration file that every arm starts from.
        arms: By name, the overrides that make the arm.
        reference: The arm that every other one is compared with.
        contrasts: Further pairs (arm, reference) to compare.
        common: Overrides that all cells share, before the arm's own.
        folds: How many patient-grouped folds; None keeps the split of the base configuration.
        seeds: One training for each arm, fold and seed.
        arm_seeds: The seeds of the arms that have their own.
        replicates: Bootstrap resamples of patients.
        bootstrap_seed: Seed of the resamples.
        pattern: Which pattern of modalities is compared first; None: the fullest that was predicted.
        patterns: Names of the patterns that are offered beside the fullest, sorted, or `all`.
        rare: Names of the rare classes, or the largest share of the samples that is rare; None: no class is told apart.
        name: What the ablation is called.
        encoders: How the encoders are trained that all arms share; None: each cell trains its own.
        repeats: How often the folds are dealt, each time to be trained and predicted anew.

    Raises:
        InputError: If there are repetitions and no folds, or a fold would hold other patients for other seeds.
    """

    base: Path
    arms: dict[str, tuple[str, ...]]
    reference: str
    contrasts: tuple[tuple[str, str], ...] = ()
    common: tuple[str, ...] = ()
    folds: int | None = 5
    seeds: tuple[int, ...] = (1,)
    replicates: int = 1000
    bootstrap_seed: int = 0
    pattern: str | None = None
    patterns: tuple[str, ...] = ()
    rare: tuple[str, ...] | float | None = None
    name: str = "ablation"
    source: Path | None = field(default=None, compare=False)
    arm_seeds: dict[str, tuple[int, ...]] = field(default_factory=dict)
    encoders: SharedEncoders | None = None
    repeats: int = 1

    def __post_init__(self) -> None:
        """Refuse folds that would not be the same for all that is compared on them."""
        if self.folds is None:
            if self.repeats > 1:
                raise InputError(
                    f"'repeats' is {self.repeats}, and without folds there is nothing to deal anew",
                    path=self.source,
                )
            return
        named = {"set": self.common} | {f"arms.{name}": own for name, own in self.arms.items()}
        if self.encoders is not None:
            named["encoders.set"] = self.encoders.overrides
        refuse_split_seeds(named, "set", self.repeats, self.source)

    @classmethod
    def load(cls, path: str | Path) -> Ablation:
        """Read an ablation from YAML.

        Args:
            path: A file, or the name of a shipped one such as `ablations/demo.yaml`.

        Raises:
            InputError: If the file is no YAML mapping, or a key or value is unknown, missing or impossible.
        """
        source = find(path)
        try:
            document = yaml.safe_load(source.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            mark = getattr(error, "problem_mark", None)
            row = None if mark is None else mark.line + 1
            raise InputError("this is no readable YAML", path=source, row=row) from error
        if not isinstance(document, dict):
            raise InputError(
                "an ablation is a mapping of keys", path=source, remedy=f"Keys: {', '.join(_KNOWN)}"
            )
        unknown = [str(key) for key in document if key not in _KNOWN]
        if unknown:
            raise InputError(
                f"unknown key '{unknown[0]}'", path=source, remedy=f"Known keys: {', '.join(_KNOWN)}"
            )
        for key in ("base", "reference"):
            if document.get(key) is None:
                raise InputError(f"the key '{key}' is missing", path=source)
        arms, arm_seeds, contrasts = _arms(document, source)
        ablation = cls(
            base=find_base(source, str(document["base"])),
            arms=arms,
            reference=str(document["reference"]),
            contrasts=(*_pairs(document.get("contrasts") or [], source), *contrasts),
            common=read_overrides(document.get("set"), "set", source),
            folds=_whole(document.get("folds", 5), "folds", 2, source, optional=True),
            seeds=read_seeds(document.get("seeds", [1]), "seeds", source),
            arm_seeds=arm_seeds,
            replicates=_whole(document.get("replicates", 1000), "replicates", 0, source) or 0,
            bootstrap_seed=_whole(document.get("bootstrap_seed", 0), "bootstrap_seed", 0, source) or 0,
            pattern=None if document.get("pattern") is None else str(document["pattern"]),
            patterns=_patterns(document.get("patterns"), source),
            rare=_rare(document.get("rare"), source),
            name=str(document.get("name") or source.stem),
            source=source,
            encoders=_encoders(document.get("encoders"), source),
            repeats=_whole(document.get("repeats", 1), "repeats", 1, source) or 1,
        )
        for arm in {ablation.reference, *(name for pair in ablation.contrasts for name in pair)}:
            if arm not in ablation.arms:
                raise InputError(
                    f"no arm is called '{arm}'", path=source, remedy=f"Arms: {', '.join(ablation.arms)}"
                )
        return ablation

    def with_overrides(self, overrides: Iterable[str]) -> Ablation:
        """Give the same ablation with more overrides for all cells, such as where the cohort is.

        Args:
            overrides: Command-line options, `--key=value`.

        Raises:
            InputError: If one is no option.
        """
        return replace(self, common=(*self.common, *read_overrides(list(overrides), "set", self.source)))

    def on_base(self, name: str | Path) -> Ablation:
        """Give the same ablation of another base configuration, such as your cohort's.

        Args:
            name: A path to a configuration, or the name of a shipped one such as `covid_chestxray.yaml`.

        Raises:
            InputError: If there is none, or it is an ablation or a search itself.
        """
        return replace(self, base=find_base(Path("--base"), str(name)))

    def seeds_of(self, arm: str) -> tuple[int, ...]:
        """Give the seeds that an arm is trained with.

        Args:
            arm: Name of the arm.
        """
        return self.arm_seeds.get(arm, self.seeds)

    @property
    def repetitions(self) -> tuple[int | None, ...]:
        """The repetitions by index; None where the folds are dealt once."""
        return (None,) if self.repeats == 1 else tuple(range(self.repeats))

    @property
    def offered(self) -> tuple[str, ...]:
        """The patterns that every cell predicts beside the fullest one, by name."""
        # All are all but the empty one, which is offered where it is asked for.
        there = self.pattern is None or (EVERY in self.patterns and self.pattern != EMPTY)
        return tuple(sorted({*self.patterns, *(() if there else (str(self.pattern),))}))

    @property
    def named(self) -> tuple[str, ...]:
        """The names of patterns that it has, which must be patterns of the task."""
        return tuple(sorted({*self.offered, *(() if self.pattern is None else (self.pattern,))}))

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """Every seed that any arm is trained with: the common ones first."""
        used = (seed for arm in self.arms for seed in self.seeds_of(arm))
        mine = tuple(dict.fromkeys(used))
        common = tuple(seed for seed in self.seeds if seed in mine)
        return common + tuple(seed for seed in mine if seed not in common)

    def comparisons(self) -> list[tuple[str, str]]:
        """List the pairs (arm, reference) to compare: each arm with the reference, then the contrasts."""
        pairs = [(arm, self.reference) for arm in self.arms if arm != self.reference]
        return pairs + [pair for pair in self.contrasts if pair not in pairs]


def _arms(
    document: Mapping[str, Any], source: Path
) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[int, ...]], tuple[tuple[str, str], ...]]:
    """Read the arms, spelled and crossed: their overrides, the seeds of those with their own, and crossed contrasts."""
    crossed, spelled = read_factors(document, source), document.get("arms")
    if spelled is None:
        if not crossed.arms:
            raise InputError("the key 'arms' is missing", path=source, remedy="Name arms, or cross `factors`")
        spelled = {}
    if not isinstance(spelled, dict) or len(spelled) + len(crossed.arms) < 2:
        raise InputError("arms must name two or more arms, each with its overrides", path=source)
    own = {str(name): read_arm(value, f"arms.{name}", source) for name, value in spelled.items()}
    if twice := [name for name in crossed.arms if name in own]:
        raise InputError(f"'arms' and 'factors' both make the arm '{twice[0]}'", path=source)
    if len(own) + len(crossed.arms) > MOST:
        raise InputError(f"'arms' and 'factors' make more than {MOST} arms", path=source)
    seeds = {name: found for name, (_, found) in own.items() if found is not None}
    overrides = {name: given for name, (given, _) in own.items()}
    return overrides | crossed.arms, seeds | crossed.seeds, crossed.contrasts


def _encoders(value: object, source: Path) -> SharedEncoders | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise InputError(f"'encoders' must be a mapping of set and seeds, not {value!r}", path=source)
    return SharedEncoders.read(value, read_overrides(value.get("set"), "encoders.set", source), source)


def _pairs(value: Any, source: Path) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, list) or not all(isinstance(v, list) and len(v) == 2 for v in value):
        raise InputError("contrasts must list pairs [arm, reference]", path=source)
    return tuple((str(a), str(b)) for a, b in value)


def _whole(value: Any, key: str, least: int, source: Path, *, optional: bool = False) -> int | None:
    if value is None and optional:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError(f"'{key}' must be a whole number of at least {least}, not {value!r}", path=source)
    return value


def _patterns(value: Any, source: Path) -> tuple[str, ...]:
    if value is None or value == EVERY:
        return () if value is None else (EVERY,)
    if not isinstance(value, list) or not value or not all(isinstance(name, str) for name in value):
        raise InputError(
            f"'patterns' must be all, or list names such as image+note, not {value!r}", path=source
        )
    return tuple(sorted({str(name) for name in value}))


def _rare(value: Any, source: Path) -> tuple[str, ...] | float | None:
    if value is None:
        return None
    if isinstance(value, list) and value and all(isinstance(name, str) for name in value):
        return tuple(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
        raise InputError(
            f"'rare' must be a share between 0 and 1, or list names of classes, not {value!r}", path=source
        )
    return float(value)
