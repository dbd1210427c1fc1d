"""Check a terminology before it is used: every problem with its file, line and column, none of them raised.

    findings = validate(["International.zip", "Extension.zip"])
    findings.errors, findings.counts()
    for problem in findings.problems():
        ...

RF2 is checked row by row (`ontology.validation.rf2`); a folder that `build` wrote by its checksums and by deriving its
indexes again (`.folder`); every other format by its own reader, and then the ontology itself (`.other`). The kinds of
problems, and how grave they are, stand in `ontology.validation.kinds`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ontology.errors import InputError
from ontology.validation.findings import Findings, Problem
from ontology.validation.kinds import KINDS, SEVERITIES, Kind

__all__ = ["KINDS", "SEVERITIES", "Findings", "Kind", "Problem", "validate"]


def validate(
    source: str | Path | Sequence[str | Path],
    format: str | None = None,
    *,
    say: Callable[[str], None] | None = None,
) -> Findings:
    """Check a source of any format.

    Args:
        source: A file or folder; for RF2 also several, the edition first.
        format: A key of `ontology.formats.FORMATS`; found out by default.
        say: Is told what is being done, for whoever waits.

    Returns:
        All problems. That a source cannot be read is one of them.

    Raises:
        InputError: If a source is not there, or the format or their number is none that there is.
    """
    from ontology import formats

    sources = [Path(source)] if isinstance(source, str | Path) else [Path(s) for s in source]
    if not sources:
        raise InputError("no source is given", remedy="Give a file or folder")
    for path in sources:
        if not path.exists():
            raise InputError("there is no such file or folder", path=path, remedy="Check the path")
    if format and format not in formats.FORMATS:
        raise InputError(f"there is no format '{format}'", remedy=f"Formats: {', '.join(formats.FORMATS)}")
    findings, tell = Findings(), say or (lambda _: None)
    try:
        findings.format = format or formats.detect(sources[0])
    except InputError as error:
        findings.refused("unreadable", error, sources[0])
        return findings
    if findings.format == "rf2":
        from ontology.validation.rf2 import validate_rf2

        validate_rf2(sources, findings, tell)
        return findings
    if len(sources) > 1:
        raise InputError(
            f"several sources lie over one another in RF2 only, and {sources[0].name} is {findings.format}",
            path=sources[1],
            remedy="Check them one by one",
        )
    if findings.format == "ontology":
        from ontology.validation.folder import validate_folder

        validate_folder(sources[0], findings, tell)
    else:
        from ontology.validation.other import validate_other

        validate_other(sources[0], findings, tell)
    return findings
