"""What `explain_bias` found, as lines that a clinician can read."""

from __future__ import annotations

from typing import Any

from ontology.recognise import POLARITIES

Document = dict[str, Any]
_EVIDENCE = 8  # pieces of evidence that are told; the document has all


def lines(document: Document) -> list[str]:
    """Write a document as text.

    Args:
        document: What `explain_bias` gave.
    """
    scale = document["lambda"]["mean"]
    result = [
        f"sample {document['sample_id']}, subject {document['subject_id']}: what the ontology "
        f"({document['ontology']}) told the attention",
        f"guidance {document['guidance']}; bias in units of the attention's logits, lambda {scale:.3g} (mean of layers "
        "and heads) times its score",
        document["how"],
    ]
    for part in document["between"]:
        result += ["", *_told(part)]
    for part in document["toward"] or ():
        result += ["", *_told_toward(part)]
    return [*result, "", *document["notes"], document["warning"]]


def _told(part: Document) -> list[str]:
    m, n = part["modalities"]
    head = f"within {m}" if m == n else f"{m} and {n}"
    if part["said"]:
        return [f"{head}: {part['said']}"]
    way = "" if m == n else f" (from {m} to {n} {part['there']:+.4f}, from {n} to {m} {part['back']:+.4f})"
    result = [f"{head}: bias {part['bias']:+.4f}{way}"]
    count = f"{part['n_pairs']} {'pair' if part['n_pairs'] == 1 else 'pairs'} of concepts"
    result.append(
        f"  {count}: {part['for']:+.4f} for and {part['against']:+.4f} against; shares are of both together"
    )
    for pair in part["pairs"]:
        result.append(f"  {pair['contribution']:+.4f}  share {pair['share']:4.0%}  {sentence(pair)}")
    rest = part["rest"]
    if rest["pairs"]:
        more = f"{rest['pairs']} more {'pair' if rest['pairs'] == 1 else 'pairs'}"
        if rest["nothing"]:
            more += (
                ", adding nothing"
                if rest["nothing"] == rest["pairs"]
                else f", {rest['nothing']} adding nothing"
            )
        result.append(f"  {rest['contribution']:+.4f}  share {rest['share']:4.0%}  {more}")
    result += _told_relations(part["relations"])
    if part["evidence"] is not None:
        result.append(
            f"  by piece of evidence (integrated gradients, {part['steps']} points, completeness gap {part['gap']:.2%})"
        )
        first, others = part["evidence"][:_EVIDENCE], part["evidence"][_EVIDENCE:]
        result += [f"  {row['attribution']:+.4f}  {_named(row)}" for row in first]
        if others:
            result.append(f"  {sum(row['attribution'] for row in others):+.4f}  {len(others)} more")
    return result


def _told_relations(relations: Document | None) -> list[str]:
    if relations is None:
        return []
    result = ["  by relation that messages went along (Shapley values; they sum to the bias)"]
    result.append(f"  {relations['without']:+.4f}  without any message")
    for row in relations["parts"]:
        several = len(row["relations"])
        name = row["relations"][0] if several == 1 else f"{several} others together"
        result.append(f"  {row['contribution']:+.4f}  {name}")
    return result


def _told_toward(part: Document) -> list[str]:
    result = [
        f"{part['modality']} towards anchor {part['anchor']}: bias {part['bias']:+.4f}",
        f"  most drawn to this anchor: {'; '.join(concept['name'] for concept in part['drawn'])}",
    ]
    for piece in part["pieces"]:
        if piece["path"] is None:
            said = _named(piece)
        else:
            goal = part["drawn"][0]["name"]
            said = (
                f"{_named(piece)}  is that concept"
                if not piece["path"]
                else _walk(_named(piece), goal, piece)
            )
        result.append(f"  {piece['contribution']:+.4f}  share {piece['share']:4.0%}  {said}")
    if part["rest"]["pieces"]:
        result.append(f"  {part['rest']['contribution']:+.4f}  {part['rest']['pieces']} more")
    return result + _told_relations(part["relations"])


def sentence(pair: Document) -> str:
    """Write a pair of concepts and the way between them on one line.

    Args:
        pair: One of `pairs`.
    """
    a, b, path = _named(pair["a"]), _named(pair["b"]), pair["path"]
    if path is None:
        return f"{a}  ...  {b}"
    if not path:
        return f"{a}  is the same concept as  {b}"
    return _walk(a, b, pair)


def _walk(a: str, b: str, pair: Document) -> str:
    walk, path = a, pair["path"]
    for number, step in enumerate(path):
        arrow = f"--{step['relation']}-->" if step["forward"] else f"<--{step['relation']}--"
        walk += f"  {arrow}  {b if number == len(path) - 1 else step['to']}"
    return f"{walk}  (longer than messages reach)" if pair["too_long"] else walk


def _named(concept: Document) -> str:
    polarity = "" if concept["polarity"] == POLARITIES[0] else f" ({concept['polarity']})"
    return f"{concept['modality']}: {concept['name']}{polarity}"
