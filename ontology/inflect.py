"""Words brought to one form, so that "effusions" finds "effusion" and "metastases" finds "metastasis".

The form need not be a word ("diseas" stands for disease and diseases): terms and texts go through the same
rules, and that is all that matters. Plurals and possessive endings are undone, nothing else: "pneumonic" is
not "pneumonia", "infected" is not "infection", and British and American spellings stay two words.
"""

from __future__ import annotations

import re
import unicodedata

_POSSESSIVE = re.compile(r"['’][sS]$")
# phases, metastases, metastasis and metastase; viruses and virus
_SIBILANT = re.compile(r"[aeiouy]s(?:is|es|e)$")

_PLURALS = """
    appendices appendix; axes axis; bacilli bacillus; bacteria bacterium; bronchi bronchus; bronchioli bronchiolus;
    calculi calculus; calves calf; cervices cervix; children child; cortices cortex; criteria criterion;
    diverticula diverticulum; echoes echo; emboli embolus; feet foot; foci focus; foramina foramen; fungi fungus;
    ganglia ganglion; halves half; hila hilum; hili hilum; hilus hilum; indices index; infarcta infarct; larvae larva;
    lenses lens; lumina lumen; men man; microemboli microembolus; mosquitoes mosquito; naevi naevus; nevi nevus;
    nuclei nucleus; ova ovum; pelves pelvis; phalanges phalanx; protozoa protozoon; rami ramus; septa septum;
    spectra spectrum; stimuli stimulus; sulci sulcus; teeth tooth; testes testis; thrombi thrombus; uteri uterus;
    varices varix; vertices vertex; villi villus; women woman
"""
#: Plurals that no rule makes singular.
IRREGULAR: dict[str, str] = {plural: word for plural, word in map(str.split, _PLURALS.split(";"))}

# Not plurals: Streptococcus pneumoniae is no pneumonia.
_EPITHETS = frozenset(
    {"cholerae", "diphtheriae", "gonorrhoeae", "influenzae", "leprae", "malariae", "pneumoniae"}
)


def singular(word: str) -> str:
    """Bring an English plural to its singular, lightly.

    Args:
        word: A word in lower case.
    """
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    return word[:-1]


def composed(word: str) -> str:
    """Write a letter and its accent as one character, a ligature as its letters (NFKC).

    Args:
        word: A word.
    """
    return word if word.isascii() else unicodedata.normalize("NFKC", word)


def without_possessive(word: str) -> str:
    """Take "'s" off the end of a word.

    Args:
        word: A word as written.
    """
    return _POSSESSIVE.sub("", word)


def fold(word: str) -> str:
    """Give the form in which words of terms and of texts are compared.

    Args:
        word: A word as written, such as "Opacities", "Crohn's" or "WBCs".
    """
    word = composed(word)
    if word[-1:] in "sS" and word[-2:-1] in ("'", "’"):
        word = word[:-2]
    lower = word.lower()
    if lower in IRREGULAR:
        lower = IRREGULAR[lower]
    if len(lower) > 2 and word[-1] == "s" and word[:-1].isupper():  # "WBCs", "TBs"
        return lower[:-1]
    if len(lower) > 4 and (found := _SIBILANT.search(lower)) and found.start() > 1:
        return lower[: found.start() + 2]
    if len(lower) > 5:
        if lower.endswith("ae") and lower not in _EPITHETS:
            return lower[:-1]
        if lower.endswith("cocci"):
            return lower[:-1] + "us"
        if lower.endswith("omata"):
            return lower[:-2]
        if lower.endswith("itides"):
            return lower[:-4] + "is"
        if lower.endswith("thoraces"):
            return lower[:-3] + "x"
    return singular(lower)
