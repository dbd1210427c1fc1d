"""Clinical notes as embeddings: transformer encoders whose word embeddings are the differentiable point.

Attributions attach to the word embeddings; position and token-type embeddings and the attention mask keep
their true values along the path. The baseline is the PAD or MASK embedding at every position except CLS and
SEP, which are kept. Attention is computed eagerly, because the fused kernel has no second derivative on the
CPU.
"""

from abc import abstractmethod
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from mhdiff.encoders.base import Encoder, Inputs
from mhdiff.encoders.hub import load_model
from mhdiff.encoders.specs import TextSpec
from ontology.errors import InputError


class TextEncoder(Encoder):
    """What text encoders share: word embeddings in, pooled hidden states out.

    Args:
        spec: The vocabulary.
        dim: Width of the embedding.
        pooling: Average over the note's tokens, or the first token.
    """

    unit_axis = 2

    def __init__(self, spec: TextSpec, dim: int, pooling: Literal["mean", "cls"]) -> None:
        super().__init__(dim)
        self.pooling = pooling
        self.kept = [i for i in (spec.cls_id, spec.sep_id) if i is not None]
        self.empty_id = spec.pad_id

    @property
    @abstractmethod
    def network(self) -> Any:
        """The transformers model."""

    @property
    @abstractmethod
    def project(self) -> nn.Module:
        """From its hidden state to the embedding."""

    def differentiable(self, inputs: Inputs) -> Float[Tensor, "batch tokens hidden"]:
        """Give the word embeddings.

        Args:
            inputs: `input_ids`, int64 `[batch, tokens]`.
        """
        return self.network.get_input_embeddings()(inputs["input_ids"])

    def baseline(self, inputs: Inputs) -> Float[Tensor, "batch tokens hidden"]:
        """Give the embeddings of a note of the same length that says nothing.

        Args:
            inputs: `input_ids`, int64 `[batch, tokens]`.
        """
        ids = inputs["input_ids"]
        keep = torch.zeros_like(ids, dtype=torch.bool)
        for token in self.kept:
            keep |= ids == token
        if "attention_mask" in inputs:
            keep |= inputs["attention_mask"] == 0
        return self.network.get_input_embeddings()(torch.where(keep, ids, self.empty_id))

    def encode(self, x: Float[Tensor, "batch tokens hidden"], inputs: Inputs) -> Float[Tensor, "batch dim"]:
        """Give the embedding.

        Args:
            x: Word embeddings.
            inputs: `attention_mask`, `[batch, tokens]`.
        """
        return self.project(self._pooled(x, inputs))

    def _pooled(self, x: Tensor, inputs: Inputs) -> Tensor:
        mask = inputs["attention_mask"]
        hidden = self.network(inputs_embeds=x, attention_mask=mask).last_hidden_state
        if self.pooling == "cls":
            return hidden[:, 0]
        weight = mask.to(hidden.dtype)[..., None]
        return (hidden * weight).sum(dim=1) / weight.sum(dim=1).clamp_min(1)


class SmallBert(TextEncoder):
    """A small BERT from scratch over a vocabulary trained on the training fold.

    The baseline is PAD, whose embedding is zero and is never trained.

    Args:
        spec: The vocabulary.
        dim: Width of the embedding.
        layers: Number of layers.
        heads: Attention heads; divides `width`.
        width: Width of the hidden states.
        dropout: Dropout everywhere.
        pooling: Average over the note's tokens, or the first token.
    """

    def __init__(
        self,
        spec: TextSpec,
        dim: int,
        layers: int = 2,
        heads: int = 4,
        width: int = 128,
        dropout: float = 0.1,
        pooling: Literal["mean", "cls"] = "mean",
    ) -> None:
        super().__init__(spec, dim, pooling)
        if width % heads:
            raise InputError(
                f"{heads} heads do not divide a width of {width}",
                remedy="Choose another width or number of heads",
            )
        config = BertConfig(
            vocab_size=spec.vocab_size,
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=4 * width,
            hidden_act="gelu",
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
            max_position_embeddings=spec.max_length,
            type_vocab_size=1,
            pad_token_id=spec.pad_id,
            attn_implementation="eager",
        )
        self.bert = BertModel(config, add_pooling_layer=False)
        self.out = nn.Linear(width, dim)

    @property
    def network(self) -> Any:
        """The BERT."""
        return self.bert

    @property
    def project(self) -> nn.Module:
        """From its hidden state to the embedding."""
        return self.out


class PretrainedText(TextEncoder):
    """A pretrained transformers text encoder (BERT, RoBERTa, ELECTRA, DistilBERT ...).

    The baseline is MASK where the vocabulary has one, otherwise PAD.

    Args:
        spec: The vocabulary; `HubText` of the same folder or id gives it.
        dim: Width of the embedding.
        name_or_path: Folder or hub id.
        freeze: Train only the projection.
        local_files_only: Never use the network.
        pooling: Average over the note's tokens, or the first token.
    """

    def __init__(
        self,
        spec: TextSpec,
        dim: int,
        name_or_path: str,
        freeze: bool = True,
        local_files_only: bool = False,
        pooling: Literal["mean", "cls"] = "mean",
    ) -> None:
        super().__init__(spec, dim, pooling)
        model = load_model(name_or_path, local_files_only=local_files_only)
        if not _reads_text(model):
            raise InputError("this is no text encoder", path=name_or_path, remedy="Give a BERT-like model")
        vocabulary = model.get_input_embeddings().num_embeddings
        if spec.vocab_size > vocabulary:
            raise InputError(
                f"the tokenizer has {spec.vocab_size} tokens and the model {vocabulary}",
                path=name_or_path,
                remedy="Tokenize with mhdiff.encoders.HubText of the same folder or id",
            )
        longest = _longest(model)
        if spec.max_length > longest:
            raise InputError(
                f"the model reads at most {longest} tokens",
                path=name_or_path,
                remedy=f"Set max_length to {longest} or less",
            )
        if spec.mask_id is not None:
            self.empty_id = spec.mask_id
        model.requires_grad_(not freeze)
        self.model, self.freeze = model, freeze
        self.out = nn.Linear(model.config.hidden_size, dim)
        self.train()

    @property
    def frozen(self) -> bool:
        """Whether only the projection is trained."""
        return self.freeze

    def features(self, inputs: Inputs) -> Float[Tensor, "batch width"]:
        """Give the pooled hidden state of a frozen model, otherwise the embedding.

        Args:
            inputs: `input_ids` and `attention_mask`.
        """
        return self._pooled(self.differentiable(inputs), inputs) if self.freeze else self(inputs)

    @property
    def network(self) -> Any:
        """The pretrained model."""
        return self.model

    @property
    def project(self) -> nn.Module:
        """From its hidden state to the embedding."""
        return self.out

    def train(self, mode: bool = True) -> "PretrainedText":
        """Switch to training, except what is frozen.

        Args:
            mode: Whether to train.
        """
        super().train(mode)
        if self.freeze:
            self.model.eval()
        return self


def _reads_text(model: Any) -> bool:
    """Whether the model is an encoder that starts from word embeddings."""
    try:
        words = model.get_input_embeddings()
    except NotImplementedError:  # how transformers says that a model, such as one for audio, has none
        return False
    return isinstance(words, nn.Embedding) and not getattr(model.config, "is_encoder_decoder", False)


def _longest(model: Any) -> int:
    """The longest sequence; RoBERTa-like models start counting positions after the padding index."""
    positions = int(getattr(model.config, "max_position_embeddings", 0) or 0)
    if positions <= 0:
        return 1_000_000
    embeddings = getattr(model, "embeddings", None)
    offset = getattr(getattr(embeddings, "position_embeddings", None), "padding_idx", None)
    return positions - (int(offset) + 1 if offset is not None else 0)
