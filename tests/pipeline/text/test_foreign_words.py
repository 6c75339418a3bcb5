"""Words in another script than the text's: said by another voice, or refused by name."""

from __future__ import annotations

import pytest

from ns2.pipeline.core.errors import UtteranceError
from ns2.pipeline.core.schema import Reason
from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.pipeline.text.engine import languages
from ns2.pipeline.text.pronunciation import pronounce
from ns2.pipeline.text.scripts import is_latin

TABLE = PhonemeTable.default()

# (language, text, words as written between slashes, tokens without the outer <sil>): the phones
# are those of the word in British English and of the other words in their own language.
PINNED = (
    (
        "cmn", "我想买一部iphone。", "我/想/买/一部/iphone",
        "w ˈo35 | ɕ ˈiɑ35 ŋ | m ˈai214 | j i35 p ˈu51 | ˈaɪ f əʊ n .",
    ),
    ("ru", "Это Windows 10.", "Это/Windows/10", "ˈɛ t ʌ | w ˈɪ n d əʊ z | dʲ ˈe sʲ ɪ tʲ ."),
    ("cmn", "看TV吧", "看/TV/吧", "kh ˈa51 n | t ˌiː v ˈiː | p ɑ11"),
    ("ko", "iPhone을 샀어요", "iPhone을/샀어요", "ˈaɪ | f ˈəʊ n | ˈɯ ɫ | s ˈɐ s- ʌ j ˌo"),
    ("hi", "मेरा TV है", "मेरा/TV/है", "m ˌeː ɾ aː | t ˈiː | v ˈiː | h ɛː"),
    ("ja", "iPodを かう", "iPod/を/かう", "ˈaɪ | p ˈɒ d | ˈo̞ | k ˈä ɯᵝ"),
    ("ja", "TVを みる", "TV/を/みる", "t ˈiː | v ˈiː | ˈo̞ | m ˈi ɽ ɯᵝ"),
    ("ru", "iPhone'ом", "iPhone'ом", "ˈaɪ | f ˈəʊ n | ˈo m"),
    ("cmn", "café很好", "café/很好", "k ˈa f eɪ | χ ə35 n χ ˈɑu214"),
    ("uk", "Windows та TV", "Windows/та/TV", "w ˈɪ n d əʊ z | t̪ ˈa | t ˈiː | v ˈiː"),
    ("el", "το Windows εδώ", "το/Windows/εδώ", "t o | w ˈɪ n d əʊ z | e ð ˈo"),
    ("de", "Die Zahl π ist groß", "Die/Zahl/π/ist/groß",
     "d iː | ts ˈɑː l | p ˈi | ɪ s t | ɡ ɾ ˈoː s"),
)  # fmt: skip


@pytest.mark.parametrize(("language", "text", "written", "tokens"), PINNED)
def test_foreign_words_are_said(language: str, text: str, written: str, tokens: str) -> None:
    spoken = pronounce(text, language)
    assert " ".join(spoken.tokens) == f"<sil> {tokens} <sil>"
    assert "/".join(word for word, _, _ in spoken.words) == written


WORD = {  # a word of each script
    "ETHIOPIC": "ሰላም", "ARABIC": "سلام", "BENGALI": "কথা", "CYRILLIC": "дом", "CJK": "好",
    "GREEK": "νερό", "GUJARATI": "વાત", "HEBREW": "שלום", "DEVANAGARI": "बात", "ARMENIAN": "տուն",
    "HIRAGANA": "いえ", "GEORGIAN": "სახლი", "KANNADA": "ಮನೆ", "HANGUL": "집", "MALAYALAM": "വീട്",
    "MYANMAR": "အိမ်", "ORIYA": "ଘର", "GURMUKHI": "ਘਰ", "SINHALA": "ගෙදර", "TAMIL": "வீடு",
    "TELUGU": "ఇల్లు", "THAI": "บ้าน",
}  # fmt: skip
UNABLE = {"mk", "grc", "ug"}  # espeak-ng reads Latin letters as if they were their own


@pytest.mark.parametrize("language", [v for v in languages() if not is_latin(v)])
def test_every_other_script_can_have_a_latin_word(language: str) -> None:
    from ns2.pipeline.text.scripts import scripts_of

    own = WORD[scripts_of(language)[0]]
    text = f"{own} windows {own}"
    if language in UNABLE:
        with pytest.raises(UtteranceError, match="'windows' can't be said"):
            pronounce(text, language)
        return
    spoken = pronounce(text, language)
    assert "w ˈɪ n d əʊ z" in " ".join(spoken.tokens)
    assert not any("(" in token for token in spoken.tokens)
    TABLE.ids(spoken.tokens)


@pytest.mark.parametrize(
    ("language", "text", "named", "hint"),
    [
        ("de", "Er sagte Привет zu mir.", "'Привет'", False),
        ("en-us", "He said 你好 to me.", "'你好'", False),
        ("ru", "Это слово 見 здесь.", "'見'", False),
        ("mk", "Ова е Windows", "'Windows'", False),
        ("ja", "これは 見る です", "'見る'", False),
        ("en-us", "Привет, как дела", "П", True),
        ("ru", "Hello my friends", "H", True),
        ("cmn", "This is iphone.", "T", True),
        ("mk", "Windows и iPhone", "'Windows'", True),
    ],
)
def test_what_can_not_be_said_is_named(language: str, text: str, named: str, hint: bool) -> None:
    with pytest.raises(UtteranceError) as error:
        pronounce(text, language)
    assert error.value.reason is Reason.WRONG_SCRIPT
    assert named in error.value.message
    assert ("is --language right?" in error.value.message) is hint
