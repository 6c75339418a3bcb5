"""Text to tokens: what is said, where words begin and end, and what is refused."""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
from collections.abc import Sequence

import pytest

from ns2.pipeline.core.errors import UtteranceError
from ns2.pipeline.core.schema import COLUMNS, ColumnSpec, Reason, check_array
from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.pipeline.stages.phonemes import PhonemesStage
from ns2.pipeline.stages.stage import Item
from ns2.pipeline.stages.tokens import TokensStage
from ns2.pipeline.text.engine import languages
from ns2.pipeline.text.matching import match_words
from ns2.pipeline.text.pronunciation import Pronunciation, pronounce
from ns2.pipeline.text.tables import MARKS
from tests.pipeline.text.pinned_kinds import PINNED_KINDS
from tests.pipeline.text.pinned_texts import PINNED
from tests.support.factories import SENTENCES

TABLE = PhonemeTable.default()


def check(spoken: Pronunciation) -> None:
    """What holds for every pronunciation."""
    tokens = spoken.tokens
    assert tokens[0] == tokens[-1] == "<sil>"
    assert set(tokens[1:-1]).isdisjoint({"<sil>", "<pad>"})
    optional = [token in TABLE.optional for token in tokens]
    assert not any(a and b for a, b in itertools.pairwise(optional[1:-1]))
    covered: list[int] = []
    for word, start, end in spoken.words:
        assert word and start < end
        assert not optional[start] and not optional[end - 1]
        # What is written as one word and spoken as several has borders inside.
        assert {t for t in tokens[start:end] if t in TABLE.optional} <= {"|"}
        covered += range(start, end)
    left = sorted(set(range(1, len(tokens) - 1)) - set(covered))
    assert len(covered) == len(set(covered)) and all(optional[i] for i in left)
    final = len(tokens) - 2
    # One separator between two words, and a mark, never a border, at the end.
    assert [i for i in left if i != final] == [end for _, _, end in spoken.words[:-1]]
    assert tokens[final] != "|"
    TABLE.ids(tokens)


def phones(text: str, language: str = "en-us") -> list[str]:
    """The phones of a text without stress, borders and marks."""
    tokens = pronounce(text, language).tokens
    return [token.strip("ˈˌ") for token in tokens if token not in TABLE.optional]


def separators(text: str, language: str = "en-us") -> str:
    """The separators of a text, in one string."""
    return "".join(t for t in pronounce(text, language).tokens[1:-1] if t in TABLE.optional)


def words(text: str, language: str = "en-us") -> list[str]:
    """The words as written."""
    return [word for word, _, _ in pronounce(text, language).words]


def reason(text: str, language: str = "en-us") -> Reason:
    """Why a text is refused."""
    with pytest.raises(UtteranceError) as error:
        pronounce(text, language)
    return error.value.reason


@pytest.mark.parametrize(("language", "text", "written", "tokens"), (*PINNED, *PINNED_KINDS))
def test_pinned(language: str, text: str, written: str, tokens: str) -> None:
    spoken = pronounce(text, language)
    assert " ".join(spoken.tokens) == f"<sil> {tokens} <sil>"
    assert "/".join(word for word, _, _ in spoken.words) == written
    check(spoken)


# What is written against what it should sound like, spelled out.
SAID = (
    ("$2.50", "two dollars fifty"),
    ("$1", "one dollar"),
    ("$1,000", "one thousand dollars"),
    ("$1.5 million", "one point five million dollars"),
    ("$5-$10 million", "five to ten million dollars"),
    ("£3.20", "three pounds twenty"),
    ("£0.50", "fifty pence"),
    ("€5", "five euros"),
    ("$2.05", "two dollars and five cents"),
    ("10-20", "ten to twenty"),
    ("10–20%", "ten to twenty percent"),
    ("5%", "five percent"),
    ("3.14", "three point one four"),
    ("3.14 p.m.", "three fourteen p.m."),
    ("10:30 a.m.", "ten thirty a.m."),
    ("10:05", "ten oh five"),
    ("9am", "nine a.m."),
    ("1,000", "one thousand"),
    ("1984", "nineteen eighty four"),
    ("1905", "nineteen oh five"),
    ("2005", "two thousand five"),
    ("the 1990s", "the nineteen nineties"),
    ("1914-18", "nineteen fourteen to eighteen"),
    ("1st", "first"),
    ("22nd", "twenty second"),
    ("101st", "one hundred first"),
    ("No. 5", "number five"),
    ("Dr. Jones", "doctor Jones"),
    ("St. Paul on Main St.", "saint Paul on Main street"),
    ("cats vs. dogs", "cats versus dogs"),
    ("salt & pepper", "salt and pepper"),
    ("555-1234", "five five five one two three four"),
    ("007", "zero zero seven"),
    ("5 kg", "five kilograms"),
    ("1/2 cup", "one half cup"),
    ("2½", "two and a half"),
    ("Henry VIII", "Henry the eighth"),
    ("at twelve:thirty", "at twelve thirty"),
    ("Ph.D. of A. Jones", "P.H.D. of eigh Jones"),
    ("World War II", "World War two"),
    ("ﬁne １２", "fine twelve"),
)


@pytest.mark.parametrize(("written", "spelled"), SAID)
def test_english_is_said_as_spelled_out(written: str, spelled: str) -> None:
    assert phones(written) == phones(spelled)


@pytest.mark.parametrize("text", ["version 1.2.3", "192.168.0.1", "x86-64", "R2-D2", "10-10-220"])
def test_versions_and_part_numbers_are_left_to_espeak(text: str) -> None:
    spoken = pronounce(text, "en-us")
    check(spoken)
    assert [word for word, _, _ in spoken.words] == text.split()


def test_the_languages_own_readings() -> None:
    assert phones("z. B.", "de") == phones("zum Beispiel", "de")
    assert phones("am 3. Mai", "de") == phones("am dritten Mai", "de")
    assert phones("M. Martin", "fr-fr") == phones("monsieur Martin", "fr-fr")
    assert phones("EE.UU.", "es") == phones("Estados Unidos", "es")
    assert phones("т. е.", "ru") == phones("то есть", "ru")
    assert phones("the 101st", "en-gb") == phones("the one hundred and first", "en-gb")
    # "?" is a phone of Oromo and a mark of ours.
    assert "?" not in pronounce("bu'aa", "om").tokens


def test_french_flags_are_removed() -> None:
    assert not any("(" in token for token in pronounce("le football", "fr-fr").tokens)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One, two; three: four.", ",;:."),
        ("What?! No... Well — yes!", "?…—!"),
        ("He said: \"No.\" (Then) 'he' left", "|:.||"),
        ("Mr. J. R. Smith, Jr., came.", "|||,,."),
        ("So did I. Then we left", "||.||"),
        ("At 5 p.m. He left", "||.|"),
        ("In the U.S. Army", "||"),
        ("No. 5 is No. Yes", "|||."),
        ("well-known,too", ","),
        ("wait--what", "—"),
        ("…and, so", ","),
        ("the end . . .", "|…"),
        ("one\ntwo\tthree\u00a0four", "|||"),
        ("etc.", "."),
        ("", None),
    ],
)
def test_marks(text: str, expected: str | None) -> None:
    if expected is None:
        assert reason(text) is Reason.NOTHING_SPEAKABLE
    else:
        assert separators(text) == expected
        check(pronounce(text, "en-us"))


def test_marks_of_other_scripts() -> None:
    assert separators("नमस्ते। दुनिया॥", "hi") == ".."
    assert separators("مرحبا، كيف؟", "ar") == ",?"
    assert separators("τι κάνεις; καλά· ναι.", "el") == "|?;."
    assert separators("你好，世界！", "cmn") == ",|!"
    assert separators("Où ça ?", "fr-fr") == "|?"


def test_what_is_only_seen_is_not_said() -> None:
    plain = pronounce("I love time and words", "en-us")
    seen = "🎉 I\u200b love™ [time]\ufe0f →\x07 and ★ wor\u00adds ☺ ░ ®"
    assert pronounce(seen, "en-us") == plain
    assert words("word(s) “quoted” don’t") == ["words", "quoted", "don't"]


def test_nfc() -> None:
    assert pronounce("cafe\u0301", "fr-fr") == pronounce("café", "fr-fr")


def test_words_stay_as_written() -> None:
    assert words("Pay $2.50 for 10-20 of the 25 eggs") == [
        "Pay", "$2.50", "for", "10-20", "of the", "25", "eggs",
    ]  # fmt: skip
    assert words("rock 'n' roll in the '80s") == ["rock", "'n", "roll", "in the", "'80s"]
    assert words("你好世界", "cmn") == ["你好", "世", "界"]
    assert words("Ich habe 1.999 €", "de") == ["Ich", "habe", "1.999", "€"]


def distance(a: Sequence[str], b: Sequence[str]) -> int:
    """Edit distance by its definition."""
    if not a or not b:
        return len(a) + len(b)
    return min(
        distance(a[1:], b[1:]) + (a[0] != b[0]), distance(a[1:], b) + 1, distance(a, b[1:]) + 1
    )


def cost(written: list[tuple[str, ...]], spoken: list[tuple[str, ...]]) -> int:
    """Cost of making one group of all words: its edits, less what its border is worth."""
    return 10 * distance(sum(written, ()), sum(spoken, ())) - 9


def cheapest(written: list[tuple[str, ...]], spoken: list[tuple[str, ...]]) -> int:
    """Cost of the best grouping, by trying all of them."""
    if not written:
        return 0 if not spoken else 10_000
    return min(
        cost(written[:i], spoken[:j]) + cheapest(written[i:], spoken[j:])
        for i in range(1, len(written) + 1)
        for j in range(len(spoken) + 1)
    )


@pytest.mark.parametrize("seed", range(40))
def test_words_are_matched_at_the_lowest_cost(seed: int) -> None:
    rng = random.Random(seed)
    make = lambda n: [tuple(rng.choices("abc", k=rng.randint(1, 3))) for _ in range(n)]  # noqa: E731
    written, spoken = make(rng.randint(1, 3)), make(rng.randint(1, 3))
    groups = match_words(written, spoken)
    # All spoken words, once and in order; a written word left out costs its phones.
    assert [j for _, (a, b) in groups for j in range(a, b)] == list(range(len(spoken)))
    ends = [0, *(end for (_, end), _ in groups)]
    total = sum(cost(written[a:b], spoken[c:d]) for (a, b), (c, d) in groups)
    starts = [*(start for (start, _), _ in groups), len(written)]
    left_out = [i for end, start in zip(ends, starts, strict=True) for i in range(end, start)]
    total += sum(cost([written[i]], []) for i in left_out)
    assert total == cheapest(written, spoken)


def test_silent_words_are_left_out() -> None:
    assert match_words([("a",), (), ("b",)], [("a",), ("b",)]) == [
        ((0, 1), (0, 1)),
        ((2, 3), (1, 2)),
    ]
    assert match_words([("a",)], []) == []


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("🙂 🎉", "en-us", Reason.NOTHING_SPEAKABLE),
        ("?! ... —", "en-us", Reason.NOTHING_SPEAKABLE),
        ("I am <unk> here", "en-us", Reason.NOT_UNDERSTOOD),
        ("Ja [unintelligible 0:05] so", "de", Reason.NOT_UNDERSTOOD),
        ("Привет", "en-us", Reason.WRONG_SCRIPT),
        ("Hello world", "ru", Reason.WRONG_SCRIPT),
        ("the letter ж", "en-us", Reason.WRONG_SCRIPT),
        ("私は", "ja", Reason.WRONG_SCRIPT),  # espeak-ng says "Chinese letter"
        ("hello", "xx", Reason.UNKNOWN_LANGUAGE),
        ("hello", "en", Reason.UNKNOWN_LANGUAGE),
        ("hello", "kl", Reason.UNKNOWN_LANGUAGE),  # it ends the process at a 0
        ("a " * 3000, "en-us", Reason.TEXT_TOO_LONG),
        ("a." * 1000, "en-us", Reason.TEXT_TOO_LONG),  # would end the process
        ("x" * 50, "en-us", Reason.TEXT_TOO_LONG),  # espeak-ng would drop the end
    ],
)
def test_refused(text: str, language: str, expected: Reason) -> None:
    assert reason(text, language) is expected


def test_near_names_are_suggested() -> None:
    for wrong, right in (("en-US", "en-us"), ("fr", "fr-fr"), ("zh-cmn", "cmn")):
        with pytest.raises(UtteranceError, match=right):
            pronounce("a", wrong)
    assert {"en-us", "en-gb", "de", "fr-fr", "es", "ru", "cmn"} <= set(languages())


def test_nothing_is_lost_in_long_clauses() -> None:
    one = phones("seventeen old houses")
    assert phones("seventeen old houses " * 120) == 120 * one
    assert phones("1,777,777 " * 40) == 40 * phones("1,777,777")
    assert len(words("가나다 " * 150, "ko")) == 150


def sentences() -> list[str]:
    """Some English sentences."""
    if SENTENCES.is_file():
        return SENTENCES.read_text("utf-8").splitlines()[::40]
    return [text for language, text, _, _ in PINNED if language == "en-us"]


def test_sentences_keep_all_their_words() -> None:
    for text in sentences():
        spoken = pronounce(text, "en-us")
        check(spoken)
        letters = "".join(filter(str.isalnum, text))
        assert "".join(filter(str.isalnum, "".join(w for w, _, _ in spoken.words))) == letters


def test_rubbish_is_refused_or_well_formed() -> None:
    rng = random.Random(0)
    pieces = [*"abcde öüéñ 0123456789 .,:;?!…—–-'\"()[]%&+=@#$€/*_^~|<>°½²\x00\u200d\u0301\ud800"]
    pieces += ["the", "St.", "e.g.", "1st", "$2.50", "10-20", "p.m.", "👍", "\n", "word"]
    for _ in range(400):
        text = "".join(rng.choices(pieces, k=rng.randint(1, 60)))
        for language in ("en-us", "de"):
            try:
                spoken = pronounce(text, language)
            except UtteranceError as error:
                assert error.reason in (Reason.NOTHING_SPEAKABLE, Reason.TEXT_TOO_LONG)
            else:
                check(spoken)


def test_nothing_depends_on_what_was_said_before() -> None:
    items = [(language, text) for language, text, _, _ in PINNED]
    items += [("en-us", text) for text in ("Yes?", "1,000", "a", "U.S.", "He said: no", "VI")]
    first = {item: pronounce(item[1], item[0]) for item in items}
    for seed in range(3):
        random.Random(seed).shuffle(items)
        for language, text in items:
            assert pronounce(text, language) == first[language, text]
    # And in another process, in the reverse order.
    program = (
        "import sys; from ns2.pipeline.text.pronunciation import pronounce\n"
        "for line in sys.stdin.read().splitlines():\n"
        "    print(pronounce(*reversed(line.split('\\t'))))"
    )
    lines = "\n".join(f"{language}\t{text}" for language, text in reversed(items))
    output = subprocess.run(
        [sys.executable, "-c", program], input=lines, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert output == [str(first[item]) for item in reversed(items)]


def test_stages() -> None:
    text = "Hello of the world, 1984."
    item = Item(key="k", record={"language": "en-us"}, inputs={"text": text})
    product = TokensStage().compute(item)
    spoken = product.value
    assert spoken == pronounce(text, "en-us")
    assert product.scalars == {"tokens": len(spoken.tokens), "phones": len(phones(text))}
    assert TokensStage().column is None
    assert set(TokensStage().library_versions()) == {"espeakng-loader", "phonemizer", "num2words"}

    stage = PhonemesStage(TABLE)
    ids = stage.compute(Item(key="k", record={}, inputs={"tokens": spoken})).value
    assert isinstance(stage.column, ColumnSpec)
    assert (stage.column.dtype, stage.column.dims) == COLUMNS["phonemes"]
    check_array(stage.column, "k", ids, frames=100, tokens=len(spoken.tokens))
    assert TABLE.symbols(ids) == list(spoken.tokens)
    assert stage.config == {"table": TABLE.digest}

    other = TokensStage().compute(Item(key="k", record={"language": "de"}, inputs={"text": "ja"}))
    assert other.value == pronounce("ja", "de")


def test_the_stages_are_cheap_to_import() -> None:
    program = (
        "import sys; import ns2.pipeline.text.pronunciation, ns2.pipeline.stages.tokens\n"
        "import ns2.pipeline.stages.phonemes\n"
        "assert not {'phonemizer', 'espeakng_loader', 'num2words', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_marks_are_told_from_phones() -> None:
    assert set(MARKS).isdisjoint(TABLE.phones)
    for a, b in itertools.pairwise(pronounce("a, b! c", "en-us").tokens[1:-1]):
        assert not (a in TABLE.optional and b in TABLE.optional)
