"""Tables of English for `english`: coins, units, months, abbreviations."""

from __future__ import annotations

import re

from ns2.pipeline.text.tables import word_set

N = r"\d{1,3}(?:,\d{3})+|\d{1,15}"  # 1,000 or 1000
D = rf"(?:{N})(?:\.\d+)?"  # with decimals

MONEY = {
    "$": ("dollar", "dollars", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "€": ("euro", "euros", "cent", "cents"),
    "¥": ("yen", "yen", "sen", "sen"),
    "₹": ("rupee", "rupees", "paisa", "paise"),
}
C = "[$£€¥₹]"
CODES = {"USD": "$", "GBP": "£", "EUR": "€", "JPY": "¥", "INR": "₹"}
SCALES = {
    "k": "thousand", "K": "thousand", "m": "million", "M": "million", "mn": "million",
    "b": "billion", "B": "billion", "bn": "billion", "tn": "trillion",
}  # fmt: skip
S = "(?:[kKmMbB]|mn|bn|tn)"
SCALE_WORDS = frozenset({"hundred", "thousand", "million", "billion", "trillion"})
UNITS = {
    "kg": ("kilogram", "kilograms"), "mg": ("milligram", "milligrams"), "g": ("gram", "grams"),
    "km": ("kilometer", "kilometers"), "cm": ("centimeter", "centimeters"),
    "mm": ("millimeter", "millimeters"), "ml": ("milliliter", "milliliters"),
    "m": ("meter", "meters"), "l": ("liter", "liters"), "L": ("liter", "liters"),
    "m²": ("square meter", "square meters"), "km²": ("square kilometer", "square kilometers"),
    "m³": ("cubic meter", "cubic meters"),
    "m/s²": ("meter per second squared", "meters per second squared"),
    "m/s": ("meter per second", "meters per second"),
    "lb": ("pound", "pounds"), "lbs": ("pound", "pounds"), "oz": ("ounce", "ounces"),
    "ft": ("foot", "feet"), "yd": ("yard", "yards"), "yds": ("yard", "yards"),
    "mi": ("mile", "miles"), "mph": ("mile per hour", "miles per hour"),
    "gal": ("gallon", "gallons"), "tbsp": ("tablespoon", "tablespoons"),
    "tsp": ("teaspoon", "teaspoons"),
    "km/h": ("kilometer per hour", "kilometers per hour"), "h": ("hour", "hours"),
    "hr": ("hour", "hours"), "hrs": ("hour", "hours"), "min": ("minute", "minutes"),
    "mins": ("minute", "minutes"), "sec": ("second", "seconds"), "secs": ("second", "seconds"),
    "ms": ("millisecond", "milliseconds"), "Hz": ("hertz", "hertz"), "kHz": ("kilohertz",) * 2,
    "MHz": ("megahertz",) * 2, "GHz": ("gigahertz",) * 2, "KB": ("kilobyte", "kilobytes"),
    "MB": ("megabyte", "megabytes"), "GB": ("gigabyte", "gigabytes"),
    "TB": ("terabyte", "terabytes"), "W": ("watt", "watts"), "kW": ("kilowatt", "kilowatts"),
    "kWh": ("kilowatt hour", "kilowatt hours"),
    "mAh": ("milliampere hour", "milliampere hours"), "V": ("volt", "volts"),
    "°": ("degree", "degrees"), "°C": ("degree Celsius", "degrees Celsius"),
    "°F": ("degree Fahrenheit", "degrees Fahrenheit"),
}  # fmt: skip
DOTTED_UNITS = {"in": ("inch", "inches")}
"""Units that are another word without their full stop."""
SECONDS = ("second", "seconds")
"""The names of "s" behind a number and a space; without the space it is a plural: "100s"."""

U = "|".join(sorted(map(re.escape, (*UNITS, *DOTTED_UNITS)), key=len, reverse=True))
PARTS = {2: ("half", "halves"), 3: ("third", "thirds"), 4: ("quarter", "quarters"),
         5: ("fifth", "fifths"), 6: ("sixth", "sixths"), 7: ("seventh", "sevenths"),
         8: ("eighth", "eighths"), 9: ("ninth", "ninths"), 10: ("tenth", "tenths"),
         12: ("twelfth", "twelfths"), 16: ("sixteenth", "sixteenths"),
         32: ("thirty second", "thirty seconds"), 64: ("sixty fourth", "sixty fourths"),
         100: ("hundredth", "hundredths"), 1000: ("thousandth", "thousandths")}  # fmt: skip
VULGAR = {"½": "a half", "¼": "a quarter", "¾": "three quarters", "⅓": "a third",
          "⅔": "two thirds", "⅛": "an eighth", "⅜": "three eighths", "⅝": "five eighths",
          "⅞": "seven eighths"}  # fmt: skip
TENS = ("", "tens", "twenties", "thirties", "forties", "fifties", "sixties", "seventies",
        "eighties", "nineties")  # fmt: skip
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September",
          "October", "November", "December")  # fmt: skip
MONTH_NAMES = {
    **{month: month for month in MONTHS},
    **{month[:3]: month for month in MONTHS},
    "Sept": "September",
}
"""Full names of months by what is written."""

NAMES_TOO = word_set("Jan May April June August March")
"""Months whose names are people or verbs, too; a number behind them may count what follows."""
BEFORE_DATES = word_set(
    "on by until till since from before after through to of for last this next every and between "
    "around about late early mid dated"
)
"""Words before which a month begins a date, whatever follows it."""
COUNTED = word_set(
    "times people men women children feet percent more hundred thousand million fewer less"
)
"""Words that a number before them counts, beside nouns in -s."""
NO_PLURALS = word_set(
    "this does starts begins ends marks sees comes falls brings opens works always perhaps across "
    "thus less hers ours yours theirs was has gets goes makes takes closes kicks looks seems "
    "remains became means features versus as"
)
"""Words in -s that are no noun."""

NUMBERED = {
    "c": "circa", "ca": "circa", "No": "number", "no": "number", "Nos": "numbers",
    "nos": "numbers", "p": "page", "pp": "pages", "vol": "volume", "Vol": "volume",
    "ch": "chapter", "Ch": "chapter", "fig": "figure", "Fig": "figure", **MONTH_NAMES,
}  # fmt: skip
PLAIN = {"Mr": "mister", "Ms": "miz", "Dr": "doctor", "vs": "versus", "w/": "with",
         "w/o": "without", "and/or": "and or", "24/7": "twenty four seven",
         "№": "number"}  # fmt: skip
DOUBTING = word_set("am think know believe guess suppose mean hope don't")
THINKING = DOUBTING | word_set(
    "love like want need have had did do can could will would should saw met said asked told went "
    "came made took found got used liked loved wanted wrote read heard felt remember thought knew "
    "didn't can't couldn't"
)
"""Verbs before which "I" after "Part" is the pronoun, and no number; after "War", "Charles" these:
`DOUBTING`."""

AFTER_RULERS = word_set(
    "of was is became died reigned ruled and who whose whom succeeded married ascended issued "
    "ordered granted in from by to at 's or until"
) | {""}
"""Words after which "I" behind a ruler's name is a number; elsewhere it is the pronoun."""
NAMED_BY_NUMBER = word_set(
    "channel gate room platform line route highway bus flight track apartment apt suite unit "
    "number studio terminal lane bay dock pier floor level window seat row block building house "
    "bbc radio"
)
"""Nouns that a number names, in small letters; a capital letter behind it is no unit."""
COIN_NAMES = word_set("dollars pounds euros yen rupees bucks yuan francs pesos rubles roubles USD "
                      "EUR GBP")  # fmt: skip
"""Names of money before which "3 m" is three million."""
MILLIONS_OF = word_set(
    "people viewers users customers subscribers followers copies jobs homes households children "
    "women men workers visitors votes voters inhabitants passengers shares refugees"
)
"""What is counted by millions, and never by metres."""
AFTER_NAMES = word_set("is was in at on and or to for has will with from of near opens closes")
"""Words behind a name such as "Gate 5M", which is no amount."""

ARTICLES = ("a", "an", "A", "An")
CALLING = word_set("call Call called calling dial Dial dialed dialled dialing phone")
UNSPELLED = word_set("a an the A An The this his her their my your our its an' some any no")
"""Words after which "IV" is no number."""
