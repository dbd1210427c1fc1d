"""Encoders that all arms share: trained once for a fold and a seed, and every cell trained from their outputs.

    encoders:
      set: [--model.guidance=mhdiff.guidance.NoGuidance]   # how they are trained, on top of the ablation's `set`
      seeds: first                                         # one training a fold, or `each` seed of the ablation its own

What is then compared is everything after the encoders: guidance, fusion, prior and head. It is cheap, since an encoder
costs more than all of these, and it is another question than that of arms trained whole: encoders that were trained
beside an arm's guidance may have learned to rely on it. Seeds of an arm that shares `first`'s encoders vary what comes
after them, and the spread over seeds tells of that alone.

A null that is drawn for a seed is drawn in the cell. An encoder sees no graph where its arm has no guidance.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from ontology.errors import InputError


@dataclass(frozen=True)
class SharedEncoders:
    """How the encoders are trained.

    Args:
        overrides: Options of their training, after those that all cells share.
        seeds: `first`: one training a fold, with the ablation's first seed; `each`: one a fold and seed.
    """

    overrides: tuple[str, ...] = ()
    seeds: Literal["first", "each"] = "first"

    @classmethod
    def read(cls, value: Any, overrides: tuple[str, ...], path: Any) -> SharedEncoders:
        """Read the entry of an ablation's YAML.

        Args:
            value: The entry, a mapping.
            overrides: Its `set`, read.
            path: The file, for the message.

        Raises:
            InputError: If a key or value is unknown.
        """
        seeds = value.get("seeds", "first")
        if set(value) - {"set", "seeds"} or seeds not in ("first", "each"):
            raise InputError(
                f"'encoders' must be a mapping of set and seeds (first or each), not {value!r}", path=path
            )
        return cls(overrides, seeds)

    def seed_for(self, seed: int, seeds: Iterable[int]) -> int:
        """Give the seed that the encoders of a cell are trained with.

        Args:
            seed: The cell's.
            seeds: The ablation's, in order.
        """
        return seed if self.seeds == "each" else next(iter(seeds))
