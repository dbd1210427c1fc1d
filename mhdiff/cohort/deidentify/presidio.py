"""Microsoft Presidio as one more finder of identifiers, with the model that the user names (extra `presidio`).

The YAML is Presidio's own: `nlp_configuration` with the model, `recognizer_registry` with the recognisers. Nothing is
downloaded: a spaCy model must be installed or be a folder. https://microsoft.github.io/presidio/
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Final

import yaml

from mhdiff.cohort.deidentify.spans import Span
from ontology.errors import InputError

#: Presidio's entity -> our kind. Any other entity, such as one of the user's own, counts as an id.
ENTITIES: Final = {
    "PERSON": "name",
    "DATE_TIME": "date",
    "AGE": "age",
    "PHONE_NUMBER": "phone",
    "EMAIL_ADDRESS": "mail",
    "URL": "url",
    "IP_ADDRESS": "url",
    "LOCATION": "address",
    "ORGANIZATION": "address",
}


class Presidio:
    """Finds what a Presidio analyzer finds.

    Args:
        file: Presidio's YAML.

    Raises:
        InputError: If Presidio is not installed, the YAML is none of its, or a model is not there.
    """

    def __init__(self, file: Path) -> None:
        try:
            from presidio_analyzer import AnalyzerEngineProvider
        except ModuleNotFoundError as error:
            raise InputError(
                "'deidentify.presidio' needs Presidio, which is not installed",
                path=file,
                remedy="pip install 'mh-diff[presidio]'",
            ) from error
        self.language = _checked(file)
        # At level INFO it would write what it looks at into whatever log is listened to.
        for name in ("presidio-analyzer", "decision_process"):
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            self.engine: Any = AnalyzerEngineProvider(analyzer_engine_conf_file=file).create_engine()
        except Exception as error:
            raise InputError(
                f"Presidio does not take this file ({type(error).__name__})",
                path=file,
                remedy="It must be the YAML of an analyzer, with nlp_configuration and recognizer_registry",
            ) from error

    def __call__(self, text: str) -> list[Span]:
        """Give what it finds.

        Args:
            text: A note.
        """
        found = self.engine.analyze(text, language=self.language)
        return [Span(f.start, f.end, ENTITIES.get(f.entity_type, "id")) for f in found]


def _checked(file: Path) -> str:
    """Give the language, and refuse a spaCy model that Presidio would download."""
    import spacy

    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        models = content["nlp_configuration"]["models"]
        languages = content.get("supported_languages") or [models[0]["lang_code"]]
        names = [
            m["model_name"] for m in models if content["nlp_configuration"]["nlp_engine_name"] == "spacy"
        ]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, IndexError) as error:
        raise InputError(
            "the file names no model",
            path=file,
            remedy="It needs nlp_configuration: {nlp_engine_name, models}",
        ) from error
    for name in names:
        if not (spacy.util.is_package(str(name)) or Path(str(name)).is_dir()):
            raise InputError(
                f"the spaCy model '{name}' is not installed and no folder",
                path=file,
                remedy="Install it, or give its folder; nothing is downloaded",
            )
    return str(languages[0])
