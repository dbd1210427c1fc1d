"""What an encoder must know about its input, and nothing else: the joint between preprocessing and network.

A preprocessor is fitted on the training fold and then gives a spec; an encoder is built from `(spec, dim)`.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class ImageSpec:
    """Pixels in [0, 1], `[batch, channels, *size]`.

    Args:
        channels: Number of channels; 1 is grey.
        size: Extent along each axis, (height, width) or (depth, height, width).
        spatial_dims: 2 or 3.
    """

    channels: int
    size: tuple[int, ...]
    spatial_dims: int = 2


@dataclass(frozen=True)
class TextSpec:
    """Token ids of one note, `[batch, tokens]`.

    Args:
        vocab_size: Number of token ids.
        pad_id: Padding.
        mask_id: The mask token, where the vocabulary has one.
        cls_id: First token of every note, where there is one.
        sep_id: Last token of every note, where there is one.
        max_length: Longest sequence, special tokens included.
    """

    vocab_size: int
    pad_id: int
    mask_id: int | None
    cls_id: int | None
    sep_id: int | None
    max_length: int


@dataclass(frozen=True)
class LabSpec:
    """Laboratory values, z-scored with the training fold, `[batch, labs]`.

    Args:
        names: The event code of each column, unit included.
    """

    names: tuple[str, ...]


@dataclass(frozen=True)
class EmbeddingSpec:
    """What an encoder gave before, written by `mhdiff embed`: `[batch, width]`.

    Args:
        width: Width of what is stored.
        is_latent: Whether it is z_m itself, of a trained encoder, rather than the features of a frozen network.
    """

    width: int
    is_latent: bool


@dataclass(frozen=True)
class CodeSpec:
    """Weights of codes, `[batch, size]`; column 0 stands for every code that training did not see.

    Args:
        size: Number of columns.
    """

    size: int
