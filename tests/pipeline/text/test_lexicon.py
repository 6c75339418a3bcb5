"""A lexicon: how its file is read, which words it is for, and phones within a text."""

from __future__ import annotations

from pathlib import Path

import pytest

from ns2.pipeline.core.errors import UserError, UtteranceError
from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.pipeline.text.lexicon import Lexicon, held_together, take_phones
from ns2.pipeline.text.pronunciation import Pronunciation, TextSettings, pronounce

TABLE = PhonemeTable.default()
READING = "ɹ ˈɛ d ɪ ŋ"


def lexicon(folder: Path, text: str) -> Lexicon:
    path = folder / "lexicon.txt"
    path.write_text(text, "utf-8")
    return Lexicon.read(path, TABLE)


def say(text: str, language: str = "en-us", **entries: str) -> Pronunciation:
    found = Lexicon({word: tuple(phones.split()) for word, phones in entries.items()})
    return pronounce(text, language, TextSettings(lexicon=found))


def marked(text: str, language: str = "en-us") -> Pronunciation:
    plain, phones = take_phones(text, TABLE)
    return pronounce(plain, language, phones=phones)


def word_of(spoken: Pronunciation, written: str) -> str:
    (found,) = [" ".join(spoken.tokens[a:b]) for word, a, b in spoken.words if word == written]
    return found


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en-us", "The {}’s light."),
        ("en-us", "{}-post"),
        ("en-us", "Let us go.{} yes"),
        ("en-us", "this/{}"),
        ("en-us", "“{},” he said."),
        ("en-us", "({})"),
        ("ja", "これは{}です"),
        ("cmn", "我{}。"),
    ],
)
def test_phones_in_a_text_are_never_lost(language: str, text: str) -> None:
    spoken = marked(text.format("[[m ˈuː n]]"), language)
    assert word_of(spoken, "[[m ˈuː n]]") == "m ˈuː n"


def test_a_file_is_read(tmp_path: Path) -> None:
    found = lexicon(
        tmp_path, f"\ufeffReading\t{READING}\r\n\n  don’t\tdʒ ˈoʊ n  \nNew-York\tn uː | j ˈɔː k\n"
    )
    assert dict(found.entries) == {
        "Reading": tuple(READING.split()),
        "don't": ("dʒ", "ˈoʊ", "n"),
        "New-York": ("n", "uː", "|", "j", "ˈɔː", "k"),
    }
    again = Lexicon.from_json(found.to_json(), TABLE)
    assert again == found and again.digest == found.digest


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        ("a\tɹ\nReading ɹ ˈɛ d ɪ ŋ\n", "line 2: 'Reading ɹ ˈɛ d ɪ ŋ' has no tab"),
        ("a\tɹ\n\nReading\tɹ ˈɛ qq\n", "line 3: 'qq' is not in the phoneme table"),
        ("a\tɹ\nb\td\na\td\n", "line 3: 'a' stands in line 1 already"),
        ("Reading\t\n", "line 1: there are no phones"),
        ("\tɹ\n", "line 1: there is no word"),
        ("New York\tn uː\n", "line 1: 'New York' is more than one word"),
        ("a\tɹ <sil>\n", "line 1: '<sil>' is no phone"),
        ("a\tɹ .\n", "line 1: '.' is no phone"),
        ("a\tɹ |\n", "line 1: '|' stands between two phones"),
        ("😀\tɹ\n", "line 1: '😀' is in no text: emoji and such signs are taken out"),
        ("a\tɹ\n👍🏽\tɹ\n", "line 2: '👍🏽' is in no text"),
        ("→\tɹ\n", "line 1: '→' is in no text"),
        ("a,b\tɹ\n", "line 1: 'a,b' is no word of a text, which has 'a', 'b' there"),
        ("hello!\tɹ\n", "line 1: 'hello!' is no word of a text, which has 'hello' there"),
        ("a\tɹ\nａ\td\n", "line 2: 'a' stands in line 1 already"),
        ("a\tɹ\td\n\n", None),
    ],
)
def test_what_is_wrong_is_said_with_its_line(
    tmp_path: Path, text: str, complaint: str | None
) -> None:
    if complaint is None:  # phones may be set apart by tabs, too
        assert lexicon(tmp_path, text).entries == {"a": ("ɹ", "d")}
        return
    with pytest.raises(UserError) as error:
        lexicon(tmp_path, text)
    assert complaint in str(error.value) and "lexicon.txt" in str(error.value)


def test_signs_and_styled_letters_are_words(tmp_path: Path) -> None:
    found = lexicon(tmp_path, f"&\t{READING}\nＡＢＣ\tm ˈuː n\n“Ort”\td\n°\tɹ ˈɛ\ncol·legi\tk\n")
    assert [*found.entries] == ["&", "ABC", "Ort", "°", "col·legi"]
    said = pronounce("Salt & ABC, “Ort”.", "en-us", TextSettings(lexicon=found))
    assert [word_of(said, word) for word in ("&", "ABC", "Ort")] == [READING, "m ˈuː n", "d"]


def test_a_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nothing\.txt"):
        Lexicon.read(tmp_path / "nothing.txt", TABLE)
    (tmp_path / "bytes").write_bytes(b"a\t\xff\xfe")
    with pytest.raises(UserError, match="UTF-8"):
        Lexicon.read(tmp_path / "bytes", TABLE)
    for damaged in ({}, [], {"entries": 1}, {"entries": {"a": 1}}, {"entries": {"a": "qq"}}):
        with pytest.raises(UserError, match="damaged"):
            Lexicon.from_json(damaged, TABLE)


def test_a_word_takes_its_phones_and_its_neighbours_stay() -> None:
    text = "The train to Reading leaves at 5, and Reading waits."
    plain, spoken = pronounce(text, "en-us"), say(text, Reading=READING)
    assert [word for word, _, _ in spoken.words] == [word for word, _, _ in plain.words]
    parts = zip(plain.words, spoken.words, strict=True)
    for (word, a, b), (_, c, d) in parts:
        expected = READING.split() if word == "Reading" else list(plain.tokens[a:b])
        assert list(spoken.tokens[c:d]) == expected


@pytest.mark.parametrize(
    ("entry", "text", "found"),
    [
        ("Polish", "Polish", True),
        ("Polish", "polish", False),
        ("Polish", "POLISH", False),
        ("polish", "Polish", True),
        ("polish", "POLISH", True),
        ("don't", "don’t", True),
        ("don't", "Don't", True),
        ("café", "cafe\u0301", True),
        ("St.", "St. Paul", True),
        ("1984", "1984", True),
        ("re-read", "re-read", True),
        ("read", "re-read", False),
    ],
)
def test_exact_form_first_then_lower_case(entry: str, text: str, found: bool) -> None:
    spoken = say(text, **{entry: "ʒ ʒ ʒ"})
    assert ("ʒ ʒ ʒ" in " ".join(spoken.tokens)) is found


def test_the_exact_form_wins() -> None:
    spoken = say("Polish men polish.", Polish="p ˈoʊ l ɪ ʃ", polish="p ˈɑː l ɪ ʃ")
    assert word_of(spoken, "Polish") == "p ˈoʊ l ɪ ʃ"
    assert word_of(spoken, "polish") == "p ˈɑː l ɪ ʃ"


def test_words_that_are_spoken_as_one_are_taken_apart() -> None:
    assert ("of the", 4, 7) not in say("some of the men", the="ð ˈiː").words
    spoken = say("some of the men", the="ð ˈiː")
    assert [word for word, _, _ in spoken.words] == ["some", "of", "the", "men"]
    assert word_of(spoken, "the") == "ð ˈiː"


def test_an_entry_helps_where_espeak_can_not() -> None:
    with pytest.raises(UtteranceError, match="ж"):
        pronounce("the letter ж", "en-us")
    assert word_of(say("the letter ж", ж="p ˈaɪ"), "ж") == "p ˈaɪ"
    assert word_of(say("すし 食べる", "ja", 食べる="t a b e r ɯ"), "食べる") == "t a b e r ɯ"


def test_languages_without_spaces_take_the_longest_entry() -> None:
    spoken = say("我去银行。", "cmn", 银行="j i n | x a ŋ", 行="ɕ i ŋ")
    assert [word for word, _, _ in spoken.words][-1] == "银行"
    assert word_of(spoken, "银行") == "j i n | x a ŋ"
    spoken = say("これはてすとです", "ja", てすと="t e s ɯ t o")
    assert word_of(spoken, "てすと") == "t e s ɯ t o"
    assert "".join(word for word, _, _ in spoken.words) == "これはてすとです"


def test_which_entries_a_text_uses(tmp_path: Path) -> None:
    found = lexicon(tmp_path, f"Reading\t{READING}\nthe\tð ə\n行\tɕ i ŋ\n")
    assert found.lines_for("READING is reading.", "en-us") == []
    assert found.lines_for("In Reading, the — Reading!", "en-us") == [
        f"Reading\t{READING}",
        "the\tð ə",
    ]
    assert found.lines_for("银行", "cmn") == ["行\tɕ i ŋ"]
    assert found.lines_for("x" * 6000, "en-us") == []


def test_phones_within_a_text() -> None:
    spoken = marked(f"I live in [[{READING}]], near the [[t ˈɛ m z]].")
    assert word_of(spoken, f"[[{READING}]]") == READING
    plain = pronounce("I live in Reading, near the Thames.", "en-us")
    assert [t for t in spoken.tokens if t in TABLE.optional] == [
        t for t in plain.tokens if t in TABLE.optional
    ]
    whole = marked("[[h ə l ˈoʊ]]")
    assert whole.tokens == ("<sil>", "h", "ə", "l", "ˈoʊ", "<sil>")
    many = marked(" ".join(f"[[{p}]]" for p in ["ɹ", "d", "t"] * 20))
    assert [t for t in many.tokens[1:-1] if t != "|"] == ["ɹ", "d", "t"] * 20
    assert word_of(marked("我[[j i n]]去", "cmn"), "[[j i n]]") == "j i n"
    assert word_of(marked("(un[[d ˈʌ n]]'s)"), "[[d ˈʌ n]]") == "d ˈʌ n"
    assert take_phones("[single] brackets", TABLE) == ("[single] brackets", [])


@pytest.mark.parametrize("text", ["a [[qq]] b", "a [[ ]] b", "a [[]] b", "a [[<sil>]] b"])
def test_wrong_phones_within_a_text(text: str) -> None:
    with pytest.raises(UserError, match=r"\[\[.*in the text"):
        take_phones(text, TABLE)


def test_phones_within_a_text_are_never_cut() -> None:
    text = "One. [[ɹ ˈɛ  d]] two, three."
    held = held_together(text)
    assert held.split() == ["One.", held.split()[1], "two,", "three."]
    assert take_phones(held, TABLE)[1] == [("ɹ", "ˈɛ", "d")]
