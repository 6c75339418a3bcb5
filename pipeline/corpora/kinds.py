"""What the values of a column are by their form: splits, flags, languages, file names, phones.

None of these is a text or the name of a speaker, though few of them come again and again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

SPLIT, LANGUAGE, SEX, PATH = "splits", "codes of languages", "the sex", "paths of files"
PHONES, ARPABET = "phones in IPA", "phones in ARPAbet"

_SPLITS = {
    "train", "training", "val", "valid", "validation", "dev", "eval", "test",
    "train-clean", "train-other", "dev-clean", "dev-other", "test-clean", "test-other",
}  # fmt: skip
_FLAGS = {"true", "false", "yes", "no", "y", "n", "none", "null", "nan", "ok", "valid", "invalid",
          "good", "bad"}  # fmt: skip
_SEXES = {"m", "f", "male", "female", "man", "woman", "männlich", "weiblich", "masculine",
          "feminine", "other"}  # fmt: skip
_TYPES = re.compile(
    r"\.?(wav|flac|mp3|ogg|oga|opus|m4a|aac|aiff?|caf|w64|au|wma|webm|mp4|pcm(_s16(le)?)?)"
)
_LANGUAGE = re.compile(
    "(ar|bg|ca|cmn|cs|da|de|el|en|es|et|fa|fi|fr|he|hi|hr|hu|id|it|ja|jp|ko|lt|lv|nb|nl|no|pl|pt|"
    "ro|ru|sk|sl|sr|sv|th|tr|uk|vi|yue|zh|"
    "ara|bul|cat|ces|cze|dan|deu|ger|ell|gre|eng|spa|est|fas|per|fin|fra|fre|heb|hin|hrv|hun|ind|"
    "ita|jpn|kor|lit|lav|nor|nob|nld|dut|pol|por|ron|rum|rus|slk|slo|slv|srp|swe|tha|tur|ukr|vie|"
    "zho|chi)([-_][a-z]{2,4})?"
)
_LANGUAGES = {
    "arabic", "chinese", "mandarin", "cantonese", "czech", "danish", "dutch", "english", "finnish",
    "french", "german", "greek", "hebrew", "hindi", "hungarian", "indonesian", "italian",
    "japanese", "korean", "norwegian", "polish", "portuguese", "romanian", "russian", "spanish",
    "swedish", "thai", "turkish", "ukrainian", "vietnamese", "deutsch", "français",
    "español", "italiano", "português", "nederlands",
}  # fmt: skip
_EMOTIONS = {
    "neutral", "happy", "sad", "angry", "anger", "sadness", "happiness", "surprise", "surprised",
    "fear", "fearful", "disgust", "disgusted", "calm", "excited", "amused", "sleepy", "whisper",
    "joy",
}  # fmt: skip
_DATE = re.compile(r"\d{4}[-./]\d\d?[-./]\d\d?([T ]\d.*)?|\d\d?[-./]\d\d?[-./]\d{4}")
_MEASURE = re.compile(r"[-+]?\d+([.,]\d+)?\s?(k?hz|s|sec|ms|min|db|bit|kbps|kb|mb|%)")
_PATH = re.compile(r"\S*[/\\]\S*|\S+\.(wav|flac|mp3|ogg|oga|opus|m4a|aiff?|caf|w64|au)")
_IPA = re.compile(
    "[ɑɐɒɓʙβɕɖɗəɘɚɛɜɝɞɟɠɡɢɣɤɥɦɧɨɪʝɬɫɮɱɯɰŋɳɲɵɸɶʘɹɺɾɻʀʁɽʂʃʈθʊʋⱱʌʍχʎʏʐʒʔʕʢɔˈˌːˑ]"
)  # without those of European alphabets: æ, ð, ç, ø, œ
_STRESS = re.compile("[ˈˌː]")
_AROUND = re.compile(r"[^\W\d_]")
_ARPABET = re.compile(
    "(aa|ae|ah|ao|aw|ax|axr|ay|b|ch|d|dh|dx|eh|el|em|en|er|ey|f|g|hh|ih|ix|iy|jh|k|l|m|n|ng|ow|oy|"
    "p|q|r|s|sh|t|th|uh|uw|ux|v|w|wh|y|z|zh)[0-2]?"
)
_STRESSED = re.compile("[a-z]{2,3}[0-2]")
_PAUSE = re.compile(r"[{}|<>.,?!#]+|@?(sp|sil|spn|pau|h#)")
_IN_A_ROW = re.compile(r"[-+]?\d+(\.\d+)?([ ,;]+[-+]?\d+(\.\d+)?)+")
_SHORT = 2  # letters of a phone: tʃ, oʊ


def _are_phones(values: Sequence[str]) -> bool:
    """Whether most words are single phones, or have IPA's signs of stress and length.

    Letters of IPA alone are no sign: other orthographies have them, in longer words.
    """
    words = [word for value in values for word in value.split() if _AROUND.search(word)]
    short = sum(len(_AROUND.findall(_STRESS.sub("", word))) <= _SHORT for word in words)
    phonetic = sum(_IPA.search(word) is not None for word in words)
    stressed = sum(_STRESS.search(word) is not None for word in words)
    single = 10 * short >= 9 * len(words) and 10 * phonetic >= len(words)
    return len(words) >= len(values) and (single or 2 * stressed >= len(words)) and bool(words)


def _are_arpabet(values: Sequence[str]) -> bool:
    """Whether all words are ARPAbet's phones, with the digits of stress: "hh ah0 l ow1"."""
    words = [re.sub(r"^[{@]|[}]$", "", word) for value in values for word in value.split()]
    words = [word for word in words if word and not _PAUSE.fullmatch(word)]
    known = all(map(_ARPABET.fullmatch, words))
    stressed = sum(_STRESSED.fullmatch(word) is not None for word in words)
    return bool(words) and known and (10 * stressed >= len(words) or len(words) >= 8 * len(values))


def _all_in(known: set[str]) -> Callable[[Sequence[str]], bool]:
    return lambda values: known.issuperset(values)


def _all_match(pattern: re.Pattern[str]) -> Callable[[Sequence[str]], bool]:
    return lambda values: all(map(pattern.fullmatch, values))


_KINDS: tuple[tuple[str, Callable[[Sequence[str]], bool]], ...] = (
    (SPLIT, _all_in(_SPLITS)),
    (SEX, _all_in(_SEXES)),
    ("flags", _all_in(_FLAGS)),
    ("types of files", _all_match(_TYPES)),
    ("emotions", _all_in(_EMOTIONS)),
    (LANGUAGE, lambda values: all(v in _LANGUAGES or _LANGUAGE.fullmatch(v) for v in values)),
    ("dates", _all_match(_DATE)),
    ("measures", _all_match(_MEASURE)),
    (PATH, _all_match(_PATH)),
    (ARPABET, _are_arpabet),
    (PHONES, _are_phones),
    ("numbers in a row", _all_match(_IN_A_ROW)),
)


def kind_of(values: Sequence[str]) -> str:
    """What all values of a column are, in words; "" for texts, names and numbers.

    Args:
        values: those that are not blank.
    """
    lowered = sorted({value.lower() for value in values})
    return next((kind for kind, fits in _KINDS if lowered and fits(lowered)), "")
