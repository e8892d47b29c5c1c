r"""Which words are taken out of a clinical note, so that it cannot just name what the model shall find out.

A word goes, and leaves no trace, if it or a part of it between hyphens is one of these in any case; `\w*`
stands for any letters. What stays: complaints, findings, laboratory values, age, sex, history and travel, as
a doctor has them before the diagnosis.
"""

from __future__ import annotations

import re

MASKED = {
    "diseases and pathogens": r"""
        \w*covid\w* \w*coronavirus\w* \w*corona \w*sars\w* \w*ncov\w* \w*cov mers ards distress syndrome
        \w*pneumoni\w* \w*pneumonitis pneumocyst\w* pneumococ\w* pneumophila pcp pjp jirovec\w* carinii
        mycoplasma\w* \w*strepto\w* klebsiella\w* legionel\w* legionnair\w* lipoid varicella\w* chickenpox
        zoster coli escherichia \w*influenza\w* flu \w*virus\w* viruses \w*viral \w*bacter\w* fungus fungi
        fungal tb tubercul\w* aids hiv
    """,
    "their tests and treatments": r"""
        \w*pcr swabs? \w*swab \w*rna nasopharyn\w* oropharyn\w* antigens? transcript\w* isolat\w*
        \w*antibioti\w* antibiotherapy tamiflu \w*vir \w*chloroquine \w*mycin \w*cillin \w*floxacin
        ceftriaxone cephalosporins? \w*bactam cobicistat tocilizumab interferon\w* trimethoprim
        sulfamethoxazole
    """,
    "dates of the pandemic": r"""
        (19|20)\d\d january february march april june july august september october november december
        pandemic epidemi\w* outbreaks? quarantin\w*
    """,
    "outcomes": r"""
        die[ds]? dying deaths? dead deceas\w* demise mortal\w* fatal\w* postmortem autopsy expired
        palliat\w* surviv\w* passed away discharg\w* recover\w* cured? healed healing
    """,
    "intubation and intensive care": r"""
        (in|ex|re)tubat\w* \w*tracheal tracheostom\w* ett tubes? mechanical\w* \w*ventilat\w* \w*ecmo ippv
        peep icu itu ccu intensive critical\w* resuscitat\w*
    """,
    "views": r"""
        antero\w* postero\w* ap pa lateral frontal supine upright erect standing sitting portable mobile
        bedside bed projections? projected decubitus
    """,
}
_MASKED = re.compile("|".join(" ".join(MASKED.values()).split()), re.IGNORECASE)
_WORD = re.compile(r"\w+(?:-\w+)*")


def mask_note(note: str) -> str:
    """The note without these words, in single spaces; characters that were lost in the original go too."""
    readable = re.sub(r"[\ufffd\s_]+", " ", note)
    kept = _WORD.sub(lambda word: "" if is_masked(word.group()) else word.group(), readable)
    return re.sub(r"\s+", " ", kept).strip(" -.,;:()")


def is_masked(word: str) -> bool:
    return any(_MASKED.fullmatch(part) for part in word.split("-"))
