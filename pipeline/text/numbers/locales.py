"""What the rules need to know of a language: its signs, months, units and coins."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from ns2.pipeline.text.numbers.locale import Locale, Noun, coins_of, nouns_of
from ns2.pipeline.text.numbers.more_locales import DUTCH, ITALIAN, PORTUGUESE
from ns2.pipeline.text.numbers.unit_words import units_of

__all__ = ["CURRENCIES", "LOCALES", "Locale", "Noun", "locale_of"]

_GERMAN = Locale(
    base="de", point="Komma", minus="minus", percent="Prozent", to="bis", ratio="zu",
    clock="{h} Uhr {m}", full_clock="{h} Uhr", date="{day} {month} {year}", by_digit=True,
    months=("Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September",
            "Oktober", "November", "Dezember"),
    units=nouns_of("""
        km ein Kilometer
        m ein Meter
        cm ein Zentimeter
        mm ein Millimeter
        km/h ein Kilometer pro Stunde
        m/s ein Meter pro Sekunde
        m² ein Quadratmeter
        km² ein Quadratkilometer
        m³ ein Kubikmeter
        ha ein Hektar
        kg ein Kilogramm
        g ein Gramm
        mg ein Milligramm
        t eine Tonne|Tonnen
        l ein Liter
        ml ein Milliliter
        cl ein Zentiliter
        dl ein Deziliter
        hl ein Hektoliter
        Sek eine Sekunde|Sekunden
        sec eine Sekunde|Sekunden
        °C ein Grad Celsius
        °F ein Grad Fahrenheit
        ° ein Grad
        h eine Stunde|Stunden
        min eine Minute|Minuten
        Min eine Minute|Minuten
        s eine Sekunde|Sekunden
        Std eine Stunde|Stunden
        W ein Watt
        kW ein Kilowatt
        kWh eine Kilowattstunde|Kilowattstunden
        MW ein Megawatt
        Wh eine Wattstunde|Wattstunden
        MWh eine Megawattstunde|Megawattstunden
        GWh eine Gigawattstunde|Gigawattstunden
        mAh eine Milliampere Stunde|Milliampere Stunden
        Ah eine Ampere Stunde|Ampere Stunden
        mA ein Milliampere
        kV ein Kilovolt
        kJ ein Kilojoule
        kcal eine Kilokalorie|Kilokalorien
        dB ein Dezibel
        cm² ein Quadratzentimeter
        cm³ ein Kubikzentimeter
        mm² ein Quadratmillimeter
        V ein Volt
        Hz ein Hertz
        kHz ein Kilohertz
        MHz ein Megahertz
        GHz ein Gigahertz
        MB ein Megabyte
        GB ein Gigabyte
        TB ein Terabyte
        PS eine PS
    """),
    coins=coins_of("""
        €/EUR/Euro/Euros ein Euro; ein Cent
        $/USD/US$/Dollar/Dollars ein Dollar; ein Cent
        £/GBP/Pfund ein Pfund; ein Penny|Pence
        ¥/JPY ein Yen; ein Sen
        CHF/Franken ein Franken; ein Rappen
    """),
    scales={"Mio": ("Million", "Millionen"), "Mrd": ("Milliarde", "Milliarden"),
            "Tsd": ("Tausend", "Tausend"), "Million": ("Million", "Million"),
            "Millionen": ("Millionen", "Millionen"), "Milliarden": ("Milliarden",) * 2,
            "Milliarde": ("Milliarde",) * 2},
    parts={2: ("halb", "halbe"), 3: ("Drittel",) * 2, 4: ("Viertel",) * 2, 5: ("Fünftel",) * 2,
           6: ("Sechstel",) * 2, 8: ("Achtel",) * 2, 10: ("Zehntel",) * 2},
    halves={"½": "ein halb", "¼": "ein Viertel", "¾": "drei Viertel", "⅓": "ein Drittel",
            "⅔": "zwei Drittel", "⅛": "ein Achtel"},
    mixed="und",
)  # fmt: skip
_FRENCH = Locale(
    base="fr", grouping=".", point="virgule", minus="moins", percent="pour cent", to="à",
    ratio="à", clock="{h} {hours} {m}", full_clock="{h} {hours}", date="{day} {month} {year}",
    first="premier",
    months=("janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre",
            "octobre", "novembre", "décembre"),
    units=nouns_of("""
        km un kilomètre|kilomètres
        m un mètre|mètres
        cm un centimètre|centimètres
        mm un millimètre|millimètres
        km/h un kilomètre-heure|kilomètres-heure
        m/s un mètre par seconde|mètres par seconde
        m² un mètre carré|mètres carrés
        km² un kilomètre carré|kilomètres carrés
        m³ un mètre cube|mètres cubes
        ha un hectare|hectares
        kg un kilogramme|kilogrammes
        g un gramme|grammes
        mg un milligramme|milligrammes
        t une tonne|tonnes
        l un litre|litres
        L un litre|litres
        ml un millilitre|millilitres
        cl un centilitre|centilitres
        dl un décilitre|décilitres
        °C un degré Celsius|degrés Celsius
        °F un degré Fahrenheit|degrés Fahrenheit
        ° un degré|degrés
        h une heure|heures
        min une minute|minutes
        s une seconde|secondes
        W un watt|watts
        kW un kilowatt|kilowatts
        kWh un kilowatt-heure|kilowatt-heures
        MW un mégawatt|mégawatts
        V un volt|volts
        Hz un hertz
        kHz un kilohertz
        MHz un mégahertz
        GHz un gigahertz
        Mo un mégaoctet|mégaoctets
        Go un gigaoctet|gigaoctets
        To un téraoctet|téraoctets
    """),
    coins=coins_of("""
        €/EUR/euro/euros un euro|euros; un centime|centimes
        $/USD/US$/dollar/dollars un dollar|dollars; un cent|cents
        £/GBP une livre|livres; un penny|pence
        ¥/JPY un yen|yens; un sen|sens
        CHF un franc suisse|francs suisses; un centime|centimes
    """),
    of="de",
    scales={"M": ("million", "millions"), "Md": ("milliard", "milliards"),
            "million": ("million",) * 2, "millions": ("millions",) * 2,
            "milliard": ("milliard",) * 2, "milliards": ("milliards",) * 2},
    parts={2: ("demi", "demis"), 3: ("tiers",) * 2, 4: ("quart", "quarts"),
           5: ("cinquième", "cinquièmes"), 6: ("sixième", "sixièmes"),
           8: ("huitième", "huitièmes"), 10: ("dixième", "dixièmes")},
    halves={"½": "un demi", "¼": "un quart", "¾": "trois quarts", "⅓": "un tiers",
            "⅔": "deux tiers", "⅛": "un huitième"},
    mixed="et",
)  # fmt: skip
_SPANISH = Locale(
    base="es", point="coma", minus="menos", plus="más", percent="por ciento", to="a", ratio="a",
    date="{day} de {month} de {year}",
    months=("enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto",
            "septiembre", "octubre", "noviembre", "diciembre"),
    units=nouns_of("""
        km un kilómetro|kilómetros
        m un metro|metros
        cm un centímetro|centímetros
        mm un milímetro|milímetros
        km/h un kilómetro por hora|kilómetros por hora
        m/s un metro por segundo|metros por segundo
        m² un metro cuadrado|metros cuadrados
        km² un kilómetro cuadrado|kilómetros cuadrados
        m³ un metro cúbico|metros cúbicos
        ha una hectárea|hectáreas
        kg un kilogramo|kilogramos
        g un gramo|gramos
        mg un miligramo|miligramos
        t una tonelada|toneladas
        l un litro|litros
        L un litro|litros
        ml un mililitro|mililitros
        cl un centilitro|centilitros
        dl un decilitro|decilitros
        °C un grado Celsius|grados Celsius
        °F un grado Fahrenheit|grados Fahrenheit
        ° un grado|grados
        h una hora|horas
        min un minuto|minutos
        s un segundo|segundos
        W un vatio|vatios
        kW un kilovatio|kilovatios
        kWh un kilovatio hora|kilovatios hora
        MW un megavatio|megavatios
        V un voltio|voltios
        Hz un hercio|hercios
        kHz un kilohercio|kilohercios
        MHz un megahercio|megahercios
        GHz un gigahercio|gigahercios
        MB un megabyte|megabytes
        GB un gigabyte|gigabytes
        TB un terabyte|terabytes
    """),
    coins=coins_of("""
        €/EUR/euro/euros un euro|euros; un céntimo|céntimos
        $/USD/US$/dólar/dólares un dólar|dólares; un centavo|centavos
        £/GBP una libra|libras; un penique|peniques
        ¥/JPY un yen|yenes; un sen|sen
    """),
    between_coins="con",
    of="de",
    scales={"M": ("millón", "millones"), "millón": ("millón",) * 2,
            "millones": ("millones",) * 2, "billón": ("billón",) * 2,
            "billones": ("billones",) * 2},
    parts={2: ("medio", "medios"), 3: ("tercio", "tercios"), 4: ("cuarto", "cuartos"),
           5: ("quinto", "quintos"), 6: ("sexto", "sextos"), 8: ("octavo", "octavos"),
           10: ("décimo", "décimos")},
    halves={"½": "un medio", "¼": "un cuarto", "¾": "tres cuartos", "⅓": "un tercio",
            "⅔": "dos tercios", "⅛": "un octavo"},
    mixed="y",
)  # fmt: skip
LOCALES = {
    locale.base: locale for locale in (_GERMAN, _FRENCH, _SPANISH, ITALIAN, PORTUGUESE, DUTCH)
}
"""The languages whose numbers are written out in full."""

CURRENCIES = {"€": "EUR", "$": "USD", "£": "GBP", "¥": "JPY", "₽": "RUB", "₴": "UAH", "zł": "PLN"}
"""The codes of currencies by their signs, for languages without a `Locale`."""

_POINTED = ("en", "he", "hi", "ja", "ko", "th", "zh", "cmn", "yue", "bn", "ta", "te", "kn", "am")


@cache
def locale_of(language: str) -> Locale:
    """How a language writes and speaks numbers, as far as it is known.

    Args:
        language: the name of an espeak-ng voice.
    """
    base = language.split("-", 1)[0]
    locale = LOCALES.get(base)
    if locale is None:
        pointed = base in _POINTED
        decimal, grouping = (".", ",") if pointed else (",", ".")
        return Locale(base=base, decimal=decimal, grouping=grouping, units=units_of(base))
    if language in ("es-419", "es-mx"):  # Mexico and Central America write 1,000.50
        return replace(locale, decimal=".", grouping=",", point="punto")
    if base == "pt" and not language.startswith("pt-br"):
        units = {
            sign: replace(noun, one=noun.one.replace("ô", "ó"), many=noun.many.replace("ô", "ó"))
            for sign, noun in locale.units.items()
        }
        return replace(locale, units=units)  # quilómetro
    return locale
