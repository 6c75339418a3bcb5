"""Common Voice: its tables, splits and locales."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.schema import Reason
from ns2.pipeline.corpora.layouts import commonvoice, mls
from ns2.pipeline.corpora.layouts.commonvoice import voice_of
from ns2.pipeline.corpora.reading import read_corpus
from ns2.pipeline.text.engine import languages
from tests.support.corpora_factories import (
    COMMON_VOICE_COLUMNS,
    by_id,
    make_clips,
    put,
    reasons,
    touch,
)

CLIPS = make_clips(4)


def table(*rows: Iterable[str], columns: Iterable[str] = COMMON_VOICE_COLUMNS) -> str:
    return "".join("\t".join(row) + "\n" for row in (columns, *rows))


def row(client: str, path: str, sentence: str, locale: str = "de") -> list[str]:
    known = {"client_id": client, "path": path, "sentence": sentence, "locale": locale}
    return [known.get(column, "2") for column in COMMON_VOICE_COLUMNS]


def test_common_voice_tables_and_splits(tmp_path: Path) -> None:
    train = [row("ann", "a1.mp3", 'Er sagte: "Nein'), row("bob", "b1.mp3", "Zwei")]
    dev, test = [row("cid", "c1.mp3", "Drei", "sv-SE")], [row("dee", "d1.mp3", "Vier", "en")]
    more = [row("ann", "a2.mp3", "Fünf"), row("cid", "c2.mp3", "Sechs"),
            row("dee", "d2.mp3", "Sieben"), row("eve", "e1.mp3", "Acht", "")]  # fmt: skip
    root = put(tmp_path / "de", {
        "train.tsv": table(*train), "dev.tsv": table(*dev), "test.tsv": table(*test),
        "validated.tsv": table(*train, *dev, *test, *more),
        "other.tsv": table(row("fay", "f1.mp3", "Neun")),
        "invalidated.tsv": table(row("gus", "g1.mp3", "Zehn")),
        "reported.tsv": "sentence\nx\n",
    })  # fmt: skip
    touch(root, *(f"clips/{name}.mp3" for name in (
        "a1", "a2", "b1", "c1", "c2", "d1", "d2", "e1", "f1", "g1", "stray",
    )))  # fmt: skip
    corpus = read_corpus(root)
    assert corpus.layout == "commonvoice" and corpus.rejected == ()
    assert {u.id: (u.speaker, u.split, u.language) for u in corpus.utterances} == {
        "a1": ("ann", "train", "de"),
        "b1": ("bob", "train", "de"),
        "c1": ("cid", "val", "sv"),
        "d1": ("dee", "test", "en-us"),
        "a2": ("ann", "train", "de"),
        "c2": ("cid", "val", "de"),  # no speaker is in two splits, as the corpus has it
        "d2": ("dee", "test", "de"),
        "e1": ("eve", "train", "de"),  # the folder's name stands for the locale
    }
    assert by_id(corpus)["a1"].text == 'Er sagte: "Nein'
    assert corpus.warnings == ("audio without a row in any table: 1 (clips/stray.mp3)",)

    (root / "validated.tsv").unlink()
    splits = {u.id: u.split for u in read_corpus(root).utterances}
    assert splits == {"a1": "train", "b1": "train", "c1": "val", "d1": "test"}

    put(root, {"validated.tsv": table(*train, *more)})
    for name in ("train.tsv", "dev.tsv", "test.tsv"):
        (root / name).unlink()
    splits = {u.id: u.split for u in read_corpus(root).utterances}
    assert splits == dict.fromkeys(("a1", "b1", "a2", "c2", "d2", "e1"), "")


def test_common_voice_rows_that_go_wrong(tmp_path: Path) -> None:
    good = row("ann", "a.mp3", "Eins")
    bad = [
        row("ann", "gone.mp3", "Zwei"),
        row("ann", "blank.mp3", " "),
        row("ann", "../a.mp3", "Drei"),
        row("ann", "", "Vier"),
        row("ann", "tab.mp3", "Fünf\tSechs"),
        row("ann", "a.mp3", "schon da"),
    ]
    latin = "\t".join(row("ann", "latin.mp3", "schön")).encode("latin-1") + b"\n"
    root = put(tmp_path / "corpus", {
        "train.tsv": table(good).encode() + latin,
        "validated.tsv": table(good, *bad).encode() + latin + b"\n \n",
    })  # fmt: skip
    touch(root, *(f"clips/{name}.mp3" for name in ("a", "blank", "tab", "latin")))
    corpus = read_corpus(root)
    assert [u.id for u in corpus.utterances] == ["a"]
    assert reasons(corpus) == {
        "gone": Reason.AUDIO_MISSING,
        "blank": Reason.EMPTY_TRANSCRIPT,
        "validated.tsv:5": Reason.BAD_ROW,
        "validated.tsv:6": Reason.BAD_ROW,
        "tab": Reason.BAD_ROW,
        "latin": Reason.TRANSCRIPT_UNREADABLE,
    }
    messages = {r.id: r.message for r in corpus.rejected}
    assert messages["latin"].startswith("train.tsv:3: ")
    assert "14 fields, but the first line names 13" in messages["tab"]

    put(root, {"train.tsv": table(good, good, columns=COMMON_VOICE_COLUMNS)})
    (root / "validated.tsv").unlink()
    assert reasons(read_corpus(root)) == {"a": Reason.DUPLICATE_ID}


def test_common_voice_tables_that_are_no_tables(tmp_path: Path) -> None:
    touch(tmp_path, "clips/a.mp3")
    put(tmp_path, {"train.tsv": "client_id\tpath\ttext\nann\ta.mp3\tEins\n"})
    with pytest.raises(UserError, match=r"train\.tsv: .* lacks sentence"):
        read_corpus(tmp_path)
    put(tmp_path, {"train.tsv": "client_id,path,sentence\nann,a.mp3,Eins\n"})
    with pytest.raises(UserError, match="lacks client_id and path and sentence"):
        read_corpus(tmp_path)
    put(tmp_path, {"train.tsv": "client_id\tpath\tsentence\nann\ta.mp3\n"})
    with pytest.raises(UserError, match="2 fields, but the first line names 3"):
        read_corpus(tmp_path)


def test_a_release_of_common_voice_and_clips_that_were_converted(tmp_path: Path) -> None:
    columns = ("client_id", "path", "sentence")  # before release 5.0 no locale
    for locale, suffix in (("pt", ".mp3"), ("zh-TW", ".wav"), ("corpus", ".flac")):
        text = table(("ann", f"{locale}_1.mp3", "x"), ("", f"{locale}_2", "y"), columns=columns)
        put(tmp_path, {f"{locale}/validated.tsv": text})
        touch(tmp_path, *(f"{locale}/clips/{locale}_{i}{suffix}" for i in (1, 2)))
    corpus = read_corpus(tmp_path)
    assert {u.id: (u.source, u.speaker, u.language) for u in corpus.utterances} == {
        "pt_1": ("pt/clips/pt_1.mp3", "ann", "pt-br"),
        "pt_2": ("pt/clips/pt_2.mp3", "default", "pt-br"),
        "zh-TW_1": ("zh-TW/clips/zh-TW_1.wav", "ann", "cmn"),
        "zh-TW_2": ("zh-TW/clips/zh-TW_2.wav", "default", "cmn"),
        "corpus_1": ("corpus/clips/corpus_1.flac", "ann", ""),
        "corpus_2": ("corpus/clips/corpus_2.flac", "default", ""),
    }
    assert corpus.warnings == ("2 rows name no locale; --language of the run is used",)


def test_voices_of_locales_exist() -> None:
    locales = (
        "ar", "be", "bg", "ca", "cs", "cy", "da", "de", "el", "en", "eo", "es", "et", "eu", "fa",
        "fi", "fr", "ga-IE", "he", "hi", "hu", "hy-AM", "id", "it", "ja", "ka", "kmr", "ko", "lt",
        "lv", "mk", "ne-NP", "nl", "pa-IN", "pl", "pt", "ro", "ru", "sk", "sv-SE", "ta", "th",
        "tr", "uk", "ur", "vi", "yue", "zh-CN", "zh-HK", "zh-TW",
    )  # fmt: skip
    voices = {locale: voice_of(locale) for locale in locales}
    assert {voice for voice in voices.values() if voice not in languages()} == set()
    assert {*commonvoice.VOICES.values(), *mls.VOICES.values()} <= set(languages())
    assert voice_of("gl") == "gl"  # espeak-ng has none: rejected as such, not read as another
