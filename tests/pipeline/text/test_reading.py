"""Readings before espeak-ng: characters by the words around them, and kanji at all."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest

from ns2.pipeline.core.errors import UserError, UtteranceError
from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.pipeline.stages.stage import Item
from ns2.pipeline.stages.tokens import TokensStage
from ns2.pipeline.text.lexicon import Lexicon
from ns2.pipeline.text.mandarin import plain_pinyin
from ns2.pipeline.text.pronunciation import Pronunciation, TextSettings, pronounce
from ns2.pipeline.text.reading import READINGS, readings

TABLE = PhonemeTable.default()
BOTH = ("pypinyin", "pyopenjtalk-plus")
needs_pypinyin = pytest.mark.skipif(
    find_spec("pypinyin") is None, reason="the extra `mandarin` is not installed"
)
needs_openjtalk = pytest.mark.skipif(
    find_spec("pyopenjtalk") is None, reason="the extra `japanese` is not installed"
)


def say(text: str, language: str, *names: str) -> Pronunciation:
    return pronounce(text, language, TextSettings(g2p=names or BOTH))


def words(spoken: Pronunciation) -> list[tuple[str, str]]:
    """Words as written, with their tokens."""
    return [(word, " ".join(spoken.tokens[a:b])) for word, a, b in spoken.words]


def test_written_pinyin() -> None:
    for written, plain in (
        ("nǐ", "ni3"), ("nǐhǎo", "ni3hao3"), ("nǚ'ér", "nv3er2"), ("lüè", "lve4"), ("lü4", "lv4"),
        ("Zhōngguó", "zhong1guo2"), ("xióng", "xiong2"), ("ni3", "ni3"), ("ma", "ma"),
    ):  # fmt: skip
        assert plain_pinyin(written) == plain
        if written != plain:
            told = pronounce(written, "cmn-latn-pinyin").tokens
            assert told == pronounce(plain, "cmn-latn-pinyin").tokens


def test_syllables_that_espeak_reads_as_english() -> None:
    """熊, 穷 and 兄 are xiong2, qiong2 and xiong1; so are the neighbours not spoilt."""
    for text, pinyin in (
        ("熊", "xiong2"), ("很穷", "hen3 qiong2"), ("兄弟", "xiong1 di4"), ("胸口", "xiong1 kou3"),
        ("大熊猫", "da4 xiong2 mao1"), ("凶手", "xiong1 shou3"), ("窘迫", "jiong3 po4"),
        ("兒", "er2"),
    ):  # fmt: skip
        chars, letters = pronounce(text, "cmn"), pronounce(pinyin, "cmn-latn-pinyin")
        assert [t.lstrip("ˈ") for t in chars.tokens] == [t.lstrip("ˈ") for t in letters.tokens]
        TABLE.ids(chars.tokens)
    assert pronounce("很窘很", "cmn").tokens[1:3] == ("χ", "ˈə35")  # sandhi as elsewhere
    assert pronounce("很窘很", "cmn").tokens[5:7] == ("tɕ", "ˈyu35")
    sounds = {pronounce(char, "cmn").tokens[1:-1] for char in "兄熊穷窘"}
    assert len(sounds) == 4 and {s[0] for s in sounds} == {"ɕ", "tɕ", "tɕh"}


@needs_pypinyin
@pytest.mark.parametrize("language", ["cmn", "cmn-latn-pinyin"])
@pytest.mark.parametrize(
    ("text", "pinyin"),
    [
        ("银行行长", "yin2 hang2 hang2 zhang3"),
        ("行人在长城", "xing2 ren2 zai4 chang2 cheng2"),
        ("重庆很重要", "chong2 qing4 hen3 zhong4 yao4"),
        ("音乐快乐", "yin1 yue4 kuai4 le4"),
        ("还书还有", "huan2 shu1 hai2 you3"),
        ("一个人不是", "yi2 ge4 ren2 bu2 shi4"),
        ("女儿绿了", "nv3 er2 lv4 le5"),
        ("大熊猫", "da4 xiong2 mao1"),
    ],
)
def test_characters_by_the_words_around_them(language: str, text: str, pinyin: str) -> None:
    spoken = say(text, language)
    assert spoken.tokens == pronounce(pinyin, "cmn-latn-pinyin").tokens
    assert [word for word, _ in words(spoken)] == list(text)


@needs_pypinyin
def test_what_is_no_character_stays_with_espeak() -> None:
    spoken = say("我买iphone 15。", "cmn", "pypinyin")
    assert words(spoken)[2:] == [("iphone", "ˈaɪ f əʊ n"), ("15", "s. i.35 w ˈu214")]
    assert say("ni3 hao3 你好", "cmn-latn-pinyin").words[0][0] == "ni3"
    lexicon = Lexicon({"银行": ("j", "i35")})
    settings = TextSettings(lexicon=lexicon, g2p=("pypinyin",))
    told = words(pronounce("去银行。", "cmn", settings))
    assert told[1:] == [("银行", "j i35")] and told[0][0] == "去"


@needs_openjtalk
def test_kanji() -> None:
    spoken = say("私は銀行に行きます。", "ja", "pyopenjtalk-plus")
    assert [word for word, _ in words(spoken)] == ["私", "は", "銀行", "に", "行きます"]
    kana = pronounce("ワタシ ワ ギンコー ニ イキマス。", "ja")
    assert spoken.tokens == kana.tokens
    assert words(say("人々がTVを見た", "ja"))[-1][0] == "見た"
    assert words(say("買った", "ja")) == [("買った", words(pronounce("カッタ", "ja"))[0][1])]
    # Numbers are read with what follows them.
    assert [word for word, _ in words(say("2023年に", "ja"))] == ["2023年に"]
    with pytest.raises(UtteranceError, match="kanji"):
        pronounce("銀行", "ja")


def test_without_the_library_the_message_says_what_to_install() -> None:
    program = (
        "import importlib.util as u, sys; find = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name in ('pypinyin', 'pyopenjtalk') else "
        "find(name, *a)\n"
        "from ns2.pipeline.text.pronunciation import TextSettings, pronounce\n"
        "pronounce('hello', 'en-us', TextSettings(g2p=('pypinyin',)))\n"
        "pronounce('你好', 'cmn', TextSettings(g2p=('pypinyin',)))\n"
    )
    failed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert failed.returncode == 1
    assert failed.stderr.splitlines()[-1] == (
        "ns2.pipeline.core.errors.UserError: --g2p pypinyin needs the package pypinyin, which is "
        "not installed: `pip install 'ns2[mandarin]'`, or `pip install pypinyin`"
    )
    with pytest.raises(UserError, match="no such reading; there is pypinyin, pyopenjtalk-plus"):
        readings(("kakasi",))
    assert {reading.name for reading in READINGS} == set(BOTH)


@needs_pypinyin
def test_the_stage_names_its_readings() -> None:
    stage, plain = TokensStage(g2p=("pypinyin",)), TokensStage()
    assert stage.config["g2p"] == ["pypinyin"] and "g2p" not in plain.config
    assert stage.library_versions().keys() - plain.library_versions().keys() == {"pypinyin"}
    item = Item(key="k", record={"language": "cmn"}, inputs={"text": "银行"})
    assert stage.compute(item).value == say("银行", "cmn", "pypinyin")
    assert stage.compute(item).value.tokens != pronounce("很行", "cmn").tokens
