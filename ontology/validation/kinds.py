"""The kinds of problems that validation knows, each with its severity, what it says, and what to do about it.

    error    the format is broken so that something is lost, refused or misread when the source is used
    warning  it is used whole, but it is against the specification, or one part of it contradicts another
    note     worth knowing, and common in good releases

A kind's code and severity are stable: scripts may rely on them.
"""

from __future__ import annotations

from typing import NamedTuple

SEVERITIES = ("error", "warning", "note")


class Kind(NamedTuple):
    """One kind of problem: how grave it is, what is wrong, and the remedy."""

    severity: str
    what: str
    remedy: str


_AGAIN = "Unpack the release again, without any conversion"
_FORMAT = "See the RF2 file formats in the SNOMED CT Release File Specification"
_EDITION = (
    "Mend the identifier; an extension is checked together with its edition: validate EDITION EXTENSION"
)
_VALUE = "Give one of the identifiers that the specification has for this column"
_REBUILD = "Build it again with: mhdiff ontology build SOURCE --out DIR"

_ERRORS = {
    # the source as a whole
    "unreadable": ("it cannot be read", "Get it again; --format says what it is"),
    "no-release": ("there is no RF2 file", "Give a release's folder or its zip"),
    "only-delta": (
        "there is only a Delta, so identifiers are not looked up",
        "Give the release that it changes before it: validate RELEASE DELTA",
    ),
    "missing-file": ("a file that every release has is not there", _FORMAT),
    "no-concept": ("there is not one active concept", "Give an extension together with its edition"),
    # a file and its lines
    "header": ("the header is not that of such a file", _FORMAT),
    "encoding": ("the bytes are not UTF-8", _AGAIN),
    "column-count": ("the line has the wrong number of columns", "The file may be cut off or edited"),
    # one value
    "identifier": ("this is no identifier", _FORMAT),
    "check-digit": ("the check digit or the length of the SCTID is wrong", "Look for a mistyped digit"),
    "partition": (
        "the SCTID's partition is not that of what stands in this column",
        "The two digits before the check digit tell concept (00, 10), description (01, 11), relationship (02, 12)",
    ),
    "number": ("this is no whole number", _FORMAT),
    "active": ("this is neither 0 nor 1", _FORMAT),
    "effective-time": ("this is no date of the form YYYYMMDD", _FORMAT),
    "later-than-release": (
        "the effectiveTime is later than the release's date",
        "Mend the row, or the date in the names of files and folder",
    ),
    "definition-status": ("this is no definition status", _VALUE),
    "description-type": ("this is no description type", _VALUE),
    "case-significance": ("this is no case significance", _VALUE),
    "characteristic-type": ("this is no characteristic type", _VALUE),
    "modifier": ("this is no modifier", _VALUE),
    "acceptability": ("this is no acceptability", _VALUE),
    "empty-term": ("the term is empty", "Give a term, or set active to 0"),
    "concrete-value": ("this is no concrete value", "Values are #number, quoted text, true or false"),
    "map-rule": (
        "the map rule cannot be read, so it is never taken to hold",
        "Rules are TRUE, OTHERWISE TRUE, or IFA id | term | with a comparison, joined by AND",
    ),
    "owl-axiom": ("the OWL axiom does not parse", "Axioms are in OWL 2 functional syntax"),
    # rows and what they refer to
    "duplicate-id": (
        "the same component again with another content",
        "Keep one row of a component; a Full keeps one for each effectiveTime",
    ),
    "dangling": ("the component is unknown", _EDITION),
    "inactive-concept": (
        "an active relationship of an inactive concept",
        "Set active to 0, or point it to what replaces the concept",
    ),
    "relationship-type": ("the relationship's type is no active concept", _EDITION),
    "self-loop": ("the relationship leads from a concept to itself", "Set active to 0"),
    "cycle": ("the is-a relationship lies on a circle", "Remove one is-a relationship of the circle"),
    "no-parent": ("an active concept has no active is-a relationship, and is not the root", "Give it a parent"),
    "no-fsn": ("an active concept has no active fully specified name", "Give it one"),
    "several-fsns": (
        "the concept has another active fully specified name in this language",
        "Keep one of them active",
    ),
    "several-preferred": (
        "the dialect prefers another term of this kind for the same concept",
        "Make all but one acceptable (900000000000549004)",
    ),
    "acceptability-conflict": (
        "the dialect says preferred and acceptable of one description",
        "Keep one of the two members active",
    ),
    "dependency-version": (
        "the module needs another version of a module than the one given",
        "Give the edition that the extension was made for",
    ),
    # a folder that `build` wrote
    "damaged": ("the file is not what was written", _REBUILD),
    "inconsistent": ("the columns of the folder contradict one another", _REBUILD),
    # other formats
    "refused": ("the reader refuses it", "Mend the source"),
    "no-name": ("a concept has no name at all", "Give it a label"),
}  # fmt: skip
_WARNINGS = {
    "byte-order-mark": ("the file begins with a byte order mark", "Save it as UTF-8 without one"),
    "blank-line": ("a blank line", "Remove it"),
    "comment-line": ("a line that begins with '#', and is left out", "Remove it"),
    "short-row": ("the line lacks its last texts, and is read as if they were empty", "Add the missing tabs"),
    "header-order": ("the columns are not those of the specification, in its order", _FORMAT),
    "member-id": ("the member's id is no UUID", "Give it one"),
    "no-effective-time": ("the row has no effectiveTime, so it is not yet released", "Give it one"),
    "untrimmed-term": ("the term begins or ends with a space, or holds two in a row", "Remove them"),
    "language-code": ("this is no language code", "Codes are those of ISO 639-1, such as en"),
    "universal-modifier": ("the modifier is 'all', and the row is left out when loaded", "RF2 is used with 'some'"),
    "duplicate-row": ("the very same row again", "Remove it"),
    "duplicate-relationship": (
        "another active relationship has the same source, type, destination and group",
        "Keep one of them active",
    ),
    "inactive-description": (
        "an active language member of an inactive description",
        "Set active to 0",
    ),
    "retired-by-layer": (
        "a relationship of an earlier package to a concept that a later one retires, left out when loaded",
        "The extension should retire it too",
    ),
    "layers-differ": (
        "an earlier package has this row with the same effectiveTime and another content",
        "A change needs an effectiveTime of its own; the later package wins",
    ),
    "releases-differ": (
        "Snapshot, Full and Delta of the package contradict one another",
        "Get the release again; the Snapshot is what is loaded",
    ),
    "owl-component": ("the axiom does not name the component that it is said of", "Mend referencedComponentId"),
    "no-preferred-term": ("no dialect prefers a term for the concept", "Add a language member"),
    "module-without-dependency": (
        "the module has no row in the module dependency reference set, nor has any on it",
        "Add one",
    ),
    "left-out": ("rows that are left out when loaded", "The load report counts them"),
}  # fmt: skip
_NOTES = {
    "duplicate-member": ("another active member of the reference set says the same", "Keep one of them active"),
    "release-date": ("the date in the file's name is not the release's", "Names carry the release's date"),
    "tolerated": ("an oddity that costs nothing when loaded", "The load report counts it"),
}  # fmt: skip

KINDS: dict[str, Kind] = {
    code: Kind(severity, *said)
    for severity, kinds in zip(SEVERITIES, (_ERRORS, _WARNINGS, _NOTES), strict=True)
    for code, said in kinds.items()
}
