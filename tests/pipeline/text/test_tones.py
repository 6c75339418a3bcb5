"""Tones: what espeak-ng's own names tell apart is told apart by tokens."""

from __future__ import annotations

import ctypes
import itertools
import re
import tempfile

import pytest

from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.pipeline.text.engine import engine_of, languages
from ns2.pipeline.text.lexicon import Lexicon
from ns2.pipeline.text.pronunciation import TextSettings, pronounce
from ns2.pipeline.text.tones import full, has_tones, tone_in, without_tone
from ns2.train.bundled.make_merged_table import PAGE, merged, page, tones_of_vowels

TABLE = PhonemeTable.default()

# Syllables in the four tones of Mandarin, as any dictionary has them.
MANDARIN = (
    "妈麻马骂", "汤糖躺烫", "衣姨椅意", "屋无五雾", "淤鱼雨玉", "八拔把爸", "批皮匹屁", "飞肥匪费",
    "方房访放", "督读赌肚", "通同桶痛", "千钱浅欠", "西席洗戏", "吃迟尺赤", "书熟鼠树", "猪竹主住",
    "优油有又", "烟盐眼燕", "汪王网忘", "温文稳问", "冤圆远院", "辉回悔会", "锅国果过", "清晴请庆",
)  # fmt: skip
TONAL = {"cmn", "cmn-latn-pinyin", "hak", "my", "shn", "th", "vi", "yue"}
PINYIN = ("55", "35", "214", "51")
# Others with their tones, as grammars list them.
OTHERS = {
    "yue": ("詩史試時市事", ("1", "2", "ɜ", "4", "5", "6")),
    "vi": ("ma má mà mả mã mạ", ("", "ɜ", "2", "4", "5", "6")),
}
SENTENCES = (
    "你好", "我很好", "不是", "一个", "好吗", "妈妈的书", "我也很好", "小老虎", "我想买一部手机",
    "吗", "马马虎虎", "再见", "看TV吧", "展览馆里有水果", "他们的朋友走了", "请给我五百美元",
    "老李买好酒", "我想买一部iphone",
)  # fmt: skip


def phones(text: str, language: str) -> tuple[str, ...]:
    tokens = pronounce(text, language).tokens
    return tuple(token.lstrip("ˈˌ") for token in tokens if token not in TABLE.optional)


@pytest.mark.parametrize("four", MANDARIN)
def test_the_four_tones_of_mandarin(four: str) -> None:
    said = [phones(char, "cmn") for char in four]
    assert len(set(said)) == 4
    assert [tone for syllable in said for tone in map(tone_in, syllable) if tone] == list(PINYIN)
    # Apart from the tone it is one syllable.
    assert len({tuple(map(without_tone, syllable)) for syllable in said}) == 1
    assert len(MANDARIN) >= 20


def test_the_neutral_tone_is_one_of_its_own() -> None:
    said = [phones(char, "cmn") for char in "妈麻马骂吗"]
    assert len(set(said)) == 5
    assert tone_in(said[-1][-1]) == "11"
    assert phones("妈妈", "cmn") == (*said[0], *said[-1])
    assert pronounce("妈妈", "cmn").tokens[-2] == "ɑ11"  # without stress
    pinyin = [phones(f"ma{tone}", "cmn-latn-pinyin") for tone in range(1, 6)]
    assert pinyin == said


@pytest.mark.parametrize("language", list(OTHERS))
def test_tones_of_other_languages(language: str) -> None:
    text, tones = OTHERS[language]
    parts = text.split() if " " in text else list(text)
    said = [phones(part, language) for part in parts]
    assert len(set(said)) == len(parts)
    stem = said[0][-1].removesuffix(tones[0])
    assert [syllable[-1] for syllable in said] == [stem + tone for tone in tones]


def test_sandhi_is_that_of_espeak_when_it_speaks() -> None:
    folded = {"21": "214", "53": "51", "22": "11", "33": "11", "44": "11"}
    for text in SENTENCES:
        spoken = [tone_in(token) for token in pronounce(text, "cmn").tokens]
        heard = [folded.get(tone, tone) for tone in tones_of_speech(text, "cmn")]
        assert list(filter(None, spoken)) == heard, text
    assert list(filter(None, map(tone_in, pronounce("你好", "cmn").tokens))) == ["35", "214"]
    # A lexicon's tones stay, and count for their neighbours.
    lexicon = Lexicon({"李": ("l", "i214"), "酒": ("x", "y214")})
    tokens = pronounce("老李买好酒", "cmn", TextSettings(lexicon=lexicon)).tokens
    assert list(filter(None, map(tone_in, tokens))) == ["35", "214", "35", "35", "214"]


def tones_of_speech(text: str, language: str) -> list[str]:
    """The tones that espeak-ng says that it speaks, of its own language alone."""
    library = engine_of(language).backend._espeak._espeak._library
    library.espeak_Synth.argtypes = None
    library.espeak_SetPhonemeTrace.argtypes = [ctypes.c_int, ctypes.c_void_p]
    libc = ctypes.CDLL(None)
    libc.fopen.restype, libc.fopen.argtypes = ctypes.c_void_p, [ctypes.c_char_p] * 2
    libc.fclose.argtypes = [ctypes.c_void_p]
    content = text.encode()
    with tempfile.NamedTemporaryFile() as file:
        stream = libc.fopen(file.name.encode(), b"w")
        library.espeak_SetPhonemeTrace(1 | ord("_") << 8, stream)
        size, zero = ctypes.c_size_t(len(content) + 1), ctypes.c_uint(0)
        library.espeak_Synth(ctypes.c_char_p(content), size, zero, 1, zero, 1, None, None)
        library.espeak_SetPhonemeTrace(0, None)
        libc.fclose(stream)
        named = file.read().decode()
    own = re.sub(r"\(en\).*?\((?:cmn)\)", "", named)
    return re.findall(r"(?<=[^\W\d_.\-@\[])\d+|(?<=[.\-@&\[r])\d+", own)


def test_tables_of_before_get_tokens_of_before() -> None:
    old = [t.lstrip("ˈˌ") for t in pronounce("妈骂", "cmn", TextSettings(tones=False)).tokens]
    assert old == ["<sil>", "m", "ɑ5", "|", "m", "ɑ5", "<sil>"]
    first = PhonemeTable(marks=TABLE.marks, phones=TABLE.phones[:1615])
    assert not has_tones(first.phones) and has_tones(TABLE.phones)
    for text in SENTENCES:
        first.ids(pronounce(text, "cmn", TextSettings(tones=False)).tokens)


def test_but_for_its_tones_a_phone_is_that_of_the_ipa() -> None:
    for text in SENTENCES:
        new = pronounce(text, "cmn")
        old = pronounce(text, "cmn", TextSettings(tones=False))
        assert new.words == old.words
        for token, before in zip(new.tokens, old.tokens, strict=True):
            tone = tone_in(token)
            assert without_tone(token).lstrip("ˈˌ") == (
                re.sub(r"[1-7ɜ]$", "", before.lstrip("ˈˌ")) if tone else before.lstrip("ˈˌ")
            )


def test_full() -> None:
    assert full("ˈɑ5", "51") == "ˈɑ51" and full("əɜ", "35") == "ə35"
    assert full("aɜ", "3") == "aɜ" and full("a", "") == "a"
    assert full("ˈaːaː", "2") == "ˈaː2" and full("əə", "35") == "ə35" and full("ɛɛ", "3") == "ɛɜ"
    for syllable, tone in itertools.product(("iɑ", "ər", "i."), PINYIN):
        assert full(syllable + {"3": "ɜ"}.get(tone[0], tone[0]), tone) in TABLE


def test_thai_vowels_that_have_a_name_in_ipa() -> None:
    """espeak-ng's IPA writes these twice, whatever the tone."""
    assert tones_of_vowels("th")["a:"] == {
        "1": "aː1", "2": "aː2", "3": "aːɜ", "4": "aː4", "5": "aː5", "6": "aː6",
    }  # fmt: skip


@pytest.mark.parametrize("voice", languages())
def test_every_tone_of_every_vowel_is_a_token_of_its_own(voice: str) -> None:
    # Whatever of the names that espeak-ng gives to phonemes is lost stands in docs/phonemes.md.
    for vowel, tokens in tones_of_vowels(voice).items():
        assert len(set(tokens.values())) == len(tokens), vowel
        assert set(tokens.values()) <= set(TABLE.phones), vowel
    if voice in TONAL:
        assert len(tones_of_vowels(voice)) > 10


def test_the_page_says_what_is_lost_in_every_voice() -> None:
    voices = {voice: merged(voice) for voice in languages()}
    assert page(voices) == PAGE.read_text("utf-8")


@pytest.mark.parametrize(
    ("language", "text", "tokens"),
    [
        ("cmn", "妈。骂。", "m ˈɑ55 . m ˈɑ51 ."),
        ("cmn", "汤，烫。", "th ˈɑ55 ŋ , th ˈɑ51 ŋ ."),
        ("cmn", "你好，老师！", "n i35 χ ˈɑu214 , l ˈɑu214 | s. ˈi.55 !"),
        ("cmn", "妈妈骂马吗？", "m ɑ55 m ɑ11 | m ˈɑ51 | m ˈɑ214 | m ɑ11 ?"),
        ("cmn", "兄弟很穷。", "ɕ ˈyu55 ŋ | t ˈi51 | χ ˈə214 n | tɕh ˈyu35 ŋ ."),
        ("cmn", "他在哪儿？", "th ˈɑ55 | ts ˈai51 | n ˈɑ214 | ər35 ?"),
        ("cmn", "女儿。儿童。", "n ˈy214 | ər35 . ˈər35 | th ˈonɡ35 ."),
        ("cmn-latn-pinyin", "nǐ hǎo, xiong2mao1.", "n ˈi35 | χ ˈɑu214 , ɕ ˈyu35 ŋ | m ˈɑu55 ."),
        ("yue", "詩史試時市事。", "s ˈi1 | s ˈi2 | s ˈiɜ | s ˈi4 | s ˈi5 | s ˈi6 ."),
        ("vi", "ma má mà.", "m ˈaː | m ˈaːɜ | m ˌaː2 ."),
    ],
)
def test_pinned(language: str, text: str, tokens: str) -> None:
    assert " ".join(pronounce(text, language).tokens) == f"<sil> {tokens} <sil>"
