"""The names of common units in languages of which no other rule knows more."""

from __future__ import annotations

from ns2.pipeline.text.numbers.locale import Noun

_SIGNS = ("°C", "°", "km", "m", "cm", "kg", "km/h")
# For each language the names behind a number, a line for each sign; "one|few|many|part" where
# they hang on it: few are 2 to 4 in Slavic languages, and a part is behind decimals.
_NAMES = {
    "ru": "градус Цельсия|градуса Цельсия|градусов Цельсия, градус|градуса|градусов, "
          "километр|километра|километров, метр|метра|метров, сантиметр|сантиметра|сантиметров, "
          "килограмм|килограмма|килограммов, "
          "километр в час|километра в час|километров в час",
    "uk": "градус Цельсія|градуси Цельсія|градусів Цельсія|градуса Цельсія, "
          "градус|градуси|градусів|градуса, "
          "кілометр|кілометри|кілометрів|кілометра, метр|метри|метрів|метра, "
          "сантиметр|сантиметри|сантиметрів|сантиметра, "
          "кілограм|кілограми|кілограмів|кілограма, кілометр на годину|кілометри на годину|"
          "кілометрів на годину|кілометра на годину",
    "pl": "stopień Celsjusza|stopnie Celsjusza|stopni Celsjusza|stopnia Celsjusza, "
          "stopień|stopnie|stopni|stopnia, "
          "kilometr|kilometry|kilometrów|kilometra, metr|metry|metrów|metra, "
          "centymetr|centymetry|centymetrów|centymetra, "
          "kilogram|kilogramy|kilogramów|kilograma, kilometr na godzinę|kilometry na godzinę|"
          "kilometrów na godzinę|kilometra na godzinę",
    "cs": "stupeň Celsia|stupně Celsia|stupňů Celsia|stupně Celsia, stupeň|stupně|stupňů|stupně, "
          "kilometr|kilometry|kilometrů|kilometru, metr|metry|metrů|metru, "
          "centimetr|centimetry|centimetrů|centimetru, "
          "kilogram|kilogramy|kilogramů|kilogramu, kilometr za hodinu|kilometry za hodinu|"
          "kilometrů za hodinu|kilometru za hodinu",
    "sv": "grad Celsius||grader Celsius, grad||grader, kilometer, meter, centimeter, kilo, "
          "kilometer i timmen",
    "da": "grad celsius||grader celsius, grad||grader, kilometer, meter, centimeter, kilo, "
          "kilometer i timen",
    "nb": "grad celsius||grader celsius, grad||grader, kilometer, meter, centimeter, kilo, "
          "kilometer i timen",
    "fi": "celsiusaste||celsiusastetta, aste||astetta, kilometri||kilometriä, metri||metriä, "
          "senttimetri||senttimetriä, kilo||kiloa, kilometriä tunnissa",
    "hu": "Celsius fok, fok, kilométer, méter, centiméter, kilogramm, kilométer per óra",
    "tr": "santigrat derece, derece, kilometre, metre, santimetre, kilogram, kilometre saat",
    "ro": "grad Celsius||grade Celsius, grad||grade, kilometru||kilometri, metru||metri, "
          "centimetru||centimetri, kilogram||kilograme, kilometri pe oră",
    "el": "βαθμός Κελσίου||βαθμοί Κελσίου, βαθμός||βαθμοί, χιλιόμετρο||χιλιόμετρα, μέτρο||μέτρα, "
          "εκατοστό||εκατοστά, κιλό||κιλά, χιλιόμετρα την ώρα",
    "hi": "डिग्री सेल्सियस, डिग्री, किलोमीटर, मीटर, सेंटीमीटर, किलोग्राम, किलोमीटर प्रति घंटा",
    "ko": "도, 도, 킬로미터, 미터, 센티미터, 킬로그램, 킬로미터",
    "ja": "ど, ど, キロメートル, メートル, センチ, キログラム, キロ",
    "vi": "độ xê, độ, ki lô mét, mét, xăng ti mét, ki lô gam, ki lô mét trên giờ",
    "th": "องศาเซลเซียส, องศา, กิโลเมตร, เมตร, เซนติเมตร, กิโลกรัม, กิโลเมตรต่อชั่วโมง",
}  # fmt: skip
_CYRILLIC = {"км": "km", "м": "m", "см": "cm", "кг": "kg", "км/ч": "km/h", "км/год": "km/h"}


def units_of(base: str) -> dict[str, Noun]:
    """The units of a language by their signs, as far as they are known."""
    if base not in _NAMES:
        return {}
    units = {}
    for sign, names in zip(_SIGNS, _NAMES[base].split(", "), strict=True):
        one, few, many, *part = names.split("|") if "|" in names else (names, "", names)
        units[sign] = Noun(one=one, few=few, many=many, part="".join(part) or few, article="1")
    if base in ("ru", "uk"):
        units |= {sign: units[latin] for sign, latin in _CYRILLIC.items()}
    return units
