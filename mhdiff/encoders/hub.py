"""Loading a transformers model or tokenizer by folder or hub id: safetensors, no remote code, quick to fail.

A folder with `ARCHITECTURE` holds a model without its weights, which are read from elsewhere, see `mhdiff.pretrained`.

A folder is read without touching the network. An id is looked up in the local cache first; only then,
unless the caller wants local files alone, is the hub asked once whether it is there (transformers itself
retries for most of a minute).
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ontology.errors import InputError

_REMEDY = (
    "Give a folder with config.json and model.safetensors (as written by save_pretrained), "
    "or the id of a model in the local Hugging Face cache or on a reachable hub"
)

#: The configuration of a model, as JSON, in a folder that does not hold its weights.
ARCHITECTURE = "architecture.json"


def load_pretrained(
    load: Callable[..., Any], name_or_path: str, *, local_files_only: bool, **options: Any
) -> Any:
    """Call a `from_pretrained` and turn whatever is wrong with the name into one message.

    Args:
        load: The `from_pretrained` of an Auto class.
        name_or_path: A folder, or an id such as `microsoft/resnet-50`.
        local_files_only: Never use the network.
        **options: Passed on.

    Returns:
        What `load` gave.

    Raises:
        InputError: If there is no such folder or model, or it cannot be read.
    """
    folder = Path(name_or_path).expanduser()
    try:
        if folder.is_dir():
            return load(str(folder), local_files_only=True, trust_remote_code=False, **options)
        if name_or_path.count("/") > 1 or name_or_path.startswith((".", "~", "/")) or folder.exists():
            raise InputError("there is no model folder of this name", path=name_or_path, remedy=_REMEDY)
        try:
            return load(name_or_path, local_files_only=True, trust_remote_code=False, **options)
        except (OSError, ValueError):
            if local_files_only:
                raise
        _hub_answers(name_or_path)
        return load(name_or_path, trust_remote_code=False, **options)
    except (OSError, ValueError, RuntimeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise InputError(
            f"the model cannot be loaded: {reason}", path=name_or_path, remedy=_REMEDY
        ) from error


def load_model(name_or_path: str, *, local_files_only: bool, **options: Any) -> Any:
    """Load a transformers model with float32 weights, eager attention and no pooler.

    The pooler is dropped because most checkpoints come without trained weights for it.

    Args:
        name_or_path: A folder or a hub id.
        local_files_only: Never use the network.
        **options: Passed on to `AutoModel.from_pretrained`.

    Returns:
        The model.

    Raises:
        InputError: If it cannot be loaded, or the checkpoint lacks weights that the model needs.
    """
    import torch
    from transformers import AutoModel

    architecture = Path(name_or_path).expanduser() / ARCHITECTURE
    if architecture.is_file():
        return _without_pooler(_from_architecture(architecture))
    model, info = load_pretrained(
        AutoModel.from_pretrained,
        name_or_path,
        local_files_only=local_files_only,
        use_safetensors=True,
        attn_implementation="eager",
        dtype=torch.float32,
        output_loading_info=True,
        **options,
    )
    lacking = sorted(key for key in info["missing_keys"] if "pooler" not in key)
    if lacking:
        raise InputError(
            f"the checkpoint lacks {len(lacking)} weights of the model, first {lacking[0]}",
            path=name_or_path,
            remedy=_REMEDY,
        )
    return _without_pooler(model)


def write_architecture(model: Any, folder: Path) -> Path:
    """Write what `load_model` builds the same model from, without its weights.

    Args:
        model: A transformers model.
        folder: Where.

    Returns:
        The file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    document = model.config.to_dict()
    document.pop("_name_or_path", None)  # where it was on the machine that loaded it
    (folder / ARCHITECTURE).write_text(json.dumps(document, indent=1, default=str), encoding="utf-8")
    return folder / ARCHITECTURE


def _from_architecture(path: Path) -> Any:
    import torch
    from transformers import AutoConfig, AutoModel

    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        config = AutoConfig.for_model(document.pop("model_type"), **document)
        return AutoModel.from_config(
            config, trust_remote_code=False, attn_implementation="eager", dtype=torch.float32
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError("the file describes no model of transformers", path=path) from error


def _without_pooler(model: Any) -> Any:
    pooler = getattr(model, "pooler", None)
    if pooler is not None and any(True for _ in pooler.parameters()):
        model.pooler = None
    return model


def _hub_answers(name: str) -> None:
    """Ask the hub once, and quickly, whether it can be reached at all."""
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        problem = "the model is not in the local cache and HF_HUB_OFFLINE is set"
        raise InputError(problem, path=name, remedy=_REMEDY)
    try:
        urlopen(Request(constants.ENDPOINT, method="HEAD"), timeout=5.0).close()
    except HTTPError:
        return  # it answers, if only to refuse; what it says about the model comes next
    except OSError as error:
        problem = f"there is no such folder or cached model, and {constants.ENDPOINT} does not answer"
        raise InputError(problem, path=name, remedy=_REMEDY) from error
