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
    "tsp": ("teaspoon", "teaspoons"), "pct": ("percent", "percent"),
    "dL": ("deciliter", "deciliters"), "Ω": ("ohm", "ohms"), "kΩ": ("kilohm", "kilohms"),
    **dict.fromkeys(("µm", "μm"), ("micrometer", "micrometers")),
    **dict.fromkeys(("µg", "μg"), ("microgram", "micrograms")),
    **dict.fromkeys(("µs", "μs"), ("microsecond", "microseconds")),
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
PER = word_set(
    "day week month year yr hour hr minute min second sec person head night dL lb kg mile"
)
GREEK = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "ζ": "zeta", "η": "eta",
    "θ": "theta", "λ": "lambda", "μ": "mu", "ν": "nu", "ξ": "xi", "π": "pi", "ρ": "rho",
    "σ": "sigma", "τ": "tau", "φ": "phi", "χ": "chi", "ψ": "psi", "ω": "omega", "Γ": "gamma",
    "Δ": "delta", "Θ": "theta", "Λ": "lambda", "Π": "pi", "Σ": "sigma", "Φ": "phi", "Ψ": "psi",
    "Ω": "omega",
}  # fmt: skip
DOTTED_UNITS = {"in": ("inch", "inches"), "″": ("inch", "inches")}
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

DAYS = {
    "Mon": "Monday", "Tue": "Tuesday", "Tues": "Tuesday", "Wed": "Wednesday", "Thu": "Thursday",
    "Thur": "Thursday", "Thurs": "Thursday", "Fri": "Friday", "Sat": "Saturday", "Sun": "Sunday",
}  # fmt: skip
"""Days of the week in short; "Sat." and "Sun." are words, too."""
BEFORE_YEARS = word_set("in ad a.d year since until till circa c ca by after before")
BEFORE_DAYS = word_set("on every each next last this from to until till by")
NAMED = {**DAYS, **dict.fromkeys(DAYS.values(), ""), **MONTH_NAMES}
NAMED |= {name: name for name in NAMED if not NAMED[name]}
"""Names of days and months by what is written, for ranges of them."""
BEHIND_TIMES = frozenset(NAMED) | word_set("EST EDT PST PDT CST CDT MST MDT ET PT GMT UTC BST CET")
"""What belongs to a time of day before it: days and zones."""
STATES = word_set(
    "AL AK AZ AR CA CO CT DC DE FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ "
    "NM NY NC ND OH OK OR PA RI SC SD TN TX UT VT VA WA WV WI WY D.C"
)
"""States of America before a postal code."""
SCRIPTURES = word_set(
    "Genesis Exodus Leviticus Numbers Deuteronomy Joshua Judges Ruth Samuel Kings Chronicles Ezra "
    "Nehemiah Esther Job Psalm Psalms Proverbs Ecclesiastes Isaiah Jeremiah Lamentations Ezekiel "
    "Daniel Hosea Joel Amos Micah Zechariah Malachi Matthew Mark Luke John Acts Romans Corinthians "
    "Galatians Ephesians Philippians Colossians Thessalonians Timothy Titus Philemon Hebrews James "
    "Peter Jude Revelation Quran Surah"
)
"""Books before chapter and verse."""
REPEATED = word_set(
    "minutes minute mins min hours hour seconds second sec days weeks months years reps sets laps "
    "sessions mg ml tablets pills % percent"
)
"""What "12 x 3" counts, so that it is no size."""
PRICED = word_set(
    "question bill bills note notes coin prize fine fee deal loan check cheque bet ticket tickets "
    "grant reward budget contract bonus tax limit price range bottle house car watch suit lawsuit "
    "investment donation gift salary debt project program plan fund mark menu meal dress"
)
"""Nouns that an amount of money in front of them describes: "the $5 bill"."""
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
    "nos": "numbers", "Apt": "apartment", "Rm": "room", "pg": "page", "Pg": "page",
    "para": "paragraph",
    "chap": "chapter", "Chap": "chapter", "Bk": "book", "Pt": "part", "Sec": "section",
    "p": "page", "pp": "pages", "vol": "volume",
    "Vol": "volume", "ch": "chapter", "Ch": "chapter", "fig": "figure",
    "Fig": "figure", **MONTH_NAMES,
}  # fmt: skip
PLAIN = {"WWI": "world war one", "WWII": "world war two", "Mr": "mister", "Ms": "miz",
         "Dr": "doctor", "vs": "versus", "w/": "with",
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
