"""The sentences of a text, in any language that espeak-ng speaks.

Where a full stop belongs to an abbreviation, an ordinal number or an initial, `clauses` knows it,
since a wrong pause would be heard there; so it is asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ns2.pipeline.core.errors import UtteranceError
from ns2.pipeline.text.clauses import base_language, clauses
from ns2.pipeline.text.tables import word_set

_PARAGRAPH = re.compile(r"\n\s*\n")
_WIDE_END = re.compile(
    r"(?<=[。！？])(?![。！？」』”’）])\s*|(?<=[。！？][」』”’）])(?=[「『“‘（\s])\s*"
)
"""Ends of sentences in scripts that have no spaces between words."""
_END = re.compile(r"(?P<mark>[.!?…।؟]+)[\s\"'”’“»«›)\]}]*$")
_OPENING = " \"'“”„‚‘’«»‹›([{¿¡—–-"
_OPENS = "–—-([{«„“‘‹¿¡$€£#&+<=>%@"
"""Signs that belong to what follows, or are spoken themselves."""
_CONTEXT = 6
"""The words before a full stop that tell what it is."""
_INITIALS = re.compile(r"(?:[^\W\d_]\.-?)+")
_SHORTENED = {
    "de": word_set(
        "abs abt allg anm art aufl bd bde bearb bes betr bzgl dipl ehem einschl engl evtl exkl fa "
        "ggf hrsg inkl ing jg kap lat lt mind mtl ped pers phil red rel sog tgl übers verf vgl "
        "vorm wiss zit zzgl"
    ),
    "en": word_set(
        "adm approx assn assoc brig capt cf chap cmdr cpl ed eds est fig figs gov hon lieut lt maj "
        "messrs mt pp pres pvt rep sen sgt supt tel univ viz vol vols"
    ),
    "es": word_set(
        "admón afmo art arts atte aux avda bco bs cap cía comp dcha depto dir ed edo excmo fdo "
        "gral hno hnos ilmo izq lic mons nro obs pág págs párr pdte pje prov ref rep rte trad vol"
    ),
    "fr": word_set(
        "adj adm apr bd boul bull cf chap coll dép dir dre éd env ex fasc fig ill introd lib mgr "
        "obs op ouvr paragr pr prov réf sect suiv suppl trad vol"
    ),
}
"""Abbreviations that no sentence ends with, beside those that `clauses` knows."""
_UNIT = re.compile(r"\S*\d [ghlmst]\.")
"""A number with a unit of one letter that ends a sentence before a capital."""
_FORMS = re.compile(r"(?:Ltd|Inc|LLC|Corp|Pty|KG|KGaA|OHG|GmbH|AG|SA|SARL)\b")
"""Forms of companies, which stand behind "Co."."""
_COUNTED = word_set("ext n no nos nr nro núm p pp pág s seg abb fig vol kap ch chap art tel tél")
"""Abbreviations that no sentence ends with where a number follows."""


def paragraphs(text: str) -> list[str]:
    """Split a text at blank lines."""
    return _PARAGRAPH.split(text)


def sentences(text: str, language: str) -> list[str]:
    """Split a text at the ends of its sentences and paragraphs.

    Args:
        text: the text as written.
        language: the name of an espeak-ng voice.

    Returns:
        the sentences with their marks, without the space between them; nothing else is left out.
    """
    found: list[str] = []
    for paragraph in paragraphs(text):
        for part in _WIDE_END.split(paragraph):
            found += _of_part(part.split(), language)
    return found


def _of_part(tokens: list[str], language: str) -> Iterator[str]:
    """The sentences of a text that is split at spaces."""
    tokens = _with_marks(tokens)
    first = 0
    for i in range(len(tokens)):
        following = " ".join(tokens[i + 1 : i + 3])  # the first of them may be an opening mark
        if not following or _ends(tokens[first : i + 1], following, language):
            yield " ".join(tokens[first : i + 1])
            first = i + 1


def _with_marks(tokens: list[str]) -> list[str]:
    """Tokens, each with the marks behind it that stand alone: "Non !", "« Oui »"."""
    found: list[str] = []
    for token in tokens:
        if found and not any(char.isalnum() or char in _OPENS for char in token):
            found[-1] += f" {token}"
        else:
            found.append(token)
    return found


def _ends(sentence: list[str], following: str, language: str) -> bool:
    """Whether a sentence ends with the last of its tokens so far."""
    found = _END.search(sentence[-1])
    if not found:
        return False
    following = following.lstrip(_OPENING)
    if following[:1].islower():
        return False  # "Stop!" he said; and abbreviations that no table has
    if _UNIT.fullmatch(" ".join(sentence[-2:])):
        return True  # "1,80 m. Elle", which is no title
    if found["mark"] != ".":
        return any(char.isalnum() for token in sentence for char in token)
    if _is_shortened(sentence[-1].lstrip(_OPENING), following, language):
        return False
    return _is_full_stop(" ".join(sentence[-_CONTEXT:]), following, language)


def _is_shortened(token: str, following: str, language: str) -> bool:
    """Whether a token with a full stop is initials or an abbreviation that ends no sentence."""
    base = base_language(language)
    if _INITIALS.fullmatch(token):
        return not (base == "en" and token == "I.")
    word = token.partition(".")[0].lower()
    counted = following[:1].isdigit() and word in _COUNTED
    company = word == "co" and _FORMS.match(following)
    return counted or bool(company) or word in _SHORTENED.get(base, ())


def _is_full_stop(sentence: str, following: str, language: str) -> bool:
    """Whether the full stop at the end of words is no part of the last of them."""
    try:
        behind = sum(len(clause.words) for clause in clauses(following, language))
        said = clauses(f"{sentence} {following}", language)
    except UtteranceError:  # a word of hundreds of letters
        return True
    while said and len(said[-1].words) <= behind:
        behind -= len(said.pop().words)
        if not behind:
            return bool(said) and said[-1].mark in tuple(".!?…")
    return False
