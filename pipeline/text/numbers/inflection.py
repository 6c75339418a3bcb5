"""The forms of numbers that hang on the words around them: German endings, Romance genders."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ns2.pipeline.text.numbers.german_one import german_gender
from ns2.pipeline.text.numbers.number_words import cardinal_words, ordinal_words
from ns2.pipeline.text.tables import GERMAN_RANKED, word_set

_WEAK = word_set("die das jede jeder jedes diese dieser dieses jene jener ins ans aufs fürs letzte")
_OBLIQUE = word_set("dem den des am vom zum zur im beim seit bis ab jedem jeden diesem diesen")
_DATIVE = word_set(
    "in auf an aus bei mit nach seit von zu unter vor hinter über neben zwischen während ab bis "
    "trotz wegen gegenüber"
)
_ACCUSATIVE = word_set("für durch gegen ohne um")
_LIKE_EIN = re.compile(r"(?:k?ein|mein|dein|sein|ihr|unser|euer|eur)(e|em|en|er|es)?")
_QUEENS = word_set("Elisabeth Katharina Maria Margarethe Margrethe Viktoria Christina Anna Beatrix")
_SMALL_GERMAN = word_set("und bis oder")

_MASCULINE_SPANISH = word_set(
    "día días mapa mapas problema problemas sistema sistemas tema temas programa programas clima "
    "climas idioma idiomas planeta planetas poema poemas drama dramas diploma diplomas telegrama "
    "telegramas gigabytes megabytes artistas atletas turistas futbolistas periodistas policías "
    "poetas colegas"
)
_FEMININE_SPANISH = re.compile(
    r".*(?:as?|ci[oó]n|ciones|si[oó]n|siones|dad|dades|tud|tudes|umbres?)"
    r"|mujer(?:es)?|vez|veces|noches?|partes?|calles?|clases?|tardes?|ley(?:es)?|manos?|fotos?"
    r"|motos?|naves?|flor(?:es)?|luz|luces|voz|voces|llaves?|claves?|series?|fases?"
)
_SMALL_SPANISH = word_set(
    "y o u e de del a al en con por para que es son fue era más menos pero sin como se lo la los "
    "las un una coma punto no ni si ya hay está están entre hasta desde sobre tras según "
    "cuando donde muy también ha han porque"
)
_FEMININE_FRENCH = re.compile(
    r"(?:heure|minute|seconde|fois|personne|page|année|semaine|tonne|livre|journée|voiture|femme"
    r"|fille|chaise|table|maison|ville|pomme|question|réponse|station|région|nation|place|chambre"
    r"|lettre|ligne|leçon|photo|pièce|école|classe|partie|victoire|médaille|bouteille|tasse)s?"
)
_NO_PLURALS = word_set(
    "más menos después atrás antes entonces además tras jamás quizás ellos ellas nosotros "
    "plus moins dans sans sous vers depuis mais après puis alors hors chez dès très nous vous "
    "ils elles jamais sommes parmi "
    "mais menos depois após três eles elas nós"
)
"""Words that end like a plural, and are no noun."""
_MUTE_H = ("habit", "heur", "homm", "hect", "hist", "hôt", "huit", "huma", "herb", "hôp", "hiron",
           "horlog", "hiv")  # fmt: skip
_QUEENS_ROMANCE = re.compile(r".+(?:a|bel|elle|eth|ine|ie)")


def german_ordinal(number: int, before: Sequence[str], following: str) -> str:
    """A German ordinal number with its ending: "dritten" after "am", "dritte" after "der".

    Args:
        number: the number.
        before: the words of the clause before it.
        following: the word after it, or "".
    """
    return f"{ordinal_words(number, 'de')}{_german_ending(before, following)}"


def german_reign(number: int, before: Sequence[str]) -> str:
    """The ordinal number after the name of a ruler, with its article: "der Zweite"."""
    name = before[-1]
    queen = name in _QUEENS
    governing = {word.lower() for word in before[-3:-1]}
    said = ordinal_words(number, "de")
    if name.endswith("s") and not name.endswith(("nes", "us", "ans", "des")):
        return f"des {said}n"
    if governing & (_DATIVE - {"während", "trotz", "wegen"}) or governing & {"vom", "zum", "beim"}:
        return f"{'der' if queen else 'dem'} {said}n"
    if governing & _ACCUSATIVE and not queen:
        return f"den {said}n"
    return f"{'die' if queen else 'der'} {said}"


def _german_ending(before: Sequence[str], following: str) -> str:
    words = list(before[-6:])
    while len(words) > 1 and (words[-1] in _SMALL_GERMAN or words[-1].rstrip(".").isdigit()):
        words.pop()  # am 3. und 4. Mai
    last = words[-1].lower() if words else ""
    if last == "der":
        earlier = words[-2] if len(words) > 1 else ""
        governed = earlier.lower() in _DATIVE
        owned = earlier[:1].isupper() and len(words) > 2 and following not in GERMAN_RANKED
        return "n" if governed or owned else ""
    if last in _WEAK:
        return ""
    if last in _OBLIQUE or last in _DATIVE:
        return "n"
    if match := _LIKE_EIN.fullmatch(last):
        if match[1]:
            return "" if match[1] == "e" else "n"
        return "s" if german_gender(following) == "n" else "r"
    if not following[:1].isupper() and "sie" in [word.lower() for word in words]:
        return ""  # sie wurde 3. bei der WM
    noun = following.lower()
    return {"n": "s", "f": "", "m": "r"}[german_gender(noun)]


def is_spanish_feminine(noun: str) -> bool:
    """Whether a Spanish noun or adjective is feminine by its ending, in singular or plural."""
    small = noun.lower()
    return small not in _MASCULINE_SPANISH and bool(_FEMININE_SPANISH.fullmatch(small))


def spanish_counted(number: int, following: str) -> str:
    """A Spanish number in the form that it has before a noun: "veintiún", "doscientas".

    Returns:
        "" where the digits are read like that anyway, or no noun follows.
    """
    noun = following.lower()
    if not noun.isalpha() or noun in _SMALL_SPANISH or not following[:1].islower():
        return ""
    feminine = is_spanish_feminine(noun)
    hundreds = feminine and 2 <= number // 100 % 10 <= 9
    thousands = feminine and number // 1000 % 1000 >= 200
    if (number % 10 != 1 or number % 100 == 11) and not hundreds and not thousands:
        return ""
    return spanish_form(number, feminine)


def spanish_form(number: int, feminine: bool) -> str:
    """A Spanish number before a noun of a gender."""
    said = cardinal_words(number, "es")
    if feminine:
        head, million, tail = said.rpartition("illones ")
        tail = re.sub(r"ientos\b", "ientas", tail)
        tail = re.sub(r"uno\b", "una", tail)
        return head + million + tail
    return re.sub(r"\buno$", "un", re.sub(r"veintiuno$", "veintiún", said))


def spanish_ordinal(number: int, following: str, feminine: bool | None = None) -> str:
    """A Spanish ordinal number: "primer" before a masculine noun, "primera" before a feminine."""
    said = ordinal_words(number, "es")
    noun = following.lower()
    real = noun.isalpha() and noun not in _SMALL_SPANISH
    if feminine is None:
        feminine = real and is_spanish_feminine(noun)
    if feminine:
        return re.sub(r"o\b", "a", said)
    return re.sub(r"(primer|tercer)o$", r"\1", said) if real else said


def is_queen(name: str) -> bool:
    """Whether a ruler's name in French or Spanish is that of a woman, by its ending."""
    return bool(_QUEENS_ROMANCE.fullmatch(name.lower())) and name not in ("Pie",)


def french_counted(number: int, following: str) -> str:
    """A French number before a feminine noun where it ends in 1: "vingt et une"; else ""."""
    if number % 10 != 1 or number % 100 in (11, 71, 91):
        return ""
    if not _FEMININE_FRENCH.fullmatch(following.lower()):
        return ""
    if number % 100 == 81:  # espeak-ng reads "quatre-vingt-une" with a t
        return f"{cardinal_words(number - 1, 'fr')} une"
    return re.sub(r"un$", "une", cardinal_words(number, "fr"))


def french_linked(number: int, following: str) -> str:
    """A French number in -cents before a noun with a vowel, to which its s is linked; else "".

    espeak-ng links that of words ("deux cents invités"), not that of digits.
    """
    noun = following.lower()
    plural = is_plural(following, "fr") or noun in ("ans", "as", "os", "ours", "yeux")
    if not plural or not (is_elided(following) or noun == "yeux"):
        return ""
    said = cardinal_words(number, "fr")
    return said if said.endswith("cents") else ""


def portuguese_form(number: int) -> str:
    """A Portuguese number before a feminine noun: "duas", "vinte e uma", "duzentas"."""
    said = cardinal_words(number, "pt")
    said = re.sub(r"\bum$", "uma", re.sub(r"\bdois\b(?! (?:mil|bi)h)", "duas", said))
    return re.sub(r"entos\b(?! (?:mil|bi)h)", "entas", said)


_FEMININE_PORTUGUESE = re.compile(
    r".*(?:as?|ções|ção|sões|são|dade|dades|gem|gens|tude|tudes)|mulher(?:es)?|vez|vezes|mães?"
    r"|noites?|partes?|tardes?|leis?|mãos?|flor(?:es)?|luz|luzes|vozes|voz|séries?|fases?|cidades?"
)
_MASCULINE_PORTUGUESE = word_set(
    "dia dias mapa mapas problema problemas sistema sistemas tema temas programa programas clima "
    "idioma idiomas planeta planetas poema poemas drama dramas quilograma quilogramas grama gramas "
    "artistas atletas turistas policiais para da das na nas pela pelas à às uma umas ela elas mas "
    "cada toda todas essa essas esta estas aquela mesma numa nova outra outras ainda agora"
)


def portuguese_counted(number: int, following: str) -> str:
    """A Portuguese number before a feminine noun: "duas mulheres", "duzentas páginas"; else ""."""
    noun = following.lower()
    if not following.islower() or not noun.isalpha() or len(noun) < 3:
        return ""
    if noun in _MASCULINE_PORTUGUESE or not _FEMININE_PORTUGUESE.fullmatch(noun):
        return ""
    said = portuguese_form(number)
    return said if said != cardinal_words(number, "pt") else ""


def italian_counted(number: int, following: str) -> str:
    """The Italian 1 before a noun: "un libro", "una casa", "un'ora"; else ""."""
    noun = following.lower()
    if number != 1 or not following.islower() or len(noun) < 3 or noun in _SMALL_ITALIAN:
        return ""
    if noun[-1] == "a" and noun not in ("problema", "programma", "sistema", "tema", "poeta"):
        return "un'" if noun[0] in "aeiou" else "una"
    if noun[-1] in "oe":
        return "uno" if re.match(r"z|gn|ps|x|y|s[^aeiou]", noun) else "un"
    return ""


_SMALL_ITALIAN = word_set("per che con del della nel nella alla una come dove quando sono era e")


def is_plural(noun: str, base: str) -> bool:
    """Whether a word behind a number is a noun or adjective in the plural, by its ending."""
    small = noun.lower()
    ends = small.endswith(("s", "x") if base == "fr" else "s")
    return ends and small.isalpha() and len(small) > 3 and small not in _NO_PLURALS


def is_elided(noun: str) -> bool:
    """Whether "de" is "d'" before a French noun."""
    small = noun.lower()
    return small[0] in "aeiouéèêàâîôûœ" or small.startswith(_MUTE_H)
