"""What a text encoder makes of the concepts' terms, once, when the graph is built."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float32
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from graph_builders.features import nodes_in
from ontology.errors import InputError
from ontology.progress import step

if TYPE_CHECKING:
    from ontology import Ontology


class MeanPooled:
    """A transformers text encoder, whose last states are averaged over a text's tokens.

    Args:
        model: What `AutoModel.from_pretrained` gave; used where it is, in its own precision.
        tokenizer: What `AutoTokenizer.from_pretrained` gave.
        name: What to call it in the graph's record.
        max_length: Tokens of a text that are read; further ones are cut off.
        batch_size: Texts at once.
    """

    def __init__(
        self, model: Any, tokenizer: Any, name: str = "", max_length: int = 64, batch_size: int = 256
    ) -> None:
        self.model, self.tokenizer = model.eval(), tokenizer
        self.name = name or str(getattr(model, "name_or_path", "")) or type(model).__name__
        self.max_length, self.batch_size = max_length, batch_size

    @classmethod
    def from_pretrained(cls, folder: str, local_files_only: bool = True, **options: Any) -> MeanPooled:
        """Load an encoder from a folder or the local cache; no remote code, no pickles.

        Args:
            folder: Folder or hub id.
            local_files_only: Never use the network.
            **options: Further arguments of the class.

        Raises:
            InputError: If it cannot be loaded.
        """
        from transformers import AutoModel, AutoTokenizer

        safe = {"local_files_only": local_files_only, "trust_remote_code": False}
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, **safe)
            model = AutoModel.from_pretrained(folder, use_safetensors=True, dtype=torch.float32, **safe)
        except (OSError, ValueError, RuntimeError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
            raise InputError(
                f"the text encoder cannot be loaded: {reason}",
                path=folder,
                remedy="Give a folder with config.json and model.safetensors, or the id of a model in the local cache",
            ) from error
        return cls(model, tokenizer, folder, **options)

    @torch.no_grad()
    def __call__(self, texts: list[str]) -> Float32[Tensor, "texts width"]:
        """Encode texts.

        Args:
            texts: The texts.
        """
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))  # like lengths, little padding
        found = torch.zeros(len(texts), int(self.model.config.hidden_size))
        for start in range(0, len(order), self.batch_size):
            step("term embeddings", start / len(order))
            rows = order[start : start + self.batch_size]
            inputs = self.tokenizer(
                [texts[row] for row in rows],
                padding=True,
                truncation=True,
                max_length=self.max_length,
                return_tensors="pt",
            ).to(self.model.device)
            states = self.model(**inputs).last_hidden_state
            mask = inputs["attention_mask"][..., None].to(states.dtype)
            pooled = (states * mask).sum(1) / mask.sum(1).clamp(min=1)
            found[torch.tensor(rows)] = pooled.to("cpu", torch.float32)
        return found


@functional_transform("term_embedding")
class TermEmbedding(BaseTransform):
    """Add `x_term` [N, C]: each concept's preferred term as an encoder reads it, of length 1.

    Args:
        ontology: Knows the terms.
        encode: From texts to tensors [texts, C]; `MeanPooled` is one.
        fsn: Read the fully specified name, with its tag, instead of the preferred term.
    """

    def __init__(self, ontology: Ontology, encode: Callable[[list[str]], Tensor], fsn: bool = False) -> None:
        self.ontology, self.encode, self.fsn = ontology, encode, fsn

    def forward(self, data: HeteroData) -> HeteroData:
        """Give the graph with the feature.

        Args:
            data: A shallow copy of the graph, which PyG's `__call__` makes.

        Raises:
            InputError: If a concept is not in the ontology, or the encoder gives no row for each text.
        """
        place = nodes_in(self.ontology, data)
        name = self.ontology.fsn if self.fsn else self.ontology.term
        texts = [name(sctid) for sctid in self.ontology.sctids[place].tolist()]
        found = self.encode(texts)
        if found.ndim != 2 or len(found) != len(texts) or not bool(found.isfinite().all()):
            raise InputError(
                f"{_called(self.encode)} gives a tensor {list(found.shape)} for {len(texts):,} terms, or no numbers",
                remedy="It has to give one row of finite numbers for each text",
            )
        found = torch.nn.functional.normalize(found.to("cpu", torch.float32), dim=-1)
        data["concept"].x_term = found
        return data

    def __repr__(self) -> str:
        return f"TermEmbedding(encode='{_called(self.encode)}', fsn={self.fsn})"


def _called(encode: Any) -> str:
    return str(getattr(encode, "name", "") or getattr(encode, "__name__", "") or type(encode).__name__)
