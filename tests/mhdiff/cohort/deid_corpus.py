"""Invented notes with marked identifiers: `make(part, seed)` fills templates and remembers what it put where.

`develop` is what the rules were written with; `held_out` has other templates, other ways of writing and other names,
and is only reported. Both also hold what only looks like an identifier: eponyms, doses, pressures, vertebrae, ranges.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

_FIELD = re.compile(r"\{(\w+)\}")
Draw = Callable[[random.Random], str]


def day(rng: random.Random) -> date:
    return date(1950, 1, 1) + timedelta(days=rng.randrange(27_000))


def written(form: str) -> Draw:
    return lambda rng: day(rng).strftime(form)


def plain(form: str) -> Draw:
    """A date whose day and month have no leading zeros."""
    bare = form.replace("%d", "%-d").replace("%m", "%-m")
    return lambda rng: day(rng).strftime(bare)


def shaped(*shapes: str) -> Draw:
    """A string in which # is a digit, * one from 2 to 9, and ^ a capital."""

    def draw(rng: random.Random) -> str:
        letters = {"#": "0123456789", "*": "23456789", "^": "ABCDEFGHJKLMNPRSTVWXYZ"}
        return "".join(rng.choice(letters[c]) if c in letters else c for c in rng.choice(shapes))

    return draw


def one(*words: str) -> Draw:
    return lambda rng: rng.choice(words)


class Part:
    """Pools of names, fields of a kind each, and templates."""

    def __init__(self, first: str, last: str, cities: str, fields: dict[str, tuple[str, Draw]], notes: str):
        self.first, self.last, self.cities = first.split(), last.split(), cities.split(",")
        self.notes = [note.strip() for note in notes.strip().split("\n---\n")]
        names: dict[str, tuple[str, Draw]] = {
            "first": ("name", lambda rng: rng.choice(self.first)),
            "last": ("name", lambda rng: rng.choice(self.last)),
            "LAST": ("name", lambda rng: rng.choice(self.last).upper()),
            "full": ("name", lambda rng: f"{rng.choice(self.first)} {rng.choice(self.last)}"),
            "middle": (
                "name",
                lambda rng: (
                    f"{rng.choice(self.first)} {rng.choice('ABCDEHJKLMRST')}. {rng.choice(self.last)}"
                ),
            ),
            "reversed": ("name", lambda rng: f"{rng.choice(self.last)}, {rng.choice(self.first)}"),
            "town": ("address", lambda rng: rng.choice(self.cities)),
        }
        self.fields = names | fields

    def fill(self, note: str, rng: random.Random) -> dict[str, Any]:
        text, end, marked = "", 0, []
        said: dict[str, str] = {}
        for match in _FIELD.finditer(note):
            text += note[end : match.start()]
            field = match[1].removesuffix("_again")
            kind, draw = self.fields[field]
            word = said[field] if field != match[1] else draw(rng)
            said[field] = word
            marked.append({"start": len(text), "end": len(text) + len(word), "kind": kind})
            text, end = text + word, match.end()
        return {"text": text + note[end:], "identifiers": marked}


DEVELOP = Part(
    first="Maria John Anna Peter Susan David Fatima Carlos Ingrid Thomas Olga James",
    last="Kowalski Brandt Okafor Lindqvist Moreau Castellano Huang O'Brien Petrov Schneider Baker-Lee Novak",
    cities="Springfield,Tacoma,Leeds,Bremen",
    fields={
        "iso": ("date", written("%Y-%m-%d")),
        "us": ("date", written("%m/%d/%Y")),
        "us2": ("date", plain("%m/%d/%y")),
        "dotted": ("date", written("%d.%m.%Y")),
        "long": ("date", plain("%B %d, %Y")),
        "british": ("date", plain("%d %B %Y")),
        "oracle": ("date", lambda rng: day(rng).strftime("%d-%b-%Y").upper()),
        "month_year": ("date", written("%B %Y")),
        "no_year": ("date", plain("%m/%d")),
        "old": ("age", lambda rng: str(rng.randrange(90, 108))),
        "mrn": ("id", shaped("*######", "*#######", "^^######")),
        "ssn": ("id", shaped("*##-##-####")),
        "accession": ("id", shaped("^*#-######", "CR########")),
        "phone": ("phone", shaped("(*##) *##-####", "*##-*##-####", "*##.*##.####")),
        "intl": ("phone", shaped("+44 20 *### ####", "+49 511 *######")),
        "pager": ("phone", shaped("*####")),
        "mail": (
            "mail",
            lambda rng: (
                f"{rng.choice('abcdef')}.{rng.choice(('ward', 'smith'))}{rng.randrange(99)}@example.org"
            ),
        ),
        "url": (
            "url",
            one("https://portal.example.org/r/8812", "www.example.com/results", "http://10.1.2.3/pacs"),
        ),
        "street": ("address", shaped("*## Maple Street", "1* Old Mill Rd.", "*#4 Lakeview Avenue, Apt. #B")),
        "zip": ("address", shaped("Tacoma, WA 9####", "Springfield, IL 62###")),
    },
    notes="""
{full} is a 64-year-old woman seen on {us}. History of Parkinson's disease, on levodopa 25/100 three times a day. BP 120/80.
---
Mr. {last} was admitted on {iso} with pneumonia. MRN: {mrn}. Strength 5/5 throughout. {last_again} denies chest pain.
---
Dr. {last} called from {phone} about the CT of {us2}. Hodgkin lymphoma, stage IIB. L4-L5 disc bulge, C5-C6 stenosis.
---
Patient name: {reversed}
DOB: {us}   MRN {mrn}
Accession: {accession}
EXAM: Chest PA and lateral, {oracle}
---
This {old} year old man with Crohn's disease takes prednisone 10/12/2 mg. Hb 13.5-17.5. Potassium 3.5-5.1.
---
Mrs. {last}, {old} y/o, lives at {street}, {zip}. Her daughter {first} can be reached at {phone}.
---
Seen by {full}, MD on {long}. Foley catheter removed {british}. GCS 14/15, pain 7/10, 2/6 systolic murmur.
---
Please send to {mail} or see {url}. Paged {last}, pager {pager}. INR 2-3. Graves' disease since {month_year}.
---
Follow-up with Dr. {first} {last} on {no_year}. Homans sign negative. Swan-Ganz 25/10 mmHg. MR brain normal.
---
SSN {ssn}. Wife {first} is next of kin, tel {intl}. Known Alzheimer's dementia. Ejection fraction 55-60%.
---
___ is a ___ year old seen by Dr. ___ on ___. Guillain-Barré syndrome. Insulin 10/12/20 units. T 37.2, RR 12-16.
---
Electronically signed by: {middle}, M.D. {dotted} 14:35. 94 mg/dl glucose, 95% saturation, 90 mg enoxaparin.
---
DR. {LAST} REVIEWED THE FILMS OF {us}. NO PNEUMOTHORAX. MS. {LAST} WAS TOLD. H/O MS. NO NEW LESION.
---
The patient lives in {town}. Cushing syndrome, Baker cyst, Down syndrome excluded. Platelets 250000, BNP 1234.
---
Whipple procedure in 2014. Marfan habitus. Virchow node absent. CD4 200, HLA-B27 negative, vitamin B12 low, SARS-CoV-2.
""",  # noqa: E501
)

HELD_OUT = Part(
    first="Beatrice Dmitri Aisha Liam Siobhan Hiroshi Margaret Ahmed Katarzyna Robert Elena Nkechi",
    last="Vandermeer Abernathy Takahashi McAllister Oyelaran Fitzgerald Bergström Da-Silva Rossi Whitcombe Singh "
    "Dubois",
    cities="Portsmouth,Albany,Gdansk,Uppsala",
    fields={
        "iso": ("date", written("%Y/%m/%d")),
        "us": ("date", plain("%m/%d/%Y")),
        "us2": ("date", written("%m-%d-%y")),
        "dotted": ("date", plain("%d.%m.%y")),
        "long": ("date", written("%b %d, %Y")),
        "british": ("date", lambda rng: f"{rng.randrange(4, 21)}th of {day(rng).strftime('%B')}"),
        "stamped": ("date", written("%Y-%m-%dT%H:%M")),
        "month_year": ("date", written("%b. %Y")),
        "bare_month": ("date", written("%B")),
        "no_year": ("date", plain("%d %b")),
        "old": ("age", lambda rng: str(rng.randrange(90, 105))),
        "spelt": ("age", one("ninety-one", "ninety-six", "ninety-three")),
        "mrn": ("id", shaped("0*####-##", "*########", "H*#######")),
        "nhs": ("id", shaped("*## ### ####")),
        "policy": ("id", shaped("^^^*#######", "*###-####-##")),
        "phone": ("phone", shaped("1-*##-*##-####", "*## *## ####", "(*##)*##-#### x##")),
        "intl": ("phone", shaped("+1 *## *## ####", "0044 *### ######")),
        "mobile": ("phone", shaped("07### ######")),
        "mail": ("mail", one("J_DOE+ward@mail.hospital.example.co.uk", "nurse-7@klinik.example.de")),
        "url": (
            "url",
            one("https://example.net/x?id=99#a", "pacs.example.org/study/17", "ftp://files.example.com/in"),
        ),
        "street": ("address", shaped("1### W. Elm Blvd", "** Rue Crescent", "*# Kingfisher Close")),
        "box": ("address", shaped("P.O. Box ####", "PO Box *##")),
        "zip": ("address", shaped("Albany, NY 12###-####", "PO1# *^^")),
    },
    notes="""
CLINICAL HISTORY: {old}-year-old female, fall on {us}. Known to Prof. {last}. Lewy body dementia; Colles fracture.
---
Discharge letter. Dear Dr {last}, thank you for referring {full} ({us2}), hospital number {mrn}. Cheyne-Stokes breathing.
---
{reversed} | DOB {iso} | NHS No. {nhs} | Ward 7B bed 12. BP 135/85, HR 72, SpO2 94%. Amoxicillin 500/125 tds.
---
RN {last} spoke with the patient's husband, {first}, at {phone}. Titrated 2-4-6 mg. Ratio 1:320. Range 0.5-1.2.
---
Pt is a {spelt} year old. Wegener granulomatosis, Addison crisis ruled out. Kerley B lines. T11/T12 fracture.
---
Reported by {full} at {stamped}. Compared with the study of {long}. Hounsfield 40-60. Schatzki ring, Zenker diverticulum.
---
Ms {last} emailed {mail} ({url}); mobile {mobile}. Address: {street}, {zip}. Bell palsy, House-Brackmann 3/6.
---
Since {month_year} she has had Raynaud phenomenon. Admitted {british}, discharged {dotted}. Nutrition 20/40/40.
---
Policy number {policy}; call {intl}; mail to {box}. Warfarin 5/2.5 mg alternating, target 2.0-3.0. Ann Arbor stage II.
---
Miss {last} aged {old} was born in {town} and moved here in {bare_month}. Babinski sign down-going. Child-Pugh B.
---
Attending: {middle}. Resident: {full}. On {no_year} had Billroth II. Visual acuity 20/40, 6/9. Apgar 8/9.
---
Mr {first} {last}'s son {first} will pick up the tablets. Sister Mary Joseph nodule absent. Nissen fundoplication 2015.
---
Per ___, pt saw Dr. ___ at ___. [**Last Name (un) 12**] was told. Trendelenburg gait, Charcot joint. PEEP 5/10.
---
Signed, {full}. Meds: Lantus 12/8 units, Spiriva, Augmentin 875-125, Hartmann solution 1000 ml. 3/3 cultures grew E. coli.
---
{first} reports no pain. Discussed with daughter. Seen with Dr. {last} {last}. Ringer lactate; Kirschner wire; 4-0 Prolene.
""",  # noqa: E501
)
PARTS = {"develop": DEVELOP, "held_out": HELD_OUT}


def make(part: str, seed: int, notes: int = 300) -> list[dict[str, Any]]:
    """Fill templates in turn; a row is what a marked file of the command line has a line."""
    rng, chosen = random.Random(f"{part} {seed}"), PARTS[part]
    return [chosen.fill(chosen.notes[i % len(chosen.notes)], rng) for i in range(notes)]


def write(path: Path, part: str, seed: int, notes: int = 300) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in make(part, seed, notes)), encoding="utf-8")
    return path
