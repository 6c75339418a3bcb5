"""Tables as people have them: each variant is read right, or refused with the cause."""

from __future__ import annotations

from pathlib import Path

import pytest

from ns2.pipeline.core.errors import OptionError, UserError
from ns2.pipeline.core.schema import Reason
from ns2.pipeline.corpora.reading import read_corpus
from tests.support.corpora_factories import by_id, put, reasons, touch
from tests.support.factories import LJSPEECH, needs_ljspeech

TEXTS = (
    "Printing, in the only sense with which we are at present concerned,",
    "in being comparatively modern.",
    "For although the Chinese took impressions from wood blocks",
    "produced the block books, which were the immediate predecessors",
    "the invention of movable metal letters in the fifteenth century",
    "And it is worth mention in passing that, as an example",
)
IDS = [f"LJ001-{i:04}" for i in range(1, len(TEXTS) + 1)]
SPEAKERS = ("anna", "ben", "anna", "ben", "anna", "anna")
SPOKEN = [text.replace(",", "").lower() for text in TEXTS]
PLAIN = {i: (text, "LJ") for i, text in zip(IDS, TEXTS, strict=True)}
VOICED = {i: (t, s) for i, t, s in zip(IDS, TEXTS, SPEAKERS, strict=True)}

Row = tuple[str, ...]


def rows(*columns: object) -> list[Row]:
    """A row for each text; a column is a value for all rows or one for each, {} is the id."""
    made = []
    for n, key in enumerate(IDS):
        values = [str(c if isinstance(c, str) else c[n]) for c in columns]  # type: ignore[index]
        made.append(tuple(value.replace("{}", key) for value in values))
    return made


def write(root: Path, table: list[Row], separator: str = "|", folder: str = "wavs") -> Path:
    touch(root, *(f"{folder}/{i}.wav" for i in IDS))
    return put(root, {"metadata.csv": "".join(separator.join(row) + "\n" for row in table)})


def read(corpus: object) -> dict[str, tuple[str, str]]:
    return {u.id: (u.text, u.speaker) for u in corpus.utterances}  # type: ignore[attr-defined]


DURATIONS = ("9.65", "1.89", "9.66", "5.12", "8.09", "6.7")
CODES = ("EN", "EN", "EN", "EN", "EN", "EN")

READ = {
    "text alone": (rows("{}", TEXTS), PLAIN, ""),
    "normalised": (rows("{}", TEXTS, TEXTS), PLAIN, ""),
    "normalised in other words": (
        rows("{}", TEXTS, SPOKEN),
        {i: (text, "LJ") for i, text in zip(IDS, SPOKEN, strict=True)},
        "",
    ),
    "normalised in some rows": (
        rows("{}", TEXTS, ("", *SPOKEN[1:])),
        {i: (t, "LJ") for i, t in zip(IDS, (TEXTS[0], *SPOKEN[1:]), strict=True)},
        "",
    ),
    "a constant number": (rows("{}", TEXTS, "0"), PLAIN, "column 2 is taken as the text"),
    "duration": (rows("{}", TEXTS, DURATIONS), PLAIN, "column 3 is not used"),
    "duration in front": (rows("{}", DURATIONS, TEXTS), PLAIN, "column 3 is taken as the text"),
    "speaker behind": (rows("{}", TEXTS, SPEAKERS), VOICED, "column 3 as the speaker (2 of them)"),
    "speaker in front": (rows("{}", SPEAKERS, TEXTS), VOICED, "column 2 as the speaker"),
    "one speaker": (
        rows("{}", "anna", TEXTS),
        {i: (text, "anna") for i, text in zip(IDS, TEXTS, strict=True)},
        "column 2 as the speaker (1 of them)",
    ),
    "speakers of short names": (
        rows("{}", TEXTS, ("LJ", "ben", "amy", "LJ", "ben", "amy")),
        {i: (t, s) for i, t, s in zip(
            IDS, TEXTS, ("LJ", "ben", "amy", "LJ", "ben", "amy"), strict=True)},
        "column 3 as the speaker (3 of them)",
    ),
    "numbered speaker in front": (
        rows("{}", tuple("010110"), TEXTS),
        {i: (t, s) for i, t, s in zip(IDS, TEXTS, "010110", strict=True)},
        "column 2 as the speaker",
    ),
    "1.0 as a speaker": (
        rows("{}", ("1.0", "2.0", "1.0", "2.0", "1.0", "1.0"), TEXTS),
        {i: (t, s) for i, t, s in zip(IDS, TEXTS, "121211", strict=True)},
        "column 2 as the speaker",
    ),
    "speaker, text and duration": (
        rows("{}", SPEAKERS, TEXTS, DURATIONS), VOICED, "column 4 is not used",
    ),
    "text, normalised and duration": (
        rows("{}", TEXTS, SPOKEN, DURATIONS),
        {i: (text, "LJ") for i, text in zip(IDS, SPOKEN, strict=True)},
        "column 3 is taken as the text",
    ),
    "ids with suffixes": (rows("{}.wav", TEXTS), PLAIN, ""),
    "ids with folders": (rows("wavs/{}", TEXTS), PLAIN, ""),
    "ids with folders and suffixes": (rows("wavs/{}.wav", TEXTS, TEXTS), PLAIN, ""),
    "ids with backslashes": (rows(r".\wavs\{}.wav", TEXTS), PLAIN, ""),
    "a header of Coqui": (
        [("audio_file", "text", "speaker_name"), *rows("wavs/{}.wav", TEXTS, SPEAKERS)],
        VOICED,
        "names its columns: audio_file, text, speaker_name",
    ),
    "a header with the normalised text": (
        [("id", "text", "normalized_text"), *rows("{}", TEXTS, SPOKEN)],
        {i: (text, "LJ") for i, text in zip(IDS, SPOKEN, strict=True)},
        "names its columns",
    ),
    "a header with more": (
        [("file_name", "transcription", "emotion"), *rows("{}.wav", TEXTS, "sad")],
        PLAIN,
        "emotion are not read",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("separator", ["|", "\t"])
def test_variants_that_are_read(tmp_path: Path, name: str, separator: str) -> None:
    table, expected, note = READ[name]
    corpus = read_corpus(write(tmp_path, table, separator))
    assert read(corpus) == expected
    assert corpus.layout == "ljspeech" and not corpus.rejected and not corpus.warnings
    assert [u.source for u in corpus.utterances] == [f"wavs/{i}.wav" for i in IDS]
    assert len(corpus.notes) == bool(note) and all(note in said for said in corpus.notes)


REFUSED = {
    "numbers that may be speakers": (rows("{}", TEXTS, tuple("010110")), "may be speakers"),
    "no text": (rows("{}", DURATIONS), "no column that looks like a text"),
    "numbers alone": (rows("{}", "0", DURATIONS), "no column that looks like a text"),
    "the same number": (rows("{}", "0"), "no column that looks like a text"),
    "two texts": (rows("{}", TEXTS, TEXTS[::-1]), "either may be the text"),
    "the sex": (rows("{}", TEXTS, ("F", "M", "F", "M", "F", "F")), "one names something else"),
    "the language": (rows("{}", CODES, TEXTS), "one names something else"),
    "speaker and language": (rows("{}", SPEAKERS, CODES, TEXTS), "more than one column"),
    "a speaker in some rows": (
        [*rows("{}", TEXTS)[:3], *rows("{}", TEXTS, SPEAKERS)[3:]],
        "either may be the text",
    ),
    "a word of the text": (rows("{}", TEXTS, [t.split()[0] for t in TEXTS]), "may be the text"),
    "its first words": (
        rows("{}", TEXTS, [" ".join(t.split()[:2]) for t in TEXTS]),
        "may be the text",
    ),
    "one row": (rows("{}", "anna", TEXTS)[:1], "either may be the text"),
    "different speakers": (rows("{}", [f"x{i}" for i in IDS], TEXTS), "either may be the text"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_variants_that_are_refused(tmp_path: Path, name: str) -> None:
    table, cause = REFUSED[name]
    with pytest.raises(UserError, match=cause) as error:
        read_corpus(write(tmp_path, table))
    assert "--fields id=1" in str(error.value) and "column 2: " in str(error.value)


@pytest.mark.parametrize("name", [*REFUSED, "speaker behind", "duration", "normalised"])
def test_fields_decides(tmp_path: Path, name: str) -> None:
    table = REFUSED[name][0] if name in REFUSED else READ[name][0]
    at = next((i for i, value in enumerate(table[-1]) if value in TEXTS), None)
    if at is None:  # nothing but numbers: they are the text if it is said
        at = len(table[-1]) - 1
    corpus = read_corpus(write(tmp_path, table), fields=f"text={at + 1}")
    assert {u.id: u.text for u in corpus.utterances} == {row[0]: row[at] for row in table}
    assert {u.speaker for u in corpus.utterances} == {"LJ"} and not corpus.notes


def test_fields_names_every_column(tmp_path: Path) -> None:
    table = rows(SPEAKERS, CODES, TEXTS, "{}")
    root = write(tmp_path, table)
    corpus = read_corpus(root, fields="id=4, speaker=1,language=2 , text=3")
    assert read(corpus) == VOICED and {u.language for u in corpus.utterances} == {"en-us"}
    named = [("who", "tongue", "words", "what"), *table]
    corpus = read_corpus(write(tmp_path, named), fields="id=what,speaker=Who,text=words")
    assert read(corpus) == VOICED and "tongue are not read" in corpus.notes[0]
    corpus = read_corpus(root, fields="id=4,speaker=who,text=3")
    assert read(corpus) == VOICED


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("text", "expected FIELD=COLUMN"),
        ("", "expected FIELD=COLUMN"),
        ("txt=2", "did you mean text"),
        ("text=1,text=2", "names text twice"),
        ("text=2,id=2", "two fields from the column 2"),
        ("text=0", "counted from 1"),
        (f"text={'9' * 5000}", "no table has a column 999"),
    ],
)
def test_fields_of_another_form(tmp_path: Path, fields: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        read_corpus(write(tmp_path, rows("{}", TEXTS)), fields=fields)


def test_text_as_written_behind_text_as_spoken(tmp_path: Path) -> None:
    written = [f"{text} in 1450" for text in TEXTS]
    spoken = [f"{text} in fourteen fifty" for text in TEXTS]
    for table in (rows("{}", spoken, written), rows("{}", written, spoken)):
        corpus = read_corpus(write(tmp_path, table))
        assert read(corpus) == {i: (t, "LJ") for i, t in zip(IDS, spoken, strict=True)}
        assert bool(corpus.notes) == (table[0][1] == spoken[0])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("speaker=2", "column 2 is the speaker; say which one is the text"),
        ("text=1", "column 1 is the text; say which one is the id"),
        ("text=3,offset=2", "offset is read from manifests"),
        ("text=3,phonemes=2", "phonemes is read from manifests"),
    ],
)
def test_fields_that_leave_something_open(tmp_path: Path, fields: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_corpus(write(tmp_path, rows("{}", SPEAKERS, TEXTS)), fields=fields)


def test_a_field_is_not_read(tmp_path: Path) -> None:
    root = write(tmp_path, rows("{}", SPEAKERS, TEXTS))
    assert read(read_corpus(root, fields="language=")) == VOICED


def test_a_carriage_return_within_the_first_line(tmp_path: Path) -> None:
    root = write(tmp_path, rows("{}", TEXTS))
    table = root / "metadata.csv"
    table.write_bytes(table.read_bytes().replace(b"in the only", b"in\r the only"))
    assert len(read_corpus(root).utterances) == len(IDS)


def test_fields_that_are_not_there(tmp_path: Path) -> None:
    root = write(tmp_path, rows("{}", TEXTS))
    with pytest.raises(UserError, match=r"first line of metadata\.csv names no columns"):
        read_corpus(root, fields="text=sentence")
    write(tmp_path, [("id", "text"), *rows("{}", TEXTS)])
    with pytest.raises(UserError, match=r"those of metadata\.csv are id, text"):
        read_corpus(root, fields="text=sentence")
    touch(tmp_path / "pairs", "a.wav", "a.txt")
    with pytest.raises(OptionError, match="layout pairs have one form"):
        read_corpus(tmp_path / "pairs", fields="text=2")


def test_the_audio_may_be_in_wav(tmp_path: Path) -> None:
    corpus = read_corpus(write(tmp_path, rows("{}", TEXTS), folder="wav"))
    assert read(corpus) == PLAIN and corpus.utterances[0].source == "wav/LJ001-0001.wav"
    named = write(tmp_path / "named", rows("wav/{}.wav", TEXTS), folder="wav")
    assert read(read_corpus(named)) == PLAIN


def test_a_first_line_of_unknown_names(tmp_path: Path) -> None:
    root = write(tmp_path, [("Aufnahme", "Satz"), *rows("{}", TEXTS)])
    with pytest.raises(UserError, match=r"first line seems to name .*id=Aufnahme,text=Satz"):
        read_corpus(root)
    assert read(read_corpus(root, fields="id=Aufnahme,text=Satz")) == PLAIN
    # a row of words whose recording is lost is no line of names where others are lost, too
    root = write(tmp_path / "lost", [("hello", "Hello"), ("gone", "Gone"), *rows("{}", TEXTS)])
    assert len(read_corpus(root).rejected) == 2


@pytest.mark.parametrize("name", ["metadata.tsv", "metadata.txt"])
def test_the_table_may_have_another_suffix(tmp_path: Path, name: str) -> None:
    write(tmp_path, rows("{}", TEXTS, TEXTS), "\t")
    (tmp_path / "metadata.csv").rename(tmp_path / name)
    corpus = read_corpus(tmp_path)
    assert read(corpus) == PLAIN and corpus.layout == "ljspeech"


def test_ids_in_another_column(tmp_path: Path) -> None:
    root = write(tmp_path, rows(TEXTS, "{}"))
    with pytest.raises(UserError, match=r"column 2 names the recordings.*--fields id=2,text=1"):
        read_corpus(root)
    assert read(read_corpus(root, fields="id=2,text=1")) == PLAIN


def test_ids_that_are_absolute_paths(tmp_path: Path) -> None:
    corpus = read_corpus(write(tmp_path, rows(f"{tmp_path}/wavs/{{}}.wav", TEXTS)))
    assert read(corpus) == PLAIN and corpus.utterances[0].source == "wavs/LJ001-0001.wav"
    touch(tmp_path, "outside.wav")
    root = write(tmp_path / "corpus", [(str(tmp_path / "outside.wav"), TEXTS[0])])
    corpus = read_corpus(root)
    assert set(reasons(corpus).values()) == {Reason.AUDIO_MISSING}
    assert "the table has absolute paths" in corpus.rejected[0].message


def test_ids_that_are_there_as_written_stay(tmp_path: Path) -> None:
    touch(tmp_path, "wavs/a.wav.wav", "wavs/wavs/b.flac")
    put(tmp_path, {"metadata.csv": "a.wav|first words|first words\nwavs/b|more words|more words\n"})
    found = by_id(read_corpus(tmp_path))
    assert {i: u.source for i, u in found.items()} == {
        "a.wav": "wavs/a.wav.wav", "wavs/b": "wavs/wavs/b.flac",
    }  # fmt: skip


def test_few_texts_of_many_speakers(tmp_path: Path) -> None:
    """Each of three sentences is read by each of four speakers: both columns have few values."""
    names = [(f"{speaker}-{i}", TEXTS[i], speaker) for speaker in "abcd" for i in range(3)]
    touch(tmp_path, *(f"wavs/{name}.wav" for name, _, _ in names))
    put(tmp_path, {"metadata.csv": "".join("|".join(row) + "\n" for row in names)})
    with pytest.raises(UserError, match="either may be the text"):
        read_corpus(tmp_path)
    more = [(f"{speaker}-{i}", TEXTS[i], speaker) for speaker in "abcd" for i in range(6)]
    touch(tmp_path, *(f"wavs/{name}.wav" for name, _, _ in more))
    put(tmp_path, {"metadata.csv": "".join("|".join(row) + "\n" for row in more)})
    assert read(read_corpus(tmp_path)) == {name: (text, who) for name, text, who in more}


def test_a_table_of_numbers_and_their_words(tmp_path: Path) -> None:
    table = [("a", "24", "twenty-four"), ("b", "1923", "nineteen twenty-three")]
    touch(tmp_path, "wavs/a.wav", "wavs/b.wav")
    put(tmp_path, {"metadata.csv": "".join("|".join(row) + "\n" for row in table)})
    corpus = read_corpus(tmp_path)
    assert [u.text for u in corpus.utterances] == ["twenty-four", "nineteen twenty-three"]


def test_texts_without_spaces(tmp_path: Path) -> None:
    table = [
        ("a", "今天天气很好。", "小明"), ("b", "我们去公园散步吧。", "小红"),
        ("c", "他喜欢读书和写字。", "小明"), ("d", "明天会下雨吗？", "小红"),
    ]  # fmt: skip
    touch(tmp_path, *(f"wavs/{row[0]}.wav" for row in table))
    put(tmp_path, {"metadata.csv": "".join("|".join(row) + "\n" for row in table)})
    assert read(read_corpus(tmp_path)) == {i: (text, who) for i, text, who in table}


@needs_ljspeech
def test_the_real_ljspeech_says_nothing_new() -> None:
    corpus = read_corpus(LJSPEECH)
    assert corpus.notes == corpus.warnings == () and len(corpus.utterances) == 32


# --- folders of tables ----------------------------------------------------------------------------


def test_m_ailabs(tmp_path: Path) -> None:
    books = {
        "en_US/by_book/female/judy_bieber/dorothy": ("judy_bieber", "en-us"),
        "en_US/by_book/male/elliot_miller/hunters": ("elliot_miller", "en-us"),
        "en_US/by_book/mix/emma": ("emma", "en-us"),
        "de_DE/by_book/female/ramona_deininger/tom": ("ramona_deininger", "de"),
    }
    for n, book in enumerate(books):
        touch(tmp_path / book, f"wavs/b{n}_01.wav", f"wavs/b{n}_02.wav")
        lines = f"b{n}_01|In 1900, he said|In nineteen hundred, he said\nb{n}_02|no more|no more\n"
        put(tmp_path / book, {"metadata.csv": lines})
    corpus = read_corpus(tmp_path)
    assert corpus.layout == "ljspeech" and len(corpus.utterances) == 8 and not corpus.rejected
    found = {u.id.rpartition("/")[0]: (u.speaker, u.language) for u in corpus.utterances}
    assert found == books and "4 tables" in corpus.notes[0]
    # from any folder in between, one book included
    for start, count in (("en_US", 6), ("en_US/by_book/female", 2), ("de_DE/by_book", 2)):
        below = read_corpus(tmp_path / start)
        assert len(below.utterances) == count
        assert {(u.speaker, u.language) for u in below.utterances} <= set(books.values())
    (tom,) = {u.speaker for u in read_corpus(tmp_path / "de_DE/by_book").utterances}
    assert tom == "ramona_deininger"


def test_folders_of_speakers_with_a_table_each(tmp_path: Path) -> None:
    for name in ("anna", "ben"):
        write(tmp_path / name, rows("{}", TEXTS))
    corpus = read_corpus(tmp_path)
    assert {(u.id, u.speaker) for u in corpus.utterances} == {
        (f"{name}/{i}", name) for name in ("anna", "ben") for i in IDS
    }
    assert "2 tables" in corpus.notes[0] and "anna, ben" in corpus.notes[0]


# --- manifests ------------------------------------------------------------------------------------
