"""`mhdiff ontology recognise`: the concepts that notes name, where, and what is said of them."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mhdiff import console
from mhdiff.commands import Verb
from mhdiff.commands.ontology.common import configure_ontology, named, open_ontology
from ontology.errors import InputError

if TYPE_CHECKING:
    from ontology import Mention, Ontology, Recogniser

_STDIN = "stdin"


class Note(NamedTuple):
    """A note, and what its results are called by."""

    name: dict[str, Any]
    text: str


def _configure(parser: argparse.ArgumentParser) -> None:
    configure_ontology(parser)
    parser.add_argument("text", nargs="?", metavar="TEXT", help="a note; without it stdin is read, or --file")
    parser.add_argument(
        "--file", action="append", default=[], metavar="PATH", help="a file with a note; may be repeated"
    )
    parser.add_argument(
        "--lines",
        action="store_true",
        help='many notes: each line is a JSON string, or an object with "text" (and "id"); so is each result',
    )


def _recognise(args: argparse.Namespace) -> None:
    from ontology.recognise import Recogniser

    if args.text is not None and (args.file or args.lines):
        raise InputError(
            "a note is given both as TEXT and otherwise", remedy="Give TEXT, or --file, or notes on stdin"
        )
    ontology = open_ontology(args.ontology)
    notes = _lines(args.file) if args.lines else _whole(args)
    recognise = Recogniser(ontology)
    _say_lexicon(recognise)
    results = zip(notes, recognise.stream(_texts(notes)), strict=True)
    if not args.lines and len(notes) == 1:
        _print_one(ontology, next(results)[1], args.json)
        return
    documents = ({**note.name, "mentions": _documents(ontology, found)} for note, found in results)
    if args.json:
        console.out_json(list(documents))
        return
    for document in documents:
        if args.lines:
            console.out(json.dumps(document, ensure_ascii=False))
        else:
            console.out(f"{document['file']}:")
            _print(ontology, document["mentions"])


def _print_one(ontology: Ontology, mentions: list[Mention], as_json: bool) -> None:
    found = _documents(ontology, mentions)
    if as_json:
        console.out_json(found)
    else:
        _print(ontology, found)


def _print(ontology: Ontology, mentions: list[dict[str, Any]]) -> None:
    for m in mentions:
        identifier = ontology.identifier(m["sctid"])
        console.out(
            f"{m['start']:>5}-{m['end']:<5} {m['polarity']:<11} {identifier}  {m['term']}  ({m['text']!r})"
        )


def _documents(ontology: Ontology, mentions: list[Mention]) -> list[dict[str, Any]]:
    return [{**mention._asdict(), **named(ontology, mention.sctid)} for mention in mentions]


def _texts(notes: list[Note]) -> Iterator[str]:
    texts: Iterable[str] = [note.text for note in notes]
    yield from console.progress(texts, f"reading {len(notes):,} notes") if len(notes) > 1 else texts


def _say_lexicon(recognise: Recogniser) -> None:
    """Say why the first note took longer than the next ones will, or why they will too."""
    if recognise.ontology.folder is None or not recognise.built:
        return
    console.say(f"built the lexicon ({recognise.built})")
    if recognise.held:
        console.say(f"the lexicon could not be kept beside the ontology: {recognise.held}")


def _whole(args: argparse.Namespace) -> list[Note]:
    if args.text is not None:
        return [Note({}, args.text)]
    if not args.file:
        return [Note({"file": _STDIN}, _decode(_stdin(), _STDIN))]
    return [Note({"file": path}, _decode(_bytes(path), path)) for path in args.file]


def _lines(files: list[str]) -> list[Note]:
    notes, blank = [], 0
    for path in files or [_STDIN]:
        text = _decode(_bytes(path) if files else _stdin(), path)
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                notes.append(_note(line, path, number))
            elif number <= text.count("\n"):
                blank += 1
    if blank:
        console.say(f"{blank:,} blank lines hold no note")
    return notes


def _note(line: str, path: str, number: int) -> Note:
    remedy = 'A line is a JSON string, or an object such as {"id": "n1", "text": "No fever."}'
    try:
        content = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(
            f"the line is no JSON (character {error.pos + 1}: {error.msg})",
            path=path,
            row=number,
            remedy=remedy,
        ) from error
    except RecursionError as error:
        raise InputError("the line nests too deeply", path=path, row=number, remedy=remedy) from error
    text = content.get("text") if isinstance(content, dict) else content
    if not isinstance(text, str):
        raise InputError("the line holds no text", path=path, row=number, column="text", remedy=remedy)
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise InputError(
            "the text holds half of a surrogate pair", path=path, row=number, remedy="Write it as UTF-8"
        )
    name = {"file": path, "line": number}
    return Note(name | ({"id": content["id"]} if isinstance(content, dict) and "id" in content else {}), text)


def _stdin() -> bytes:
    # as bytes, since spans must not move where lines end in CRLF
    return sys.stdin.buffer.read()


def _bytes(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(
            f"the file cannot be read ({error.strerror})", path=path, remedy="Give a text file"
        ) from error


def _decode(content: bytes, path: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"the text is not UTF-8 (byte {error.start + 1:,})",
            path=path,
            row=content.count(b"\n", 0, error.start) + 1,
            remedy="Save it as UTF-8",
        ) from error


VERBS = {
    "recognise": Verb("the concepts that notes name, and what is said of them", _configure, _recognise),
}
