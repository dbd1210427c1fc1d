"""Crossed factors: every level of one with every level of the others, each combination an arm.

    factors:
      guidance: {none: [--model.guidance=mhdiff.guidance.NoGuidance], real: []}
      lambda: {small: [--model.fusion.lambda_init=0.5], large: [--model.fusion.lambda_init=4]}
    without: [[none, large]]      # what is left out: arms that have these levels, or {guidance: none, lambda: large}
    contrasts_of: [guidance]      # its other levels, each minus its first, within each level of the other factors;
                                  # or pairs of its levels, as of arms: {guidance: [[real, none]]}

The arms are `none/small`, `real/small`, `real/large`: levels in the order of the factors, and so are their overrides.
A level is what an arm is, so that it may have seeds of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from mhdiff.ablate.entries import Arm, read_arm
from ontology.errors import InputError

#: What stands between the levels in an arm's name.
JOINT = "/"
#: More arms than this are a slip of the pen, not a plan.
MOST = 500

Levels = dict[str, Arm]
Pair = tuple[str, str]


@dataclass(frozen=True)
class Crossed:
    """The arms that factors make.

    Args:
        arms: By name, the overrides.
        seeds: By name, the seeds of those whose levels have some.
        contrasts: Pairs (arm, reference) that `contrasts_of` asks for.
    """

    arms: dict[str, tuple[str, ...]] = field(default_factory=dict)
    seeds: dict[str, tuple[int, ...]] = field(default_factory=dict)
    contrasts: tuple[Pair, ...] = ()


def read_factors(document: Mapping[str, Any], source: Path) -> Crossed:
    """Cross the factors of an ablation's YAML.

    Args:
        document: The YAML, whose keys `factors`, `without` and `contrasts_of` are read.
        source: The file, for messages.

    Raises:
        InputError: If a factor, level or pair is empty, unknown or ambiguous, two combinations have one name, a
            combination has two sets of seeds, or there are more than `MOST` arms.
    """
    if document.get("factors") is None:
        for key in ("without", "contrasts_of"):
            if document.get(key) is not None:
                raise InputError(f"'{key}' speaks of factors, and there are none", path=source)
        return Crossed()
    factors = _factors(document["factors"], source)
    gone = _without(document.get("without"), factors, source)
    arms: dict[str, tuple[str, ...]] = {}
    seeds: dict[str, tuple[int, ...]] = {}
    name_of: dict[tuple[str, ...], str] = {}
    for levels in product(*factors.values()):
        chosen = dict(zip(factors, levels, strict=True))
        if any(entry.items() <= chosen.items() for entry in gone):
            continue
        name = JOINT.join(levels)
        if name in arms:
            raise InputError(f"'factors': two combinations of levels make the arm '{name}'", path=source)
        if len(arms) == MOST:
            raise InputError(
                f"'factors' make more than {MOST} arms", path=source,
                remedy="Leave combinations out by `without`, or cross fewer levels",
            )  # fmt: skip
        name_of[levels] = name
        arms[name] = tuple(option for factor, level in chosen.items() for option in factors[factor][level][0])
        if (own := _seeds(chosen, factors, name, source)) is not None:
            seeds[name] = own
    if not arms:
        raise InputError("'without' leaves no arm of the factors", path=source)
    return Crossed(arms, seeds, tuple(_contrasts(document.get("contrasts_of"), factors, name_of, source)))


def _factors(value: object, source: Path) -> dict[str, Levels]:
    if not isinstance(value, Mapping) or not value:
        raise InputError(
            "'factors' must map names of factors to their levels", path=source,
            remedy="Such as factors: {lambda: {small: [--model.fusion.lambda_init=0.5], large: []}}",
        )  # fmt: skip
    found: dict[str, Levels] = {}
    for factor, levels in value.items():
        key = f"factors.{factor}"
        if not isinstance(levels, Mapping) or not levels:
            raise InputError(
                f"'{key}' must map names of levels to their overrides, and has none", path=source
            )
        found[str(factor)] = {}
        for level, given in levels.items():
            if level is None or isinstance(level, bool) or not str(level).strip():
                raise InputError(
                    f"'{key}': {level!r} is no name of a level", path=source,
                    remedy="YAML reads on, off, yes, no and null as values: quote them, or choose another name",
                )  # fmt: skip
            if str(level) in found[str(factor)]:
                raise InputError(f"'{key}' has two levels '{level}'", path=source)
            found[str(factor)][str(level)] = read_arm(given, f"{key}.{level}", source)
    return found


def _without(value: object, factors: Mapping[str, Levels], source: Path) -> list[dict[str, str]]:
    """Read the combinations that are left out, each as the level of some factors."""
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(v, list | Mapping) and v for v in value):
        raise InputError("'without' must list combinations of levels such as [none, large]", path=source)
    found = []
    for number, entry in enumerate(value, start=1):
        key, combination = f"without, entry {number}", dict[str, str]()
        if isinstance(entry, Mapping):
            pairs = [(_factor(name, key, factors, source), str(level)) for name, level in entry.items()]
        else:
            pairs = [(_factor_of(str(level), key, factors, source), str(level)) for level in entry]
        for factor, level in pairs:
            _known(level, factor, key, factors, source)
            if factor in combination:
                raise InputError(f"'{key}' names two levels of '{factor}', which no arm has", path=source)
            combination[factor] = level
        found.append(combination)
    return found


def _contrasts(
    value: object, factors: Mapping[str, Levels], name_of: Mapping[tuple[str, ...], str], source: Path
) -> Iterator[Pair]:
    """Give the pairs of arms that differ in one factor and are asked for."""
    if value is None:
        return
    asked: list[tuple[str, list[Pair]]] = []
    if isinstance(value, list):
        for factor in (_factor(name, "contrasts_of", factors, source) for name in value):
            first, *others = factors[factor]
            asked.append((factor, [(level, first) for level in others]))
    elif isinstance(value, Mapping):
        for name, given in value.items():
            factor, key = _factor(name, "contrasts_of", factors, source), f"contrasts_of.{name}"
            if not isinstance(given, list) or not all(isinstance(v, list) and len(v) == 2 for v in given):
                raise InputError(f"'{key}' must list pairs of levels [level, reference]", path=source)
            pairs = [(str(level), str(reference)) for level, reference in given]
            for level in (level for pair in pairs for level in pair):
                _known(level, factor, key, factors, source)
            asked.append((factor, pairs))
    else:
        raise InputError(
            f"'contrasts_of' must list factors, or map them to pairs of levels, not {value!r}", path=source
        )
    for factor, pairs in asked:
        place = list(factors).index(factor)
        for level, reference in pairs:
            made = [
                (name, other)
                for levels, name in name_of.items()
                if levels[place] == level
                and level != reference
                and (other := name_of.get((*levels[:place], reference, *levels[place + 1 :])))
            ]
            if not made:
                raise InputError(
                    f"'contrasts_of': no two arms differ in '{factor}' alone, '{level}' in one and "
                    f"'{reference}' in the other",
                    path=source,
                )
            yield from made
        if not pairs:
            raise InputError(f"'contrasts_of': '{factor}' has no two levels to compare", path=source)


def _seeds(
    chosen: Mapping[str, str], factors: Mapping[str, Levels], name: str, source: Path
) -> tuple[int, ...] | None:
    own = {
        factor: found for factor, level in chosen.items() if (found := factors[factor][level][1]) is not None
    }
    if len(set(own.values())) > 1:
        raise InputError(
            f"'{' and '.join(f'factors.{factor}.{chosen[factor]}' for factor in own)}' have different seeds, and the "
            f"arm '{name}' has both levels",
            path=source,
            remedy="Give seeds to the levels of one factor",
        )
    return next(iter(own.values()), None)


def _factor(name: object, key: str, factors: Mapping[str, Levels], source: Path) -> str:
    if str(name) not in factors:
        raise InputError(
            f"'{key}': no factor is called '{name}'", path=source, remedy=f"Factors: {', '.join(factors)}"
        )
    return str(name)


def _factor_of(level: str, key: str, factors: Mapping[str, Levels], source: Path) -> str:
    """Give the one factor that has a level."""
    having = [factor for factor, levels in factors.items() if level in levels]
    if len(having) > 1:
        raise InputError(
            f"'{key}': '{level}' is a level of {' and of '.join(having)}", path=source,
            remedy=f"Write which is meant, as {{{having[0]}: {level}}}",
        )  # fmt: skip
    if not having:
        every = (name for levels in factors.values() for name in levels)
        raise InputError(
            f"'{key}': no level is called '{level}'", path=source, remedy=f"Levels: {', '.join(every)}"
        )
    return having[0]


def _known(level: str, factor: str, key: str, factors: Mapping[str, Levels], source: Path) -> None:
    if level not in factors[factor]:
        raise InputError(
            f"'{key}': '{factor}' has no level '{level}'", path=source,
            remedy=f"Levels: {', '.join(factors[factor])}",
        )  # fmt: skip
