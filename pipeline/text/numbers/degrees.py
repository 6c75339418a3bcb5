"""Whether "20°" is an ordinal number or degrees, in languages that write both with one sign.

The sign of ordinal numbers is "º", that of degrees "°", and keyboards have often only one of them:
"el 2° piso" is "segundo", "hace 20º" is "veinte grados". The words beside the number tell them
apart: an ordinal number stands behind a determiner or a noun that is numbered, or before one.
"""

from __future__ import annotations

import re

from ns2.pipeline.text.numbers.amounts import counted
from ns2.pipeline.text.numbers.locales import Noun
from ns2.pipeline.text.numbers.place import Place
from ns2.pipeline.text.tables import word_set

_DEGREES = {
    "es": Noun(one="grado", many="grados", article="un"),
    "it": Noun(one="grado", many="gradi", article="un"),
    "pt": Noun(one="grau", many="graus", article="um"),
    "ca": Noun(one="grau", many="graus", article="un"),
    "gl": Noun(one="grao", many="graos", article="un"),
}
_DETERMINERS = {
    "es": word_set("el la del al su mi tu este esta ese esa aquel un una cada otro otra nuestro"),
    "it": word_set("il lo la del della dello al alla allo nel nella nello dal dalla dallo sul "
                   "sulla un una suo sua ogni questo questa"),
    "pt": word_set("o a do da no na ao à pelo pela num numa um uma seu sua cada este esta neste"),
    "ca": word_set("el la del al pel un una seu seva cada aquest aquesta"),
    "gl": word_set("o a do da no na ao á un unha seu súa cada este esta"),
}  # fmt: skip
_NUMBERED = word_set(
    "artículo art artículos capítulo cap párrafo inciso apartado piso planta lugar puesto curso "
    "aniversario edición congreso centenario premio torneo grado año día vez siglo batallón clase "
    "articolo comma capitolo paragrafo piano posto secolo anno giorno volta anniversario edizione "
    "congresso classe artigo parágrafo andar série ano dia aniversário edição século pis article "
    "capítol lloc aniversari edició segle"
)
"""Nouns that stand before or behind an ordinal number."""
_MONTHS = word_set(
    "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre "
    "gennaio febbraio aprile maggio giugno luglio settembre ottobre novembre dicembre "
    "janeiro fevereiro março maio junho julho setembro outubro novembro dezembro "
    "gener febrer març maig juny juliol agost setembre octubre novembre desembre "
    "xaneiro febreiro abril maio xuño xullo setembro decembro"
)
_WEATHER = re.compile(r"ha(?:ce[nr]?|cían?|rán?|ya|brá|bía)|hizo|los|unos|fa|feien?|uns|os|dos")


def degrees(place: Place) -> str:
    """Degrees that might be taken for an ordinal number: "20°" in "hace 20°"."""
    match = re.fullmatch(r"(\d{1,3})([°º])", place.text)
    noun = _DEGREES.get(place.locale.base)
    if not match or noun is None:
        return ""
    signed = place.words[place.index].surface[:1] in "-−+±"
    if not signed and not _counts(place, match[2]):
        return ""
    return counted(match[1], noun, place.locale)


def determined(place: Place) -> bool:
    """Whether a determiner stands before a number: "el 1º Congreso"."""
    return place.before.lower() in _DETERMINERS.get(place.locale.base, ())


def _counts(place: Place, sign: str) -> bool:
    """Whether a number with a sign counts degrees, and ranks nothing."""
    before, after = place.before.lower(), place.after.lower()
    if sign == "º":  # the right sign of an ordinal number
        return bool(_WEATHER.fullmatch(before)) and after not in _NUMBERED
    if determined(place) or before in _NUMBERED or after in _NUMBERED:
        return False
    listed = place.index == 0 and place.after[:1].isupper()  # 1° Presentar la solicitud
    month = place.near(2).lower() if after == "de" else after
    return not listed and month not in _MONTHS
