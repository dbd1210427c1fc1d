"""What the attention saw and gave, perhaps of a batch whose patients were fused in groups."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn


@dataclass(frozen=True)
class Attended:
    """The last fusion layer's attention, and what went into it.

    Attributes:
        attention: Alpha over all tokens (modalities first), then over guidance's anchors.
        mask: Which tokens could be attended to.
        between: The bias A between the tokens, before lambda; None without guidance.
        toward: A towards guidance's anchors; None without.
    """

    attention: Float[Tensor, "batch heads token key"]
    mask: Bool[Tensor, "batch token"]
    between: Float[Tensor, "batch #heads token token"] | None = None
    toward: Float[Tensor, "batch heads token anchor"] | None = None

    @property
    def whole(self) -> "Attended":
        """Itself."""
        return self


@dataclass(frozen=True)
class InGroups:
    """The same of several groups of patients, each with as many tokens as its own fullest patient has.

    Attributes:
        parts: One a group.
        back: Where each patient of the batch stands among those of the groups, one group after the other.
    """

    parts: Sequence[Attended]
    back: Int64[Tensor, " batch"]

    @cached_property
    def whole(self) -> Attended:
        """All patients in their own order, with as many tokens as the fullest has; put together when asked for."""
        tokens = max(part.mask.shape[1] for part in self.parts)

        def joined(of: Callable[[Attended], Tensor]) -> Tensor:
            return torch.cat([of(part) for part in self.parts])[self.back]

        def widened(values: Tensor, rows: int, columns: int) -> Tensor:
            return nn.functional.pad(values, (0, columns, 0, rows))

        def attention(part: Attended) -> Tensor:
            own = part.mask.shape[1]
            between, toward = part.attention[..., :own], part.attention[..., own:]
            more = tokens - own
            return torch.cat([widened(between, more, more), widened(toward, more, 0)], -1)

        def between(part: Attended) -> Tensor:
            assert part.between is not None
            more = tokens - part.mask.shape[1]
            return widened(part.between, more, more)

        def toward(part: Attended) -> Tensor:
            assert part.toward is not None
            return widened(part.toward, tokens - part.mask.shape[1], 0)

        first = self.parts[0]
        return Attended(
            joined(attention),
            joined(lambda part: widened(part.mask, 0, tokens - part.mask.shape[1])),
            None if first.between is None else joined(between),
            None if first.toward is None else joined(toward),
        )
