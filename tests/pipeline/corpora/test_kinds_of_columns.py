"""Columns that are neither text nor speaker, folders as speakers, and texts as they are spoken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.schema import Reason, Utterance
from ns2.pipeline.corpora.kinds import kind_of
from ns2.pipeline.corpora.reading import read_corpus
from ns2.pipeline.stages.tokens import given_pronunciation
from tests.pipeline.corpora.test_odd_manifests import manifest
from tests.pipeline.corpora.test_tables import (
    IDS,
    PLAIN,
    SPEAKERS,
    SPOKEN,
    TEXTS,
    VOICED,
    Row,
    read,
    rows,
    write,
)
from tests.support.corpora_factories import put, reasons, touch

SPLITS = ("train", "train", "val", "train", "test", "dev")
SPLITS_READ = ("train", "train", "val", "train", "test", "val")


# --- two columns ----------------------------------------------------------------------------------

NO_TEXT: dict[str, tuple[str, ...] | str] = {
    "numbers": tuple("012345"),
    "few numbers": tuple("010110"),
    "names": SPEAKERS,
    "names of two words": ("Anna May", "Ben", "Anna May", "Ben", "Ben", "Ben"),
    "files": tuple(f"wavs/{i}.wav" for i in IDS),
    "names of files": tuple(f"{i}.flac" for i in IDS),
    "folders": tuple(f"data/{i}" for i in IDS),
    "splits": SPLITS,
    "flags": ("True", "False", "True", "True", "True", "False"),
    "languages": ("deu", "eng", "deu", "eng", "deu", "deu"),
    "dates": tuple(f"2020-01-0{i}" for i in range(1, 7)),
    "types": "wav",
    "arpabet": ("HH AH0 L OW1", "W ER1 L D", "K AE1 T", "{D AO1 G}", "B ER1 D sp", "F IH1 SH"),
    "phone ids": ("12 5 33", "8 9", "1 2 3", "4,5,6", "7 7", "1 9"),
    "phones": ("h ə l oʊ", "w ɜː l d", "k æ t", "d ɔ ɡ", "b ɜː d", "f ɪ ʃ"),
}


@pytest.mark.parametrize("name", NO_TEXT)
def test_two_columns_without_a_text_are_refused(tmp_path: Path, name: str) -> None:
    root = write(tmp_path, rows("{}", NO_TEXT[name]))
    with pytest.raises(UserError, match="no column that looks like a text") as error:
        read_corpus(root)
    assert "column 2: " in str(error.value) and "--fields id=1,text=2" in str(error.value)
    table = [line.split("|")[1] for line in (root / "metadata.csv").read_text().splitlines()]
    assert [u.text for u in read_corpus(root, fields="text=2").utterances] == table


def test_phones_are_said_to_be_read_from_manifests(tmp_path: Path) -> None:
    root = write(tmp_path, rows("{}", NO_TEXT["phones"]))
    with pytest.raises(UserError, match="phones in IPA, as 'h ə l oʊ'") as error:
        read_corpus(root)
    assert "manifests: write one, with audio and phonemes in each row" in str(error.value)
    with pytest.raises(UserError, match="phonemes is read from manifests"):
        read_corpus(root, fields="phonemes=2")
    corpus = read_corpus(write(tmp_path, rows("{}", TEXTS, NO_TEXT["phones"])))
    assert read(corpus) == PLAIN and "column 3 is not used" in corpus.notes[0]


def test_numbers_in_front_of_texts_are_not_their_other_form(tmp_path: Path) -> None:
    corpus = read_corpus(write(tmp_path, rows("{}", tuple("012345"), TEXTS)))
    assert read(corpus) == PLAIN and "column 2 is not used (6 different values" in corpus.notes[0]


def test_starts_and_ends_of_pieces_are_refused(tmp_path: Path) -> None:
    starts = tuple(f"{n}.5" for n in range(6))
    ends = tuple(f"{n}.75" for n in range(6))
    with pytest.raises(UserError, match="the start and end of pieces"):
        read_corpus(write(tmp_path, rows("{}", starts, ends, TEXTS)))
    row = {"audio": "a.wav", "text": "Hello.", "start": 0.5, "end": 1.5}
    corpus = read_corpus(manifest(tmp_path / "m", "m.jsonl", json.dumps(row)))
    assert any("start and end tell pieces" in warning for warning in corpus.warnings)


def test_fields_in_quotation_marks(tmp_path: Path) -> None:
    said = tuple(f'"{text}"' for text in TEXTS)
    assert read(read_corpus(write(tmp_path, rows('"{}"', said)))) == PLAIN
    literal = read(read_corpus(write(tmp_path, rows("{}", said))))
    assert literal == {i: (text, "LJ") for i, text in zip(IDS, said, strict=True)}


def test_different_words_are_texts_and_that_is_said(tmp_path: Path) -> None:
    corpus = read_corpus(write(tmp_path, rows("{}", ("cat", "dog", "cow", "hen", "pig", "bee"))))
    assert [u.text for u in corpus.utterances] == ["cat", "dog", "cow", "hen", "pig", "bee"]
    assert "column 2 is taken as the text (6 different values, 1.0 words" in corpus.notes[0]


# --- more columns ---------------------------------------------------------------------------------

Expected = tuple[dict[str, tuple[str, str]], tuple[str, ...], str]
NONE = ("",) * len(IDS)
THREE: dict[str, tuple[list[Row], Expected]] = {
    "a split": (rows("{}", TEXTS, SPLITS), (PLAIN, SPLITS_READ, "column 3 as the split")),
    "a split in front": (rows("{}", SPLITS, TEXTS), (PLAIN, SPLITS_READ, "column 2 as the split")),
    "one split": (rows("{}", TEXTS, "train"), (PLAIN, ("train",) * 6, "column 3 as the split")),
    "flags": (
        rows("{}", TEXTS, ("True", "False", "True", "True", "True", "False")),
        (PLAIN, NONE, "column 3 is not used (2 different values, flags, as 'True')"),
    ),
    "types of files": (
        rows("{}", TEXTS, "wav"),
        (PLAIN, NONE, "column 3 is not used (1 different values, types of files, as 'wav')"),
    ),
    "dates": (
        rows("{}", TEXTS, ("2020-01-02", "2020-01-03") * 3), (PLAIN, NONE, "dates, as"),
    ),
    "rates": (rows("{}", TEXTS, "22.05 kHz"), (PLAIN, NONE, "measures, as")),
    "a speaker and a split": (
        rows("{}", TEXTS, SPEAKERS, SPLITS),
        (VOICED, SPLITS_READ, "column 3 as the speaker (2 of them), column 4 as the split"),
    ),
    "a speaker and a type": (
        rows("{}", SPEAKERS, TEXTS, "wav"), (VOICED, NONE, "column 4 is not used (1 different"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", THREE)
def test_columns_that_are_no_speakers(tmp_path: Path, name: str) -> None:
    table, (expected, splits, note) = THREE[name]
    corpus = read_corpus(write(tmp_path, table))
    assert read(corpus) == expected and note in corpus.notes[0]
    assert tuple(u.split for u in corpus.utterances) == splits


@pytest.mark.parametrize(
    ("table", "cause"),
    [
        (rows("{}", TEXTS, ("deu", "eng") * 3), "codes of languages"),
        (rows("{}", TEXTS, "de"), "language=3 reads codes"),
        (rows("{}", ("en-us", "de") * 3, TEXTS), "language=2 reads codes"),
        (rows("{}", SPEAKERS, SPLITS), "no column that looks like a text"),
        (rows("{}", SPEAKERS, "0"), "no column that looks like a text"),
        (rows("{}", SPEAKERS, ("deu", "eng") * 3, TEXTS), "more than one column"),
        (rows("{}", TEXTS, SPLITS, SPLITS[::-1]), "more than one column"),
    ],
)
def test_columns_that_are_open(tmp_path: Path, table: list[Row], cause: str) -> None:
    with pytest.raises(UserError, match=cause):
        read_corpus(write(tmp_path, table))


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (("train", "Dev"), "splits"), (("True", "false"), "flags"), (("F", "m"), "the sex"),
        (("DE", "en-us"), "codes of languages"), (("anna", "de"), ""), (("train", "anna"), ""),
        (("German", "en"), "codes of languages"), (("happy", "neutral"), "emotions"),
        (("happy", "anna"), ""), (("a/b.wav", "c.mp3"), "paths of files"),
        (("he said a/b",), ""), ((), ""),
        (("h ə l oʊ", "w ɜː l d"), "phones in IPA"), (("k a s a", "ˈɛ s t a"), "phones in IPA"),
        (("həˈloʊ wˈɜːld", "ðə kˈæt"), "phones in IPA"), (("ɖe wòɖo ŋku le eŋu",), ""),
        (("k a s a", "p e r o"), ""), (("Tôi là ở đó",), ""), (("Ø er en ø", "å æ"), ""),
    ],
)  # fmt: skip
def test_kinds(values: tuple[str, ...], kind: str) -> None:
    assert kind_of(values) == kind


# --- folders of ids -------------------------------------------------------------------------------


def in_folders(root: Path, names: dict[str, str]) -> Path:
    touch(root, *(f"wavs/{name}.wav" for name in names))
    return put(root, {"metadata.csv": "".join(f"{i}|{text}\n" for i, text in names.items())})


FOLDERS = {f"{who}/a{n}": text for n, text in enumerate(TEXTS) for who in ("anna", "ben")}


def test_folders_of_ids_are_speakers(tmp_path: Path) -> None:
    corpus = read_corpus(in_folders(tmp_path, FOLDERS))
    assert read(corpus) == {i: (text, i.split("/")[0]) for i, text in FOLDERS.items()}
    assert "the folders in front of the ids are taken: 2 (anna, ben)" in corpus.notes[0]


def test_folders_of_ids_are_splits(tmp_path: Path) -> None:
    names = {f"{part}/a{n}": text for n, text in enumerate(TEXTS) for part in ("train", "dev")}
    corpus = read_corpus(in_folders(tmp_path, names))
    assert {u.id: (u.speaker, u.split) for u in corpus.utterances} == {
        i: ("LJ", {"train": "train", "dev": "val"}[i.split("/")[0]]) for i in names
    }
    assert "taken as the split: 2 (dev, train)" in corpus.notes[0]


@pytest.mark.parametrize(
    "names",
    [
        {f"clips/a{n}": text for n, text in enumerate(TEXTS)},
        {f"x{n}/a": text for n, text in enumerate(TEXTS)},
        {f"{who}/1/a{n}": text for n, text in enumerate(TEXTS) for who in ("anna", "ben")},
        {**FOLDERS, "alone": TEXTS[0]},
        {f"{code}/a{n}": text for n, text in enumerate(TEXTS) for code in ("de", "en")},
    ],
)
def test_folders_that_may_be_something_else(tmp_path: Path, names: dict[str, str]) -> None:
    corpus = read_corpus(in_folders(tmp_path, names))
    assert {u.speaker for u in corpus.utterances} == {"LJ"} and len(corpus.notes) == 1
    assert "may not be speakers" in corpus.notes[0] and "--fields speaker=3" in corpus.notes[0]


def test_a_column_of_speakers_goes_before_folders(tmp_path: Path) -> None:
    touch(tmp_path, *(f"wavs/{name}.wav" for name in FOLDERS))
    table = "".join(f"{i}|{text}|{'xy'[n % 2]}\n" for n, (i, text) in enumerate(FOLDERS.items()))
    corpus = read_corpus(put(tmp_path, {"metadata.csv": table}))
    assert {u.speaker for u in corpus.utterances} == {"x", "y"} and len(corpus.notes) == 1


# --- names of normalised texts --------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        ("id", "text", "text_norm"),
        ("ID", "Transcription", "Normalized Transcription"),
        ("id", "text", "normalized_text"),
        ("id", "transcript", "cleaned_transcript"),
        ("id", "sentence", "sentence normalised"),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_a_header_of_the_normalised_text(
    tmp_path: Path, header: tuple[str, str, str], turned: bool
) -> None:
    spoken = ("", *SPOKEN[1:])  # where it is blank the text as written is taken
    table = [header, *rows("{}", TEXTS, spoken)]
    if turned:
        table = [(key, second, first) for key, first, second in table]
    corpus = read_corpus(write(tmp_path, table))
    texts = (TEXTS[0], *SPOKEN[1:])
    assert read(corpus) == {i: (t, "LJ") for i, t in zip(IDS, texts, strict=True)}
    named = read_corpus(tmp_path, fields=f"text={header[1]}")
    assert read(named) == PLAIN


@pytest.mark.parametrize("name", ["normalized_text", "text_norm", "clean_text"])
@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_a_normalised_text_in_a_manifest(tmp_path: Path, name: str, suffix: str) -> None:
    values = [("a.wav", "5 km", "five kilometers"), ("b.wav", "raw", ""), ("c.wav", "", "spoken")]
    if suffix == "csv":
        content = f"audio,text,{name}\n" + "".join(",".join(row) + "\n" for row in values)
    else:
        content = "".join(json.dumps({"audio": a, "text": t, name: n}) + "\n" for a, t, n in values)
    path = manifest(tmp_path, f"m.{suffix}", content)
    corpus = read_corpus(path)
    assert [u.text for u in corpus.utterances] == ["five kilometers", "raw", "spoken"]
    assert f"{name} of m.{suffix} is taken as the text" in corpus.notes[0]
    assert not any("not read" in warning for warning in corpus.warnings)
    raw = read_corpus(path, fields="text=text")
    assert [u.text for u in raw.utterances] == ["5 km", "raw"]
    assert any(name in warning for warning in raw.warnings)


def test_a_flag_is_no_normalised_text(tmp_path: Path) -> None:
    path = manifest(
        tmp_path, "m.jsonl", json.dumps({"audio": "a.wav", "text": "one", "normalized": True})
    )
    assert [u.text for u in read_corpus(path).utterances] == ["one"]


# --- separators, speakers, phonemes, m4a ----------------------------------------------------------


@pytest.mark.parametrize("at", [0, 3, 5])
def test_a_bar_within_a_text_of_a_table_with_tabs(tmp_path: Path, at: int) -> None:
    texts = [f"{text} | more" if n == at else text for n, text in enumerate(TEXTS)]
    corpus = read_corpus(write(tmp_path, rows("{}", texts), "\t"))
    assert read(corpus) == {i: (t, "LJ") for i, t in zip(IDS, texts, strict=True)}


def test_tabs_within_texts_of_a_table_with_bars(tmp_path: Path) -> None:
    texts = [f"{text}\tmore" for text in TEXTS]
    corpus = read_corpus(write(tmp_path, rows("{}", texts), "|"))
    assert [u.text for u in corpus.utterances] == texts


@pytest.mark.parametrize("written", ["1", "1.0"])
def test_a_number_as_speaker_is_the_same_everywhere(tmp_path: Path, written: str) -> None:
    table = write(tmp_path / "table", rows("{}", TEXTS, ("2", written) * 3))
    path = manifest(tmp_path, "m.csv", f"audio,text,speaker\na.wav,one,{written}\n")
    found = {u.speaker for u in read_corpus(table, fields="text=2,speaker=3").utterances}
    assert found == {"1", "2"} and read_corpus(path).utterances[0].speaker == "1"


@pytest.mark.parametrize(
    ("phonemes", "text"),
    [
        ("h ə l ˈoʊ", "həlˈoʊ"),
        (["h", "ˈaɪ", "|", "ɹ", "ˈɛ", "d"], "hˈaɪ ɹˈɛd"),
        ("<sil> h ˈaɪ , ɹ ˈɛ d . <sil>", "hˈaɪ, ɹˈɛd."),
    ],
)
@pytest.mark.parametrize("blank", [None, "", "absent"])
def test_phonemes_without_a_text(
    tmp_path: Path, phonemes: str | list[str], text: str, blank: str | None
) -> None:
    row = {"audio": "a.wav", "phonemes": phonemes, "text": blank}
    if blank == "absent":
        del row["text"]
    (found,) = read_corpus(manifest(tmp_path, "m.jsonl", json.dumps(row))).utterances
    assert found.text == text
    words = given_pronunciation(found.phonemes, found.text).words
    assert [word for word, _, _ in words] == text.split()


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_a_table_of_phonemes(tmp_path: Path, suffix: str) -> None:
    part = {"csv": ",", "tsv": "\t"}[suffix]
    lines = f"audio{part}phonemes\na.wav{part}h ˈaɪ\nb.wav{part}\n"
    corpus = read_corpus(manifest(tmp_path, f"m.{suffix}", lines))
    assert [(u.text, u.phonemes) for u in corpus.utterances] == [("hˈaɪ", ("h", "ˈaɪ"))]
    assert reasons(corpus) == {"b": Reason.NO_TRANSCRIPT}


def test_a_row_with_neither_text_nor_phonemes(tmp_path: Path) -> None:
    lines = [{"audio": "a.wav", "text": "one"}, {"audio": "b.wav", "phonemes": "<sil>"},
             {"audio": "c.wav", "phonemes": []}]  # fmt: skip
    path = manifest(tmp_path, "m.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    assert reasons(read_corpus(path)) == dict.fromkeys("bc", Reason.NO_TRANSCRIPT)


def test_m4a_is_named_with_what_to_do(tmp_path: Path) -> None:
    touch(tmp_path, "a.m4a", "b.wav", "c.m4a")
    put(tmp_path, {"a.txt": "one", "b.txt": "two", "c.txt": "three"})
    corpus = read_corpus(tmp_path)
    assert len(corpus.utterances) == 3
    (warning,) = corpus.warnings
    assert warning.startswith("2 recordings are .m4a, which is not decoded")
    assert "ffmpeg -i" in warning
    touch(tmp_path, "a.flac", "c.flac")
    again = read_corpus(tmp_path)
    assert not again.warnings and again.utterances[0] == Utterance(
        id="a", source="a.flac", text="one", speaker="default"
    )
