"""The phrases that say whether a finding is said of the patient now (ConText): tables to read and to add to.

Phrases are separated by "|" and written as the recogniser splits words: lower case, hyphens and slashes as
blanks ("h/o" is "h o"), possessive endings left out; ",", ";" and "?" are words of their own. "#" stands for a
number in digits or words, "^" for the beginning of the sentence, "." for its end. "is not" stands for "isn't"
too. The longest phrase wins.
"""

from __future__ import annotations

PRESENT, ABSENT, UNCERTAIN, FAMILY, HISTORICAL = "present", "absent", "uncertain", "family", "historical"
# Where several reach one mention, the first of these decides.
PRECEDENCE = (FAMILY, ABSENT, UNCERTAIN, PRESENT, HISTORICAL)


def split(table: str) -> tuple[str, ...]:
    """Give the phrases of a table.

    Args:
        table: Phrases separated by "|", over any number of lines.
    """
    return tuple(" ".join(phrase.split()) for phrase in table.split("|") if phrase.strip())


NUMBERS = frozenset(
    {
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "several",
        "few",
        "couple",
    }
)
# What stands before the "t" of "isn't", and the word that it is.
AUXILIARIES = {
    "isn": "is", "aren": "are", "wasn": "was", "weren": "were", "don": "do", "doesn": "does", "didn": "did",
    "hasn": "has", "haven": "have", "hadn": "had", "can": "can", "couldn": "could", "wouldn": "would",
    "shouldn": "should", "won": "will",
}  # fmt: skip
# The same without an apostrophe.
CONTRACTED = frozenset(f"{word}t" for word in AUXILIARIES if word not in ("can", "won"))

RELATIVES = split("""
    mother | father | parent | parents | brother | brothers | sister | sisters | sibling | siblings | son
    | sons | daughter | daughters | grandmother | grandfather | grandparents | aunt | uncle | cousin
    | relative | relatives | wife | husband | spouse | partner | nephew | niece | twin | grandson
    | granddaughter | aunts | uncles | cousins | grandmothers | grandfathers
""")
# Others whose illness is not the patient's.
OTHERS = split("""
    friend | friends | roommate | flatmate | housemate | neighbor | neighbour | coworker | co worker
    | colleague | colleagues | classmate | girlfriend | boyfriend | sick contact | sick contacts
""")

# Triggers that colour what follows them.
FORWARD = {
    ABSENT: split("""
        no | not | nil | never | never had | neither | nor | denies | denied | denying | without
        | without any | without evidence of | absence of | absent | lack of | lacks | lacked | free of
        | clear of | no evidence of | no evidence for | no sign of | no signs of | no features of
        | no findings of | no radiographic evidence of | no convincing | no known | no new | no acute
        | no focal | no further | no complaints of | no previous | no history of | no known history of
        | no prior history of | no past medical history of | no longer | no longer has | negative for
        | tested negative for | fails to reveal | failed to reveal | did not have | does not have
        | did not show | does not show | not demonstrate | not associated with | unremarkable for | has no
        | had no | have no | with no | shows no | showed no | rules out | ruled out | rules him out for
        | rules her out for | excludes | excluded | resolution of | rather than | instead of
        | no suspicion of | no suspicion for | no concern for | no risk of | no past history of
        | no personal history of | no recent history of | no significant past medical history
        | no reported | not reported | no history suggestive of | not consistent with
        | not compatible with | not suggestive of | not suspicious for | not concerning for
        | not in keeping with | not typical of | inconsistent with | failed to show
        | failed to demonstrate | devoid of | w o | neg for | no suggestion of | no indication of
        | nothing to suggest | no longer suspected
    """),
    UNCERTAIN: split("""
        possible | possibly | probable | probably | likely | less likely | unlikely | perhaps | presumed
        | presumptive | suspected | suspect | suspects | suspicious for | suspicion of | suspicion for
        | concern for | concerning for | concerns for | worrisome for | may represent | may be | might be
        | could be | could represent | may reflect | may have | might have | questionable | question of
        | query | ? | cannot exclude | can not exclude | could not exclude | cannot rule out
        | can not rule out | could not rule out | not exclude | not rule out | does not exclude
        | does not rule out | to exclude | exclude | to rule out | rule out | r o | evaluate for
        | assess for | to look for | monitor for | differential includes | differential diagnosis
        | differential diagnosis includes | consider | considered | considering | no definite
        | no definitive | no clear | equivocal for | raises the possibility of | possibility of
        | low probability of | at risk for | at risk of | risk of | risk for | if | in case of
        | unclear if | unclear whether | not tested for | provisional | may suggest | might suggest
        | could suggest | may indicate | might indicate | could indicate | unlikely to be
        | unlikely to represent | not certain if | not certain whether | not sure if | not sure whether
        | unsure if | unsure whether | uncertain if | uncertain whether | doubt | doubtful | potential
        | potentially | presumably | screened for | screen for | screening for | work up for | workup for
        | concern about | worried about | risk factor for | risk factors for | fear of | watch for
        | at increased risk of | at increased risk for | unless | ^ should | should you develop | prn for
        | as needed for | as required for | vaccinated against | vaccination against | immunised against
        | immunized against | vaccine against | prophylaxis for | prophylaxis against | to prevent
        | prevention of | return if | come back if | ddx | low suspicion for
    """),
    FAMILY: split("""
        family history of | family history | family history positive for | no family history of
        | strong family history of | family hx | family hx of | no family history | familial | fh | fhx
        | fh of | family member with | family members with | contact with
    """)
    + RELATIVES
    + OTHERS,
    HISTORICAL: split("""
        history of | history | past history of | past medical history of | past medical history
        | medical history of | known history of | previous history of | prior history of
        | significant history of | hx of | hx | h o | pmh | pmh of | phx | previous | previously
        | previously had | previously treated for | prior | past | remote | old | former | formerly
        | status post | s p | recovered from | treated for | childhood | in the past | ^ resolved
        | last year | ^ # years ago | ^ a # years ago | ^ # months ago | ^ a # months ago | ^ a year ago
    """),
}

# Triggers that colour what precedes them: the nearest mention, and those that form one list with it.
BACKWARD = {
    ABSENT: split("""
        ruled out | is ruled out | was ruled out | are ruled out | were ruled out | been ruled out
        | has been ruled out | have been ruled out | excluded | is excluded | was excluded | are excluded
        | were excluded | has been excluded | have been excluded | not seen | is not seen | was not seen
        | are not seen | were not seen | not identified | is not identified | was not identified
        | not present | is not present | was not present | not detected | was not detected
        | not demonstrated | is not demonstrated | not found | was not found | not evident
        | is not evident | not visualised | not visualized | not confirmed | was not confirmed | negative
        | is negative | was negative | are negative | were negative | came back negative
        | returned negative | absent | is absent | was absent | are absent | were absent | denied
        | was denied | is denied | none | nil | free | has resolved | have resolved | no . | no , | no ;
        | neg | is neg | was neg | no longer seen | no longer present | no longer visible
        | no longer evident | is no longer seen | is no longer present | is no longer visible
        | is no longer evident | are no longer seen | are no longer present | are no longer visible
        | are no longer evident | not reported | is not reported | was not reported | were not reported
        | not visible | is not visible | are not visible | are not identified | were not identified
        | are not present | were not present | are not demonstrated | were not found | was not noted
        | were not noted
    """),
    UNCERTAIN: split("""
        ? | suspected | is suspected | was suspected | not suspected | possible | is possible
        | is a possibility | probable | is probable | likely | is likely | less likely | is less likely
        | unlikely | is unlikely | was unlikely | considered | is considered | was considered
        | to be considered | should be considered | questionable | is questionable | is questioned
        | is queried | was queried | not excluded | not ruled out | not be excluded | not be ruled out
        | cannot be excluded | can not be excluded | could not be excluded | cannot be ruled out
        | can not be ruled out | could not be ruled out | to be excluded | to be ruled out
        | should be ruled out | must be ruled out | is in the differential | in the differential
        | cannot be confirmed | has not been ruled out | have not been ruled out | not been ruled out
        | has not been excluded | have not been excluded | not been excluded | yet to be excluded
        | yet to be ruled out | is not excluded | was not excluded | is not ruled out | was not ruled out
        | is doubtful | is uncertain | is unclear
    """),
    FAMILY: split("in the family | runs in the family | in family members")
    + tuple(
        f"in {who}{one}"
        for who in ("", "his ", "her ", "their ", "the ", "patient ", "a ")
        for one in RELATIVES
    ),
    HISTORICAL: split("""
        in the past | in childhood | as a child | year ago | years ago | months ago | in his youth
        | in her youth | in remission | by history | in his history | in her history | has since resolved
        | in infancy | in adolescence | as an infant | as a teenager | last year | resolved | now resolved
        | , now resolved | , since resolved | subsided
    """),
    # what lasts until now is not past: "history of cough for 2 weeks"
    PRESENT: split("""
        for # day | for # days | for # week | for # weeks | for # hours | for a day | for a week
        | for a # days | for the past # days | for the past # weeks | for the last # days
        | for the last # weeks | for the past week | for the last week | over the past # days
        | over the past # weeks | over the past week | since yesterday | since this morning
        | since last night | today | this morning | this evening | tonight
    """),
}

# The same, but only right behind it: "TB screening".
RIGHT_BEHIND = {UNCERTAIN: split("prophylaxis | vaccine | vaccination | screening | precautions | risk")}

# Triggers between alternatives, which colour both sides.
BETWEEN = {UNCERTAIN: split("versus | vs")}

# Phrases that hold a trigger's word and colour nothing.
PSEUDO = split("""
    considered to have | considered typical | are considered typical | not easily | previously noted
    | previously seen | previously described | typical history of | radiograph negative | x ray negative
    | no increase | no significant increase | no decrease | no change | no significant change
    | no interval change | no significant interval change | no improvement | no worsening
    | no suspicious change | no doubt | no cause | no further work up | not only | not just
    | not necessarily | not sure | not cause | not drain | not limited to | not uncommon | not unusual
    | no resolution | no resolution of | without resolution of | incomplete resolution of
    | partial resolution of | no progression | no progression of | no regression | no regression of
    | no response | no relief | no reduction | no other cause | without contrast | without iv contrast
    | without further | without any further | no further | might be tempted | being treated for
    | high risk patient | no significant resolution of | screening was positive | screening positive
    | gram neg | past # days | presents with a history of | presented with a history of
    | presenting with a history of | presents with history of | presented with history of | not improved
    | not improving | not resolved | not yet resolved | not responding | not tolerated | not intubated
    | without difficulty | without change | without interval change | without delay | without complication
    | gram negative | coagulase negative | negative pressure | negative predictive
    | history of present illness | history of presenting complaint | history of the present illness
    | history and physical | history and examination | social history | travel history | exposure history
    | clinical history | history taking | medical history was | hour history of | hours history of
    | day history of | days history of | week history of | weeks history of | month history of
    | months history of | past day | past days | past week | past weeks | past month | past # weeks
    | over the past | for the past | in the past week | in the past days | in the past # days | old man
    | old woman | old male | old female | old patient | old boy | old girl | old lady | old gentleman
    | old child | year old | years old | y old | month old | months old | prior to | prior to admission
    | previous study | previous film | previous examination | previous radiograph
    | previous chest radiograph | previous chest x ray | previous ct | prior study | prior film
    | prior examination | prior radiograph | prior chest radiograph | compared to previous
    | compared to prior | compared with previous | compared with prior | compared with the prior
    | compared with the previous | previously healthy | previously well | previously fit | family doctor
    | family physician | family medicine | family practitioner | mother board | if any | considered to be
    | considered as | consider repeat | consider follow up | clear that | disease free survival
""")

# Where a trigger's scope ends; the first table holds for every kind of trigger.
TERMINATORS_OF_ALL = split("""
    but | however | although | though | nevertheless | yet | still | aside from | apart from | except
    | except for | other than | besides | ; | which | whereas | while | secondary to | because of
    | because | since | due to | d t | caused by | as a cause of | as the cause of | as cause of
    | as a source of | positive for | tested positive for | c o | p w | presents with | presented with
    | presenting with | presents for | presented for | now presents | now presented | admitted with
    | admitted for | was admitted | complains of | complained of | complaining of | reports | reported
    | developed | develops | has developed | now has | now with | , now | reveals | revealed
    | diagnosed with | was diagnosed | is diagnosed | remarkable for | notable for | and presents
    | and presented
""")
# What is concluded from something ends its scope as well, but a denial only behind a comma.
CONCLUSIONS = split("""
    consistent with | compatible with | in keeping with | suggestive of | indicative of | typical of
    | characteristic of
""")
TERMINATORS = {
    ABSENT: split("""
        who | has | shows | showed | there is | there are | , with | with a | and has | and had
        | found to have | is present | are present | was present | were present | is seen | are seen
    """),
    UNCERTAIN: split("""
        who | has | shows | showed | there is | there are | , with | and has | and had | confirmed
        | it demonstrated | it showed
    """),
    FAMILY: split("""
        states | stated | says | said | denies | denied | describes | noticed | thinks | worried | brought
        | gives | concerned | patient | the patient | patient has | he | she | and he | and she | himself
        | herself | and has | there is | there are
    """),
    HISTORICAL: split("""
        who | now | currently | today | at present | suggest | suggests | suggesting | has | shows
        | showed | there is | there are | admission | days of | day of | weeks of | week of | months of
        | hours of | demonstrates | demonstrated | and was | and is | and now
    """),
    PRESENT: split("history of"),
}

# Headings at the beginning of a line, and what they make of the mentions below them.
SECTIONS = {
    FAMILY: split("family history | family | family medical history | family hx | fh | fhx"),
    ABSENT: split("""
        negatives | pertinent negatives | relevant negatives | denies | denied | no | absent | not present
        | ruled out | excluded
    """),
    UNCERTAIN: split("""
        differential diagnosis | differential diagnoses | differential | ddx | rule out | r o | query
        | to exclude | suspected | possible | provisional diagnosis | return precautions
        | return instructions | discharge instructions | patient instructions | patient education
    """),
    HISTORICAL: split("""
        past medical history | past history | previous medical history | medical history | pmh | pmhx
        | previous history | past surgical history | psh | previous illnesses | background
        | past illnesses | significant past history | past medical hx | prior medical history
    """),
}
