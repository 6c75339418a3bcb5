"""Rules for money, units, percentages and ranges of numbers."""

from __future__ import annotations

import re
from functools import cache

from ns2.pipeline.text.numbers.inflection import (
    french_counted,
    is_elided,
    is_plural,
    portuguese_form,
    spanish_form,
)
from ns2.pipeline.text.numbers.locales import CURRENCIES, Locale, Noun
from ns2.pipeline.text.numbers.number_words import coin_words, year_words
from ns2.pipeline.text.numbers.place import (
    Place,
    is_number,
    is_whole,
    number_said,
    pattern_of,
    plain_thousands,
    split_number,
)

_SIGN = r"(?:R\$|[€$£¥₽₴])"
_LANDS = "(?:US|A|C|NZ|HK|MX)?"  # whose dollar it is, which is not said
_YEAR = re.compile(r"1[1-9]\d\d")


def counted(text: str, noun: Noun, locale: Locale) -> str:
    """A number with the noun that it counts: "21 libras" as "veintiuna libras"."""
    return f"{count_form(text, noun, locale)} {noun_form(text, noun, locale)}"


def noun_form(text: str, noun: Noun, locale: Locale) -> str:
    """The noun in the form that it has after a number."""
    whole, places = split_number(text, locale)
    single = whole == "1" and not places
    if locale.base == "fr":  # 1,5 litre
        single = int(whole or 0) < 2
    if noun.few:
        return _slavic_form(int(whole or 0), bool(places), noun, locale.base)
    return noun.one if single else noun.many


def _slavic_form(number: int, decimal: bool, noun: Noun, base: str) -> str:
    """A noun after a number: "1 километр", "2 километра", "5 километров"."""
    last, tens = number % 10, number % 100 // 10
    if decimal:
        return noun.part
    if 2 <= last <= 4 and tens != 1:
        return noun.few
    one = number == 1 or (base in ("ru", "uk") and last == 1 and tens != 1)
    return noun.one if one else noun.many


def count_form(text: str, noun: Noun, locale: Locale) -> str:
    """The number in the form that it has before a noun."""
    whole, places = split_number(text, locale)
    if places or not whole:
        return number_said(text, locale)
    if whole == "1":
        return noun.article
    number = int(whole)
    if locale.base == "es" and (number % 10 == 1 or noun.feminine) and number % 100 != 11:
        return spanish_form(number, noun.feminine)
    if locale.base == "fr" and noun.feminine:
        return french_counted(number, "heure") or whole
    if locale.base == "pt" and noun.feminine:
        return portuguese_form(number)
    return whole


@cache
def _money_patterns(locale: Locale) -> tuple[re.Pattern[str], ...]:
    number = pattern_of(locale)
    scales = "|".join(sorted(map(re.escape, locale.scales), key=len, reverse=True)) or "(?!)"
    names = "|".join(sorted(map(re.escape, locale.coins), key=len, reverse=True)) or "(?!)"
    return (
        re.compile(rf"{_LANDS}(?P<sign>{_SIGN}) ?(?P<number>{number})(?P<scale>{scales})?"),
        re.compile(rf"(?P<number>{number}) ?(?P<scale>{scales})?(?P<sign>{_SIGN}|{names})"),
    )


@cache
def _elsewhere_patterns(locale: Locale) -> tuple[re.Pattern[str], ...]:
    """Amounts whose marks are exchanged, as in "$1,000.50" and "5.50 €" in Spanish.

    Money has no three decimals; but of a price in front of its sign ("1,459 €") that is not sure.
    """
    group, point = rf"\d{{1,3}}(?:{locale.decimal}\d{{3}})", re.escape(locale.grouping)
    return (
        re.compile(rf"{_LANDS}{_SIGN} ?({group}+(?:{point}\d\d)?|\d+{point}\d\d?)\D*"),
        re.compile(rf"({group}{{2,}}|{group}+{point}\d\d|\d+{point}\d\d) ?\D+"),
    )


def _in_own_marks(text: str, locale: Locale) -> str:
    """An amount with the marks of the language."""
    exchanged = str.maketrans({locale.decimal: locale.grouping, locale.grouping: locale.decimal})
    for pattern in _elsewhere_patterns(locale):
        if match := pattern.fullmatch(text):
            return text.replace(match[1], match[1].translate(exchanged))
    return text


def money(place: Place) -> str:
    """Money: "3,50 €" as "3 Euro 50", "$5" before "Millionen" as "5"."""
    locale, text = place.locale, _in_own_marks(place.text, place.locale)
    text = re.sub(r"^(\d+)€(\d\d)$", rf"\1{locale.decimal}\2€", text)  # 5€50
    for pattern in _money_patterns(locale):
        match = pattern.fullmatch(text)
        if match:
            break
    else:
        return ""
    number, sign, scale = match["number"], match["sign"], match["scale"]
    coins = locale.coins.get(sign)
    if coins is None:
        return _money_elsewhere(number, sign, locale)
    if place.after in locale.scales and not text.endswith(sign):
        return number_said(number, locale)  # the scale word is spoken with the coin
    main, part = coins
    if scale:
        name = locale.scales[scale][number != "1"]
        return f"{number_said(number, locale)} {name} {_of(main, locale)}"
    whole, places = split_number(number, locale)
    if is_million(whole, locale) and not places.strip("0"):
        return f"{count_form(whole, main, locale)} {_of(main, locale)}"
    if len(places) != 2:
        return counted(number, main, locale)
    said = counted(whole, main, locale)
    if not places.strip("0"):
        return said
    small = str(int(places))
    if not whole.strip("0"):
        return counted(small, part, locale)
    if locale.between_coins:
        return f"{said} {locale.between_coins} {counted(small, part, locale)}"
    return f"{said} {small}"


def _of(coin: Noun, locale: Locale) -> str:
    """A coin behind a scale word: "d'euros"."""
    return of_noun(coin.many, locale)


def of_noun(noun: str, locale: Locale) -> str:
    """A noun behind a million with the word between them: "d'habitants", "de personas"."""
    if not locale.of:
        return noun
    return f"d'{noun}" if locale.base == "fr" and is_elided(noun) else f"{locale.of} {noun}"


def is_million(text: str, locale: Locale) -> bool:
    """Whether a number is said with "million" as its last word, and that takes "de"."""
    whole, places = split_number(text, locale)
    return bool(locale.of) and whole.endswith("000000") and not places


def after_million(place: Place) -> str:
    """A noun behind a million in digits: "habitants" in "2 000 000 habitants"."""
    locale, text = place.locale, place.text
    number = plain_thousands(place.before.lstrip("-−+±"), locale)
    if not is_number(number, locale) or not is_million(number, locale):
        return ""
    coin = locale.coins.get(text)
    if coin is not None:
        return _of(coin[0], locale)
    return of_noun(text, locale) if is_plural(text, locale.base) else ""


def _money_elsewhere(number: str, sign: str, locale: Locale) -> str:
    """Money in a language of which only num2words knows the coins."""
    whole = split_number(number, locale)[0]
    name, _ = coin_words(whole, CURRENCIES.get(sign, ""), locale.base)
    return f"{number.replace(' ', '')} {name}" if name and whole else ""


def scale_alone(place: Place) -> str:
    """A short scale word after its number: "Mio." in "1 Mio.", "Md" in "3 Md €"."""
    text, locale = place.text, place.locale
    german = text in ("Mio", "Mrd") and locale.base == "de"
    if text in ("mln", "mld") and text in locale.scales and is_number(place.before, locale):
        return locale.scales[text][place.before != "1"]
    counts = text in ("M", "Md", "mi", "bi") and is_number(place.before, locale)
    coin = place.after in locale.coins or re.fullmatch(r"d'\w+|de", place.after)
    if text not in locale.scales or not (german or (counts and coin)):
        return ""
    return locale.scales[text][place.before != "1"]


def coin_alone(place: Place) -> str:
    """The sign of a coin, or a scale word, after its number: "€" in "5 €"."""
    text, before, locale = place.text, place.before, place.locale
    leading = re.match(rf"{_LANDS}({_SIGN}) ?\d", before)
    if text in locale.scales and leading and leading[1] in locale.coins:
        name = locale.scales[text][1]  # $5 Mio
        return f"{name} {_of(locale.coins[leading[1]][0], locale)}"
    if text in CURRENCIES and not locale.coins:
        whole = split_number(before, locale)[0]
        return coin_words(whole, CURRENCIES[text], locale.base)[0] if whole else ""
    scale, sign = text[:-1], text[-1:]
    if scale in locale.scales and sign in CURRENCIES and is_number(before, locale):
        name = locale.scales[scale][before != "1"]
        return f"{name} {_of(locale.coins[sign][0], locale)}"  # 2,5 M€
    if text not in locale.coins or text[:1].islower():
        return ""
    coin = locale.coins[text][0]
    if is_number(before, locale):
        return noun_form(before.lstrip("-−+±"), coin, locale)
    if before in locale.scales or before.rstrip(".") in locale.scales:
        return _of(coin, locale)
    return coin.many if text in CURRENCIES else ""


@cache
def _unit_pattern(locale: Locale) -> re.Pattern[str]:
    names = "|".join(sorted(map(re.escape, locale.units), key=len, reverse=True)) or "(?!)"
    return re.compile(rf"({pattern_of(locale)}) ?({names})")


def has_unit(text: str, locale: Locale) -> bool:
    """Whether a word is a number with its unit: "25°C"."""
    return bool(locale.units) and _unit_pattern(locale).fullmatch(text.lstrip("-−+±")) is not None


def unit(place: Place) -> str:
    """A number with its unit: "5km", or a unit after its number."""
    locale, text = place.locale, place.text
    if text in locale.units and place.index:
        before = re.split("[-']", place.before)[-1].lstrip("−+±")  # d'1 km
        if is_number(before, locale):
            return noun_form(before, locale.units[text], locale)
        if re.fullmatch(r"\d+[½¼¾⅓⅔⅛]", before):
            return locale.units[text].many
        if before in locale.halves or re.fullmatch(r"\d/\d{1,2}", before):
            return locale.units[text].one
        if re.fullmatch(r"\d{1,2}:\d\d", before) and text == "h":
            return locale.units[text].many
        return ""
    match = _unit_pattern(locale).fullmatch(text)
    return counted(match[1], locale.units[match[2]], locale) if match else ""


def before_noun(place: Place) -> str:
    """A number before the sign of a unit or coin that has a gender: "1" in "1 km"."""
    locale, text = place.locale, place.text
    if not is_whole(text):
        return ""
    if text == "1" and place.after in ("Mio", "Mrd", "Million", "Milliarde"):
        return "eine" if locale.base == "de" else ""
    noun = locale.units.get(place.after) or locale.coins.get(place.after, (None,))[0]
    if noun is None:
        return ""
    said = count_form(text, noun, locale)
    return said if said != text else ""


def percent(place: Place) -> str:
    """A percentage that is written as one word, or a per mille sign."""
    match = re.fullmatch(rf"({pattern_of(place.locale)})%", place.text)
    if not match or not place.locale.percent:
        return ""
    return f"{number_said(match[1], place.locale)} {place.locale.percent}"


def number_range(place: Place) -> str:
    """A range: "10-20 km" as "10 bis 20", "1914-1918" in years, "3:2" as a score."""
    locale = place.locale
    score = re.fullmatch(r"(\d{1,3}):(\d{1,3}(?:[. ]\d{3})*)", place.text)
    if score and locale.ratio:
        return f"{score[1]} {locale.ratio} {number_said(score[2], locale)}"
    number = pattern_of(locale)
    match = re.fullmatch(rf"({number})-({number})(%|[^\W\d_]{{1,3}}|°C|km/h|€|\$)?", place.text)
    if not match or not locale.to or any(re.match(r"0\d", end) for end in match.group(1, 2)):
        return ""
    low, high = (
        year_words(int(end), "de")
        if locale.base == "de" and _YEAR.fullmatch(end) and _YEAR.fullmatch(match[1])
        else number_said(end, locale)
        for end in match.group(1, 2)
    )
    said = f"{low} {locale.to} {high}"
    if locale.base == "nl" and is_whole(match[1]) and is_whole(match[2]):  # 3-2
        said = said if int(match[1]) < int(match[2]) else f"{low} {high}"
    sign = match[3]
    if not sign:
        return said
    if sign == "%":
        return f"{said} {locale.percent}"
    noun = locale.units.get(sign) or locale.coins.get(sign, (None,))[0]
    return f"{said} {noun.many}" if noun else ""
