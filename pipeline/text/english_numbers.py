"""English money, units, fractions, ranges, telephone and Roman numbers in words."""

from __future__ import annotations

import re

from ns2.pipeline.text.english_dates import YEAR, spoken_year
from ns2.pipeline.text.english_tables import (
    AFTER_NAMES,
    ARTICLES,
    CALLING,
    CODES,
    COIN_NAMES,
    DOTTED_UNITS,
    MILLIONS_OF,
    MONEY,
    NAMED_BY_NUMBER,
    PARTS,
    PER,
    PRICED,
    REPEATED,
    SCALE_WORDS,
    SCALES,
    SCRIPTURES,
    SECONDS,
    STATES,
    UNITS,
    UNSPELLED,
    VULGAR,
    C,
    D,
)
from ns2.pipeline.text.english_words import Context, cardinal, decimal, digits, ordinal

_AMOUNT = re.compile(rf"[-−+±]?{C}?(?:{D}|\.\d+)(?:-{C}?{D})?")
_LAND = re.compile(r"^([-−+±]?)(?:US|A|C|NZ|HK)(?=\$)")
_ONE = re.compile(r"[-−+]?1")
_PART = re.compile(r"(?:\d+-)?\d{1,2}/\d{1,4}|[½¼¾⅓⅔⅛⅜⅝⅞]")
_IN_PHONE = re.compile(r"\d{2,7}(?:-\d{2,7})*")


def after_amount(text: str, context: Context) -> str:
    """A unit, scale word or currency code after its number: "km" in "5 km"; else ""."""
    before = _LAND.sub(r"\1", context.before.replace(" ", ""))
    if text == "x" and (said := _by(context)):
        return said
    if "/" in text and (said := _rate(text, context)):
        return said
    if before in ("sq", "cu", "square", "cubic") and text in UNITS:
        return UNITS[text][context.near(-2) != "1"]  # sq. ft.
    if text in ("sq", "cu") and context.after in UNITS:
        return "square" if text == "sq" else "cubic"
    if text in ("C", "F") and before.endswith("°"):
        return {"C": "Celsius", "F": "Fahrenheit"}[text]
    if _PART.fullmatch(before) and (text in UNITS or (text in DOTTED_UNITS and context.dotted)):
        mixed = before.count("-") or re.fullmatch(r"\d+", context.near(-2))
        return _names(text)[1 if mixed else 0]
    if not _AMOUNT.fullmatch(before):
        return ""
    bare = before.lstrip("-−+±")
    single = bool(_ONE.fullmatch(before)) or context.near(-2) in ARTICLES  # a 5 km run
    if bare[:1] in MONEY:
        name = MONEY[bare[0]][0 if _describes(context.near(-2), context.after) else 1]
        return f"{SCALES.get(text, text)} {name}" if _is_scale(text, context.after) else ""
    if _is_millions(text, context.after):
        return SCALES[text]
    if _is_letter(text, context.near(-2)):
        return ""
    if text == "s":
        return SECONDS[not single]
    if text in UNITS:
        return UNITS[text][not single]
    if text in DOTTED_UNITS and context.dotted:
        return DOTTED_UNITS[text][not single]
    return MONEY[CODES[text]][not single] if text in CODES else ""


def _by(context: Context) -> str:
    """The "x" between the sides of something: "12 x 8", "12 cm x 8 cm"; "" elsewhere."""
    number = context.near(-2) if context.before in (*UNITS, *DOTTED_UNITS) else context.before
    if not re.fullmatch(f"{D}″?", number) or not context.after[:1].isdigit():
        return ""
    return "times" if context.near(2) in REPEATED or context.near(2) == "=" else "by"


def _rate(text: str, context: Context) -> str:
    """Units or what is counted with its time, in one word: "mg/dL", "days/week"."""
    what, _, per = text.partition("/")
    if per not in PER or not what.isalpha() or not _AMOUNT.fullmatch(context.before):
        return ""
    single = bool(_ONE.fullmatch(context.before))
    name = UNITS[what][not single] if what in UNITS else what
    return f"{name} per {UNITS[per][0] if per in UNITS else per.replace('yr', 'year')}"


def old_coins(match: re.Match[str], context: Context) -> str:
    """Shillings and pence of old: "10s. 6d."; "" for other letters."""
    number, coin = match[1], match[2]
    pounds = context.before.startswith("£")
    shillings = re.fullmatch(r"\d{1,2}s", context.before)
    if coin == "s" and (pounds or re.match(r"\d{1,2}d", context.after)):
        return f"{cardinal(number)} {'shilling' if number == '1' else 'shillings'}"
    if coin == "d" and (pounds or shillings):
        return f"and {cardinal(number)} pence" if number != "1" else "and a penny"
    return ""


def over(match: re.Match[str], context: Context) -> str:
    """A blood pressure: "120/80"."""
    high, low = int(match[1]), int(match[2])
    return f"{_code_number(match[1])} over {cardinal(low)}" if 90 <= high > low >= 40 else ""


def _describes(before: str, after: str) -> bool:
    """Whether an amount describes the noun behind it: "a $5 bill", "the $64,000 question"."""
    return before in ARTICLES or (after in PRICED and before.lower() in UNSPELLED)


def _is_scale(text: str, after: str) -> bool:
    """Whether a word behind an amount of money multiplies it: "million", "m" in "$3 m"."""
    return text in SCALE_WORDS or (text in SCALES and not after[:1].isupper())


def _is_millions(text: str, after: str) -> bool:
    """Whether a letter behind a number is a scale and no unit: "3 m dollars", "3 bn"."""
    if text in ("mn", "bn", "tn"):
        return True
    counted = after in COIN_NAMES or after in MILLIONS_OF
    return counted and text in ("k", "K", "m", "M", "b", "B")


def _is_letter(unit: str, name: str) -> bool:
    """Whether the sign of a unit is a letter behind a name with a number: "Channel 4 V"."""
    return len(unit) == 1 and unit.isupper() and name.lower() in NAMED_BY_NUMBER


def money(match: re.Match[str], context: Context) -> str:
    """Money: "$2.50", "£5m", "5€"."""
    one, many, cent, cents = MONEY[match["sign"]]
    if _describes(context.before, context.after) and not match["places"]:
        many = one  # a $5 bill
    whole, places, scale = match["whole"], match["places"], match["scale"]
    amount = f"{whole}.{places}" if places else whole
    if scale:
        return f"{decimal(amount, context.british)} {SCALES[scale]} {many}"
    if _is_scale(context.after, context.near(2)):
        return decimal(amount, context.british)  # the scale word is spoken with the currency
    if places and len(places) != 2:
        return f"{decimal(amount, context.british)} {many}"
    units = f"{cardinal(whole, context.british)} {one if whole == '1' else many}"
    small = int(places or 0)
    if not small:
        return units
    coins = f"{cardinal(small)} {cent if small == 1 else cents}"
    if whole.strip("0,") == "":
        return coins
    return f"{units} and {coins}" if small < 10 else f"{units} {cardinal(small)}"


def small_money(match: re.Match[str], context: Context) -> str:
    """Money without a whole part: "$.50"."""
    places = match["places"]
    _, many, cent, cents = MONEY[match["sign"]]
    if _is_scale(context.after, context.near(2)):
        return decimal("." + places)
    if len(places) != 2:
        return f"{decimal('.' + places)} {many}"
    return f"{cardinal(places)} {cent if int(places) == 1 else cents}"


def money_range(match: re.Match[str], context: Context) -> str:
    """Two amounts of money: "$5-$10"."""
    low, high = decimal(match["low"], context.british), decimal(match["high"], context.british)
    if context.after in SCALE_WORDS:
        return f"{low} to {high}"
    scale = f" {SCALES[match['scale']]}" if match["scale"] else ""
    return f"{low} to {high}{scale} {MONEY[match['sign']][1]}"


def number_range(match: re.Match[str], context: Context) -> str:
    """Two numbers: "10-20", "10-20%"."""
    low, high, unit = match["low"].rstrip("%"), match["high"], match["unit"]
    if any(re.match(r"0\d", end) for end in (low, high)):
        return ""  # a date or a part number
    to = " " if low == high else " to "  # fifty fifty
    said = f"{decimal(low, context.british)}{to}{decimal(high, context.british)}"
    if unit == "%":
        return f"{said} percent"
    return f"{said} {_names(unit)[1]}" if unit else said


def _names(unit: str) -> tuple[str, ...]:
    return UNITS.get(unit) or DOTTED_UNITS[unit]


def with_unit(match: re.Match[str], context: Context) -> str:
    """A number and its unit in one word: "5ft"."""
    if _is_letter(match[2], context.before):
        return ""
    if _is_millions(match[2], context.after):
        return f"{decimal(match[1], context.british)} {SCALES[match[2]]}"
    many = match[1] != "1" and context.before not in ARTICLES and "-" not in match[0]
    return f"{decimal(match[1], context.british)} {_names(match[2])[many]}"


def scaled(match: re.Match[str], context: Context) -> str:
    """A number with a short scale: "3.5M"; not a letter as in "221B Baker Street"."""
    if _is_letter(match[2], context.before):
        return ""
    counted = "." in match[1] or context.after[:1].islower()
    if match[2] in ("B", "M") and (not counted or context.after in AFTER_NAMES):
        return ""
    return f"{decimal(match[1], context.british)} {SCALES[match[2]]}"


def dotted(match: re.Match[str], context: Context) -> str:
    """A version or an address, group by group: "3.11.2", "192.168.0.1"."""
    groups = match[2].split(".")
    version = bool(match[1]) or context.before.lower() in ("version", "release")
    address = len(groups) == 4 and not version and all(int(group) < 256 for group in groups)
    said = (" dot " if address else " point ").join(_group(group, context) for group in groups)
    return f"{match[1]} {said}" if match[1] else said


def _group(group: str, context: Context) -> str:
    if len(group) > 1 and group.startswith("0"):
        return digits(group)
    return cardinal(group, context.british)


def size(match: re.Match[str], context: Context) -> str:
    """A size in one word: "4x4", "1920x1080"."""
    sides = re.split("[x×]", match[1])
    said = " by ".join(decimal(side, context.british) for side in sides)
    return f"{said} {_names(match[2])[1]}" if match[2] else said


def code(match: re.Match[str], context: Context) -> str:
    """Letters with digits, the letters by their names: "BA2490", "A320", "B2B"."""
    said = (_spelled(match[1]), _code_number(match[2]), _spelled(match[3]))
    return " ".join(filter(None, said))


def _spelled(letters: str) -> str:
    return "eigh" if letters in ("A", "a") else ".".join(letters)  # no article


def _code_number(number: str) -> str:
    """The number in a code, as people say it: "fifty two", "three twenty", "two four nine zero"."""
    if number.startswith("0"):
        return digits(number)
    if len(number) < 3 or number.endswith("000") or (len(number) == 3 and number[1:] == "00"):
        return cardinal(number)
    if re.fullmatch(r"19\d\d|20\d\d", number):
        return spoken_year(number)
    if len(number) == 3 and number[1] != "0":
        return f"{cardinal(number[0])} {cardinal(number[1:])}"
    return digits(number)


def lettered(match: re.Match[str], context: Context) -> str:
    """A number with the letter A, which is no article: "3A", "12a"."""
    return f"{cardinal(match[1], context.british)} eigh"


def feet(match: re.Match[str], context: Context) -> str:
    """A height: "5'10"."""
    return f"{cardinal(match[1])} foot {cardinal(match[2])}"


def fraction(match: re.Match[str], context: Context) -> str:
    """A fraction: "1/2" alone is "one half", after a whole number "and a half"."""
    whole, over, under = match["whole"], int(match["over"]), int(match["under"])
    if match["ending"] and under > 1 and over:  # 2/3rds, 1/20th
        part = PARTS[under][over > 1] if under in PARTS else ordinal(str(under))
        many = "s" if over > 1 and under not in PARTS else ""
        return f"{f'{cardinal(whole)} and ' if whole else ''}{cardinal(over)} {part}{many}"
    if under not in PARTS or not 0 < over < under:
        return "" if whole else f"{cardinal(over)} {cardinal(under)}"  # 9/11
    before = f"{cardinal(whole)} " if whole else ""
    part = PARTS[under][over > 1]
    if not whole and not re.fullmatch(r"[-−]?\d{1,3}", context.before):
        return f"{cardinal(over)} {part}"
    count = ("an" if part.startswith("eigh") else "a") if over == 1 else cardinal(over)
    return f"{before}and {count} {part}"


def vulgar(match: re.Match[str], context: Context) -> str:
    """A fraction of one letter, alone or behind a number: "2½"."""
    part = VULGAR[match[2]]
    if match[1]:
        return f"{cardinal(match[1], context.british)} and {part}"
    if re.fullmatch(r"[-−]?\d{1,3}", context.before):
        return f"and {part}"
    return re.sub(r"^an? ", "one ", part)


def plural(match: re.Match[str], context: Context) -> str:
    """Several of a number: "100s" is "hundreds", "747s" is "seven forty sevens"."""
    number = match[1]
    named = any(map(str.isupper, context.before)) and context.before.lower() not in (
        *UNSPELLED,
        "in",
    )
    if len(number) == 1 and named:
        return ""  # iPhone 5s
    said = _code_number(number) if number.isdigit() else cardinal(number)
    said = re.sub("^one (?=[ht])", "", said)
    return re.sub("y$", "ie", said) + ("es" if said.endswith("six") else "s")


def postal_code(match: re.Match[str], context: Context) -> str:
    """A postal code behind a state: "NY 10027"."""
    return digits(match[0]) if context.before in STATES else ""


def to_word(context: Context) -> str:
    """The word in a score or ratio; "" between chapter and verse."""
    return "" if context.before in SCRIPTURES else "to "


def verses(match: re.Match[str], context: Context) -> str:
    """Verses of a chapter: "Matthew 5:3-12"."""
    if context.before not in SCRIPTURES:
        return ""
    chapter, first, last = map(cardinal, match.group(1, 2, 3))
    return f"{chapter} {first} to {last}"


def telephone(match: re.Match[str], context: Context) -> str:
    """Groups of digits that are parts of a telephone number: "(555) 123-4567", "+1 555"."""
    text = match[0]
    if text in ("911", "999", "112") and context.before in CALLING:
        return digits(text)
    if text.startswith("+"):
        return f"plus {digits(text)}" if context.after[:1].isdigit() else ""
    if re.fullmatch(r"\d{3}", text) and (
        re.fullmatch(r"\d{3}-\d{4}", context.after)
        or (re.fullmatch(r"\d{3}", context.after) and re.fullmatch(r"\d{4}", context.near(2)))
    ):
        return digits(text)
    groups = [text]
    offset = -1
    while _IN_PHONE.fullmatch(context.near(offset)) or context.near(offset).startswith("+"):
        groups.insert(0, context.near(offset))
        offset -= 1
    begins = groups[0].startswith("+") or re.fullmatch(r"0\d{2,}", groups[0])
    sizes = [len(group) for group in groups[-3:]]
    middle = sizes == [3, 3] and re.fullmatch(r"\d{4}", context.after)
    known = begins or middle or sizes == [3, 3, 4]
    return digits(text) if known and len(groups) > 1 else ""


def prefixed(match: re.Match[str], context: Context) -> str:
    """A year behind a word: "post-1945"."""
    return f"{match[1]} {spoken_year(match[2])}"


def suffixed(match: re.Match[str], context: Context) -> str:
    """A year or an ordinal number before a word: "19th-century"."""
    number, rest = match[1], match[2].replace("-", " ")
    if re.fullmatch(YEAR, number):
        return f"{spoken_year(number)} {rest}"
    return f"{ordinal(number[:-2], context.british)} {rest}"
