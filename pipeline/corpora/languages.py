"""The espeak-ng voices of languages as corpora name them: codes, locales, English names."""

from __future__ import annotations

import re

VOICES = frozenset((
    "af", "am", "an", "ar", "as", "az", "ba", "be", "bg", "bn", "bpy", "bs", "ca", "ca-ba",
    "ca-nw", "ca-va", "chr-US-Qaaa-x-west", "cmn", "cmn-latn-pinyin", "cs", "cv", "cy", "da",
    "de", "el", "en-029", "en-gb", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-gbcwmd",
    "en-gb-x-rp", "en-shaw", "en-us", "en-us-nyc", "eo", "es", "es-419", "et", "eu", "fa",
    "fa-latn", "fi", "fr-be", "fr-ch", "fr-fr", "ga", "gd", "gn", "grc", "gu", "hak", "haw",
    "he", "hi", "hr", "ht", "hu", "hy", "hyw", "ia", "id", "io", "is", "it", "ja", "jbo", "ka",
    "kk", "kn", "ko", "kok", "ku", "ky", "la", "lb", "lfn", "lt", "ltg", "lv", "mi", "mk", "ml",
    "mr", "ms", "mt", "mto", "my", "nb", "nci", "ne", "nl", "nog", "om", "or", "pa", "pap",
    "piqd", "pl", "pt", "pt-br", "py", "qdb", "qu", "quc", "qya", "ro", "ru", "ru-cl", "ru-lv",
    "sd", "shn", "si", "sjn", "sk", "sl", "smj", "sq", "sr", "sv", "sw", "ta", "te", "th", "ti",
    "tk", "tn", "tr", "tt", "ug", "uk", "ur", "uz", "vi", "vi-vn-x-central", "vi-vn-x-south",
    "yue",
))  # fmt: skip
"""The voices of espeak-ng, which keep their names; a test compares them with the engine's."""

NAMES: dict[str, str] = {
    name: voice
    for voice, names in {
        # codes and locales that are no voices
        "en-us": "en eng english american-english",
        "en-gb": "en-au en-nz en-za en-in en-uk british-english",
        "fr-fr": "fr fra fre french français",
        "es-419": "es-mx es-us es-ar es-co es-cl es-pe es-ve",
        "nb": "no nor nob norwegian bokmål norwegian-bokmål",
        "cmn": "zh zho chi chinese mandarin mandarin-chinese zh-cmn",
        "yue": "zh-hk zh-mo zh-yue cantonese",
        "pt-br": "portuguese português brazilian-portuguese",
        "pt": "por", "he": "iw heb hebrew", "id": "in ind indonesian", "ja": "jp jpn japanese",
        # codes of three letters (ISO 639-2 and 639-3) and English names
        "af": "afr afrikaans", "am": "amh amharic", "an": "arg aragonese", "ar": "ara arb arabic",
        "as": "asm assamese", "az": "aze azj azerbaijani", "ba": "bak bashkir",
        "be": "bel belarusian", "bg": "bul bulgarian", "bn": "ben bengali bangla",
        "bs": "bos bosnian", "ca": "cat catalan", "chr-US-Qaaa-x-west": "chr cherokee",
        "cs": "ces cze czech", "cv": "chv chuvash",
        "cy": "cym wel welsh", "da": "dan danish", "de": "deu ger german deutsch",
        "el": "ell gre greek", "eo": "epo esperanto", "es": "spa spanish español castilian",
        "et": "est ekk estonian", "eu": "eus baq basque", "fa": "fas per pes persian farsi",
        "fi": "fin finnish", "ga": "gle irish", "gd": "gla scottish-gaelic", "gn": "grn guarani",
        "gu": "guj gujarati", "hi": "hin hindi", "hr": "hrv croatian",
        "ht": "hat haitian haitian-creole", "hu": "hun hungarian", "hy": "hye arm armenian",
        "ia": "ina interlingua", "io": "ido", "is": "isl ice icelandic",
        "it": "ita italian italiano",
        "ka": "kat geo georgian", "kk": "kaz kazakh", "kn": "kan kannada", "ko": "kor korean",
        "ku": "kur kmr kurdish kurmanji", "ky": "kir kyrgyz", "la": "lat latin",
        "lb": "ltz luxembourgish", "lt": "lit lithuanian", "lv": "lav lvs latvian",
        "mi": "mri mao maori", "mk": "mkd mac macedonian", "ml": "mal malayalam",
        "mr": "mar marathi", "ms": "msa may zsm malay", "mt": "mlt maltese",
        "my": "mya bur burmese", "ne": "nep npi nepali", "nl": "nld dut dutch nederlands flemish",
        "om": "orm oromo", "or": "ori ory odia oriya", "pa": "pan punjabi",
        "pl": "pol polish", "qu": "que quechua", "ro": "ron rum romanian", "ru": "rus russian",
        "sd": "snd sindhi", "si": "sin sinhala", "sk": "slk slo slovak", "sl": "slv slovenian",
        "sq": "sqi alb albanian", "sr": "srp serbian", "sv": "swe swedish",
        "sw": "swa swh swahili", "ta": "tam tamil", "te": "tel telugu", "th": "tha thai",
        "ti": "tir tigrinya", "tk": "tuk turkmen", "tn": "tsn tswana setswana",
        "tr": "tur turkish", "tt": "tat tatar", "ug": "uig uyghur", "uk": "ukr ukrainian",
        "ur": "urd urdu", "uz": "uzb uzn uzbek", "vi": "vie vietnamese",
    }.items()
    for name in names.split()
}  # fmt: skip
"""Voices by codes of ISO 639, locales and English names, in lower case and with hyphens."""

_REGION = re.compile(r"(?P<language>.+)-([a-z]{2}|[0-9]{3}|[a-z]{4})")
_LOWER = {voice.lower(): voice for voice in VOICES}


def voice_of(written: str) -> str:
    """The espeak-ng voice of a language that a corpus names.

    A voice keeps its name: "pt" is that of Portugal. Else "en", "eng", "English" and "en_US" are
    "en-us", and a region or script that has no voice does not count: "de-AT" is "de". What has no
    voice stays as it is written, so that its utterances are rejected, not read in another language.
    """
    if written in VOICES:
        return written
    name = "-".join(re.split(r"[-_\s]+", written.strip().lower()))
    while name:
        voice = _LOWER.get(name) or NAMES.get(name)
        if voice:
            return voice
        region = _REGION.fullmatch(name)
        name = region["language"] if region else ""
    return written
