"""Notes as token ids with offsets: a WordPiece vocabulary of the training fold, or a pretrained tokenizer.

The vocabulary of our own counts a word once a note and keeps it only when enough notes hold it, so that a
rare string, such as a name that slipped through de-identification, does not end up in a checkpoint. What others have
removed from a note (MIMIC's ___) gives no token; our own placeholders, such as [DATE], are words as any other.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import polars as pl
import torch
from jaxtyping import Bool
from torch import Tensor

from mhdiff.encoders.events import joined_text
from mhdiff.encoders.hub import load_pretrained
from mhdiff.encoders.preprocess import EventReader, State
from mhdiff.encoders.specs import TextSpec
from ontology.errors import InputError
from ontology.removed import FOREIGN, blanked

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


@dataclass(frozen=True)
class Tokens:
    """One note's tokens, for explanations.

    Args:
        ids: Token ids, special tokens included, without padding.
        offsets: First character and the one after the last, in the note; (0, 0) for special tokens.
        special: Which tokens stand for no text.
    """

    ids: list[int]
    offsets: list[tuple[int, int]]
    special: list[bool]


class TextPreprocessor(EventReader):
    """What both share: padding to the longest note of a call, and counting what was cut or unknown."""

    max_length: int
    report: dict[str, Any]

    @property
    def spec(self) -> TextSpec:
        """What the encoder must know."""
        raise InputError(
            "the vocabulary was not fitted", remedy="Call fit with the notes of the training fold"
        )

    def tokens(self, text: str) -> Tokens:
        """Give one note's tokens and where they stand in it.

        Args:
            text: The note.
        """
        return self._encode([_readable(text)])[0][0]

    @abstractmethod
    def fit(self, texts: Iterable[str | None]) -> TextPreprocessor:
        """Learn what there is to learn from the notes of the training fold.

        Args:
            texts: The notes; None is skipped.
        """

    def learn(self, events: pl.DataFrame, sample_ids: Sequence[int]) -> None:
        """Fit to the notes, see `fit`.

        Args:
            events: The notes of the training fold.
            sample_ids: Its samples.
        """
        self.fit(joined_text(events, sample_ids))

    def tensors(self, events: pl.DataFrame, sample_ids: Sequence[int]) -> dict[str, Tensor]:
        """Give one row a sample: its notes, joined, as `transform` gives them.

        Args:
            events: The notes.
            sample_ids: The samples.
        """
        return self.transform(joined_text(events, sample_ids))

    def present(self, events: pl.DataFrame, sample_ids: Sequence[int]) -> Bool[Tensor, " samples"]:
        """Say which samples have a note with a text.

        Args:
            events: The notes.
            sample_ids: The samples.
        """
        return super().present(events.filter(pl.col("text_value").is_not_null()), sample_ids)

    def transform(self, texts: Sequence[str | None]) -> dict[str, Tensor]:
        """Give one row of token ids a note.

        Args:
            texts: The notes; None where a sample has none, which gives only padding.

        Returns:
            `input_ids` and `attention_mask`, int64 `[notes, longest]`.
        """
        spec = self.spec
        rows = [row for row, text in enumerate(texts) if text is not None]
        encoded = self._encode([_readable(text) for text in texts if text is not None]) if rows else []
        longest = max((len(tokens.ids) for tokens, *_ in encoded), default=1)
        ids = torch.full((len(texts), longest), spec.pad_id, dtype=torch.int64)
        mask = torch.zeros_like(ids)
        cut = unknown = total = 0
        for row, (tokens, was_cut, unknowns) in zip(rows, encoded, strict=True):
            ids[row, : len(tokens.ids)] = torch.tensor(tokens.ids)
            mask[row, : len(tokens.ids)] = 1
            cut, unknown, total = cut + was_cut, unknown + unknowns, total + len(tokens.ids)
        self.report = {
            "notes": len(rows),
            "absent": len(texts) - len(rows),
            "cut at max_length": cut,
            "tokens": total,
            "unknown tokens": unknown,
        }
        return {"input_ids": ids, "attention_mask": mask}

    def _encode(self, texts: Sequence[str]) -> list[tuple[Tokens, bool, int]]:
        """Tokens, whether the note was cut, and the number of unknown tokens."""
        raise InputError(
            "the vocabulary was not fitted", remedy="Call fit with the notes of the training fold"
        )


class WordPieceText(TextPreprocessor):
    """A WordPiece vocabulary trained on the training fold.

    Args:
        vocab_size: Most tokens, special ones included.
        max_length: Longest sequence, special tokens included.
        min_notes: In how many notes a piece must occur to be learned.
        lowercase: Whether case is dropped.
    """

    def __init__(
        self, vocab_size: int = 4000, max_length: int = 256, min_notes: int = 3, lowercase: bool = True
    ) -> None:
        self.vocab_size, self.max_length, self.min_notes, self.lowercase = (
            vocab_size,
            max_length,
            min_notes,
            lowercase,
        )
        self.tokenizer: Any = None
        self.report = {}

    @property
    def spec(self) -> TextSpec:
        """What the encoder must know."""
        if self.tokenizer is None:
            return super().spec
        pad, _, cls, sep, mask = range(5)
        return TextSpec(self.tokenizer.get_vocab_size(), pad, mask, cls, sep, self.max_length)

    def fit(self, texts: Iterable[str | None]) -> WordPieceText:
        """Learn the vocabulary.

        Args:
            texts: The notes of the training fold; None is skipped.

        Returns:
            This object.

        Raises:
            InputError: If there is no note.
        """
        from tokenizers import models, trainers

        tokenizer = self._empty(models.WordPiece(unk_token="[UNK]"))
        notes = [_words(tokenizer, _readable(text)) for text in texts if text and text.strip()]
        if not notes:
            problem = "the training fold holds no note"
            raise InputError(problem, remedy="Take the modality out of the task, or check its prefixes")
        # min_frequency holds merges back, but the alphabet would take every character, so it is given.
        least = min(self.min_notes, len(notes))
        held = Counter(character for note in notes for character in set("".join(note)))
        alphabet = sorted(character for character, count in held.items() if count >= least)
        # The trainer numbers the continuing characters in the order of a hash table, and breaks ties by
        # number: naming them beforehand makes the vocabulary the same every time.
        continuing = [f"##{character}" for character in alphabet]
        trainer = trainers.WordPieceTrainer(
            vocab_size=self.vocab_size,
            min_frequency=least,
            special_tokens=[*_SPECIAL, *continuing],
            initial_alphabet=alphabet,
            limit_alphabet=len(alphabet),
            show_progress=False,
        )
        tokenizer.train_from_iterator((" ".join(note) for note in notes), trainer)
        self.tokenizer = self._empty(models.WordPiece(tokenizer.get_vocab(), unk_token="[UNK]"))
        self.tokenizer.add_special_tokens(list(_SPECIAL))
        self._limit()
        self.report = {"notes": len(notes), "tokens in the vocabulary": self.tokenizer.get_vocab_size()}
        return self

    def _empty(self, model: Any) -> Any:
        from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors

        tokenizer = Tokenizer(model)
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=self.lowercase)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]",
            special_tokens=[(token, _SPECIAL.index(token)) for token in ("[CLS]", "[SEP]")],
        )
        return tokenizer

    def state(self) -> State:
        """Give the settings and the vocabulary."""
        return {
            "kind": "WordPieceText",
            "vocab_size": self.vocab_size,
            "max_length": self.max_length,
            "min_notes": self.min_notes,
            "lowercase": self.lowercase,
            "tokenizer": None if self.tokenizer is None else self.tokenizer.to_str(),
        }

    @classmethod
    def from_state(cls, state: State) -> WordPieceText:
        """Make the vocabulary again.

        Args:
            state: What `state` gave.
        """
        text = cls(state["vocab_size"], state["max_length"], state["min_notes"], state["lowercase"])
        if state["tokenizer"] is not None:
            from tokenizers import Tokenizer

            text.tokenizer = Tokenizer.from_str(state["tokenizer"])
            text._limit()
        return text

    def _limit(self) -> None:
        self.tokenizer.enable_truncation(max_length=self.max_length)

    def _encode(self, texts: Sequence[str]) -> list[tuple[Tokens, bool, int]]:
        if self.tokenizer is None:
            return super()._encode(texts)
        return [
            (
                Tokens(e.ids, e.offsets, [bool(s) for s in e.special_tokens_mask]),
                bool(e.overflowing),
                e.ids.count(1),
            )
            for e in self.tokenizer.encode_batch(list(texts))
        ]


class HubText(TextPreprocessor):
    """The tokenizer of a pretrained model; nothing is fitted.

    Args:
        name_or_path: Folder or hub id.
        max_length: Longest sequence, special tokens included.
        local_files_only: Never use the network.
    """

    fits: ClassVar[bool] = False

    def __init__(self, name_or_path: str, max_length: int = 256, local_files_only: bool = False) -> None:
        from transformers import AutoTokenizer

        self.name_or_path, self.max_length, self.local_files_only = name_or_path, max_length, local_files_only
        self.report = {}
        self.tokenizer = load_pretrained(
            AutoTokenizer.from_pretrained, name_or_path, local_files_only=local_files_only
        )
        if not getattr(self.tokenizer, "is_fast", False):
            raise InputError(
                "this tokenizer gives no character offsets",
                path=name_or_path,
                remedy="Give one with a tokenizer.json",
            )
        vocabulary = sorted(self.tokenizer.get_vocab().items())
        self.fingerprint = hashlib.sha256(repr(vocabulary).encode()).hexdigest()

    @property
    def spec(self) -> TextSpec:
        """What the encoder must know."""
        t = self.tokenizer
        pad = t.pad_token_id if t.pad_token_id is not None else t.eos_token_id
        return TextSpec(len(t), pad or 0, t.mask_token_id, t.cls_token_id, t.sep_token_id, self.max_length)

    def fit(self, texts: Iterable[str | None]) -> HubText:
        """Learn nothing, so that both kinds of tokenizer are used alike.

        Args:
            texts: Not read.

        Returns:
            This object.
        """
        return self

    def state(self) -> State:
        """Give the name, and the fingerprint of the vocabulary."""
        return {
            "kind": "HubText",
            "name_or_path": self.name_or_path,
            "max_length": self.max_length,
            "local_files_only": self.local_files_only,
            "fingerprint": self.fingerprint,
        }

    @classmethod
    def from_state(cls, state: State) -> HubText:
        """Load the tokenizer again.

        Args:
            state: What `state` gave.

        Raises:
            InputError: If the vocabulary is no longer the one that was used.
        """
        text = cls(state["name_or_path"], state["max_length"], state["local_files_only"])
        if text.fingerprint != state["fingerprint"]:
            raise InputError(
                "the tokenizer is not the one that the model was trained with",
                path=text.name_or_path,
                remedy="Give the folder of that time, or train again",
            )
        return text

    def _encode(self, texts: Sequence[str]) -> list[tuple[Tokens, bool, int]]:
        encoded = self.tokenizer(
            list(texts),
            truncation=True,
            max_length=self.max_length,
            return_offsets_mapping=True,
            return_special_tokens_mask=True,
        )
        result = []
        for row, ids in enumerate(encoded["input_ids"]):
            special = [bool(s) for s in encoded["special_tokens_mask"][row]]
            offsets = [(int(a), int(b)) for a, b in encoded["offset_mapping"][row]]
            unknown = self.tokenizer.unk_token_id
            cut = bool(encoded.encodings[row].overflowing)
            result.append(
                (Tokens(list(ids), offsets, special), cut, ids.count(unknown) if unknown is not None else 0)
            )
        return result


def _readable(text: str) -> str:
    """Blank what others have removed; offsets stay."""
    return blanked(text, " ", FOREIGN)


def _words(tokenizer: Any, text: str) -> list[str]:
    """The different words of a note, sorted."""
    plain = tokenizer.normalizer.normalize_str(text)
    return sorted({word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(plain)})
