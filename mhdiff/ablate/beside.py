"""What a configuration says of `data.image_cache`, which decides no prediction and so is in no cell's key.

Lines, or entries between braces, that set the key are cut out of the text before it is hashed, to the letter: a base
with them and the same one without have the same key, and no other base changes its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import yaml

KEYS = ("image_cache", "image_cache_gib")
_OPTIONS = tuple(f"--data.{key}=" for key in KEYS)


def decisive_options(options: Iterable[str]) -> list[str]:
    """Leave out the options that decide nothing.

    Args:
        options: Options `--key=value`.
    """
    return [option for option in options if not option.startswith(_OPTIONS)]


def decisive_text(text: str) -> str:
    """Leave out the entries that decide nothing.

    Args:
        text: A base configuration, YAML; what is none is given back.
    """
    try:
        document = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return text
    for start, end in sorted(_spans(document, text), reverse=True):
        text = text[:start] + text[end:]
    return text


def _spans(document: yaml.Node | None, text: str) -> Iterator[tuple[int, int]]:
    """Find where the entries stand, each with the line or the comma that it takes."""
    if not isinstance(document, yaml.MappingNode):
        return
    for key, value in document.value:
        if key.value != "data" or not isinstance(value, yaml.MappingNode):
            continue
        for number, (name, entry) in enumerate(value.value):
            if name.value not in KEYS:
                continue
            start, end = name.start_mark.index, entry.end_mark.index
            if not value.flow_style:
                line = text.find("\n", end)
                yield text.rfind("\n", 0, start) + 1, len(text) if line < 0 else line + 1
            elif number + 1 < len(value.value):
                yield start, value.value[number + 1][0].start_mark.index
            else:
                yield value.value[number - 1][1].end_mark.index if number else start, end
