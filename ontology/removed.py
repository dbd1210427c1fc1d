"""What de-identification has taken out of a text: no word, whoever reads it.

___                  MIMIC-IV and MIMIC-CXR
[**Name 12**]        MIMIC-III
[DATE], [NAME] ...   ours (`mhdiff.cohort.deidentify`)
"""

from __future__ import annotations

import re
from typing import Final

#: Kind of an identifier -> what stands in its place.
PLACEHOLDERS: Final = {
    kind: f"[{kind.upper()}]" for kind in ("date", "age", "id", "phone", "mail", "url", "address", "name")
}
#: What others have removed; they leave no word that says what it was.
FOREIGN: Final = re.compile(r"_{3,}|\[\*\*.*?\*\*\]", re.DOTALL)
REMOVED: Final = re.compile(
    rf"{FOREIGN.pattern}|{'|'.join(map(re.escape, PLACEHOLDERS.values()))}", re.DOTALL
)


def blanked(text: str, by: str, what: re.Pattern[str] = REMOVED) -> str:
    """Put one character in the place of every character that stands for something removed, so that offsets stay.

    Args:
        text: A note.
        by: The character.
        what: `REMOVED`, or `FOREIGN` for what others have removed alone.
    """
    return what.sub(lambda match: by * len(match[0]), text)
