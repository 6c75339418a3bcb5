"""LibriSpeech, VCTK and MLS: readers; and the recognition of every layout."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.schema import Reason, Utterance
from ns2.pipeline.corpora.reading import LAYOUTS, audio_path, read_corpus
from tests.support.corpora_factories import (
    Clip,
    by_id,
    make_clips,
    put,
    reasons,
    touch,
    write_commonvoice,
    write_librispeech,
    write_libritts,
    write_ljspeech,
    write_manifest,
    write_mls,
    write_old_vctk,
    write_pairs,
    write_vctk,
)

CLIPS = make_clips(4)


# --- recognition -----------------------------------------------------------------------------

Writer = Callable[[Path, list[Clip]], Path]


def in_folder(name: str, write: Writer) -> Writer:
    """A corpus in a folder of that name; gives the folder above."""

    def written(root: Path, clips: list[Clip]) -> Path:
        write(root / name, clips)
        return root

    return written


FACTORIES: dict[str, Writer] = {
    "ljspeech": write_ljspeech,
    "libritts": write_libritts,
    "librispeech": write_librispeech,
    "librispeech as wav": lambda root, clips: write_librispeech(root, clips, ".wav"),
    "vctk": write_vctk,
    "vctk 0.80": write_old_vctk,
    "mls": write_mls,
    "mls as opus": lambda root, clips: write_mls(root, clips, ".opus"),
    "mls of several": in_folder("mls_german", write_mls),
    "commonvoice": write_commonvoice,
    "commonvoice as wav": lambda root, clips: write_commonvoice(root, clips, ".wav"),
    "commonvoice release": in_folder("en", write_commonvoice),
    "pairs": write_pairs,
    "pairs with .lab": lambda root, clips: write_pairs(root, clips, transcript=".lab"),
    "manifest": write_manifest,
}


@pytest.mark.parametrize("kind", FACTORIES)
def test_each_layout_is_recognised_as_itself_only(tmp_path: Path, kind: str) -> None:
    layout, path = kind.split()[0], FACTORIES[kind](tmp_path / "corpus", CLIPS)
    assert [name for name, reader in LAYOUTS.items() if reader.matches(path)] == [layout]
    corpus = read_corpus(path)
    assert corpus == read_corpus(path, layout) and corpus.layout == layout
    assert corpus.found == len(corpus.utterances) == 4
    assert {u.text.lower() for u in corpus.utterances} == {c.text.lower() for c in CLIPS}
    assert all(audio_path(corpus.root, u).is_file() for u in corpus.utterances)
    if kind not in ("mls", "mls as opus"):  # their folder's name is no language here
        assert corpus.warnings == ()


@pytest.mark.parametrize("part", ["train-clean-100", "train-clean-100/s0", "train-clean-100/s0/1"])
def test_a_part_of_librispeech_is_still_librispeech(tmp_path: Path, part: str) -> None:
    root = write_librispeech(tmp_path, CLIPS)
    whole = by_id(read_corpus(root))
    corpus = read_corpus(root / part)
    assert corpus.layout == "librispeech"
    for utterance in corpus.utterances:
        expected = whole[utterance.id]
        assert utterance.text == expected.text
        if part.count("/") < 2:
            assert utterance.speaker == expected.speaker
        if part.count("/") < 1:
            assert utterance.split == expected.split == "train"


@pytest.mark.parametrize("layout", ["librispeech", "vctk", "mls", "commonvoice"])
def test_a_named_layout_that_it_does_not_have(tmp_path: Path, layout: str) -> None:
    put(tmp_path, {"file.docx": "x", "folder/x": ""})
    for name in ("file.docx", "folder"):
        with pytest.raises(UserError):
            read_corpus(tmp_path / name, layout)


@pytest.mark.parametrize(
    ("layout", "name", "write"),
    [("vctk", "VCTK-Corpus", write_vctk), ("commonvoice", "de", write_commonvoice)],
)
def test_a_corpus_beside_others_is_pointed_at(
    tmp_path: Path, layout: str, name: str, write: Writer
) -> None:
    # a folder of several corpora is not a release of one of them
    write(tmp_path / name, CLIPS[:1])
    touch(tmp_path, "other/notes.docx")
    with pytest.raises(UserError, match=f"{name} looks like {layout}"):
        read_corpus(tmp_path)


# --- LibriSpeech -----------------------------------------------------------------------------


def test_librispeech_rows_splits_and_speakers(tmp_path: Path) -> None:
    put(tmp_path, {
        "train-other-500/20/205/20-205.trans.txt":
            "\ufeff20-205-0000 IT WAS US\r\n\r\n20-205-0001 O'ER THE  HILL\n20-205-0002\n"
            "20-205-0003 GONE\n20-205-0000 AGAIN\n",
        "dev-clean/84/1/84-1.trans.txt": "84-1-0 I\n",
        "test-other/85/1/85-1.trans.txt": b"85-1-0 CAF\xe9\n85-1-1 FINE\n",
        "SPEAKERS.TXT": "; ID |SEX| SUBSET", "README.TXT": "x",
    })  # fmt: skip
    touch(tmp_path, *(f"train-other-500/20/205/20-205-000{i}.flac" for i in (0, 1, 2, 7)))
    touch(tmp_path, "dev-clean/84/1/84-1-0.flac", "test-other/85/1/85-1-0.flac")
    touch(tmp_path, "test-other/85/1/85-1-1.wav", "test-other/85/2/no-table.flac")
    corpus = read_corpus(tmp_path)
    assert corpus.layout == "librispeech"
    assert [(u.id, u.text, u.speaker, u.split, u.language) for u in corpus.utterances] == [
        ("20-205-0000", "it was us", "20", "train", ""),
        ("20-205-0001", "o'er the  hill", "20", "train", ""),
        ("84-1-0", "i", "84", "val", ""),
        ("85-1-1", "fine", "85", "test", ""),
    ]
    assert by_id(corpus)["85-1-1"].source == "test-other/85/1/85-1-1.wav"
    assert reasons(corpus) == {
        "20-205-0000": Reason.DUPLICATE_ID,
        "20-205-0002": Reason.EMPTY_TRANSCRIPT,
        "20-205-0003": Reason.AUDIO_MISSING,
        "85-1-0": Reason.TRANSCRIPT_UNREADABLE,
    }
    assert all(
        "trans.txt:" in r.message for r in corpus.rejected if r.reason is not Reason.DUPLICATE_ID
    )
    assert corpus.warnings == (
        "audio without a row in a .trans.txt: 2 "
        "(test-other/85/2/no-table.flac, train-other-500/20/205/20-205-0007.flac)",
    )


def test_librispeech_keeps_capitals_where_a_table_has_small_letters_too(tmp_path: Path) -> None:
    put(tmp_path, {"train/1/2/1-2.trans.txt": "1-2-0 NASA\n1-2-1 He said: US\n",
                   "train/1/3/1-3.trans.txt": "1-3-0 NASA\n1-3-1 HE SAID IT\n"})  # fmt: skip
    touch(tmp_path, *(f"train/1/{c}/1-{c}-{i}.flac" for c in (2, 3) for i in (0, 1)))
    assert [u.text for u in read_corpus(tmp_path).utterances] == [
        "NASA", "He said: US", "nasa", "he said it",
    ]  # fmt: skip


def test_why_librispeech_is_put_into_small_letters() -> None:
    from ns2.pipeline.text.pronunciation import pronounce

    def phones(text: str) -> str:
        return "".join(pronounce(text, "en-us").tokens)

    # A text of several words is put into small letters anyway, one or two words are not.
    assert phones("IT IS") != phones("it is") == phones("It is")
    assert phones("IT WAS US") == phones("it was us")


def test_a_librispeech_table_that_is_no_text_stops_the_run(tmp_path: Path) -> None:
    put(tmp_path, {"train/1/2/1-2.trans.txt": "1-2-0 A\n".encode("utf-16")})
    touch(tmp_path, "train/1/2/1-2-0.flac")
    with pytest.raises(UserError, match="UTF-16"):
        read_corpus(tmp_path)


# --- VCTK ------------------------------------------------------------------------------------


def test_vctk_takes_one_microphone(tmp_path: Path) -> None:
    root = write_vctk(tmp_path, [dataclasses.replace(c, speaker="p225") for c in CLIPS[:2]])
    trimmed = "wav48_silence_trimmed"
    (root / trimmed / "p225/clip-0001_mic1.flac").unlink()
    put(root, {"txt/p280/p280_001.txt": "only mic1", "txt/p362/p362_003.txt": "no audio",
               "txt/s5/s5_001.txt": "\n", "txt/p226/p226_001.txt": "a link to nothing",
               "speaker-info.txt": "ID AGE"})  # fmt: skip
    touch(root, *(f"{trimmed}/{name}" for name in (
        "p280/p280_001_mic1.flac", "p315/p315_001_mic1.flac", "p315/p315_002_mic1.flac",
        "s5/s5_001_mic1.flac", "s5/s5_001_mic2.flac", "p226/p226_001_mic2.flac", "log.txt",
    )))  # fmt: skip
    (root / trimmed / "p226/p226_001_mic1.flac").symlink_to(root / "nowhere.flac")
    corpus = read_corpus(root)
    assert corpus.layout == "vctk"
    assert [(u.id, u.source, u.speaker, u.split, u.language) for u in corpus.utterances] == [
        ("clip-0000", f"{trimmed}/p225/clip-0000_mic1.flac", "p225", "", ""),
        ("clip-0001", f"{trimmed}/p225/clip-0001_mic2.flac", "p225", "", ""),
        ("p226_001", f"{trimmed}/p226/p226_001_mic2.flac", "p226", "", ""),
        ("p280_001", f"{trimmed}/p280/p280_001_mic1.flac", "p280", "", ""),
    ]
    assert reasons(corpus) == {
        "p315_001": Reason.NO_TRANSCRIPT,
        "p315_002": Reason.NO_TRANSCRIPT,
        "s5_001": Reason.EMPTY_TRANSCRIPT,
    }
    assert corpus.warnings == ("texts without audio: 1 (txt/p362/p362_003.txt)",)


def test_the_older_vctk_and_both_at_once(tmp_path: Path) -> None:
    root = write_old_vctk(tmp_path, CLIPS)
    put(root, {"wav48/p315/p315_001.wav": ""})
    corpus = read_corpus(root)
    assert [u.source for u in corpus.utterances] == sorted(
        (f"wav48/{c.speaker}/{c.id}.wav" for c in CLIPS), key=lambda source: source[-8:]
    )
    assert reasons(corpus) == {"p315_001": Reason.NO_TRANSCRIPT} and corpus.warnings == ()

    write_vctk(root, CLIPS[:1])
    corpus = read_corpus(root)
    assert [u.source for u in corpus.utterances] == ["wav48_silence_trimmed/s0/clip-0000_mic1.flac"]
    assert corpus.warnings[0] == "wav48/ is not read, because wav48_silence_trimmed/ exists"
    assert "texts without audio: 3" in corpus.warnings[1]


# --- MLS -------------------------------------------------------------------------------------


def test_mls_rows_splits_and_language(tmp_path: Path) -> None:
    root = put(tmp_path / "mls_german_opus", {
        "train/transcripts.txt":
            "12_34_000000\tschöne größe\r\n12_34_000001\t\n12_34_000002\tist weg\n"
            "no tab at all\n../34_5\tböse\n12_34_000000\tnoch einmal\n",
        "dev/transcripts.txt": "\ufeff56_78_000000\tnur dev\n",
        "test/transcripts.txt": b"9_9_000000\tsch\xf6n\n",
        "train/limited_supervision/9hr/handles.txt": "12_34_000000", "metainfo.txt": "x",
    })  # fmt: skip
    touch(root, *(f"train/audio/12/34/12_34_00000{i}.opus" for i in (0, 1, 5)))
    touch(root, "dev/audio/56/78/56_78_000000.opus", "test/audio/9/9/9_9_000000.opus")
    corpus = read_corpus(root)
    assert corpus.utterances == (
        Utterance(id="12_34_000000", source="train/audio/12/34/12_34_000000.opus",
                  text="schöne größe", speaker="12", language="de", split="train"),
        Utterance(id="56_78_000000", source="dev/audio/56/78/56_78_000000.opus",
                  text="nur dev", speaker="56", language="de", split="val"),
    )  # fmt: skip
    assert reasons(corpus) == {
        "12_34_000000": Reason.DUPLICATE_ID,
        "12_34_000001": Reason.EMPTY_TRANSCRIPT,
        "12_34_000002": Reason.AUDIO_MISSING,
        "9_9_000000": Reason.TRANSCRIPT_UNREADABLE,
        "train/transcripts.txt:4": Reason.BAD_ROW,
        "train/transcripts.txt:5": Reason.BAD_ROW,
    }
    assert corpus.found == 8
    assert corpus.warnings == (
        "audio without a row in transcripts.txt: 1 (train/audio/12/34/12_34_000005.opus)",
    )


def test_several_languages_of_mls(tmp_path: Path) -> None:
    for name in ("mls_polish", "mls_portuguese_opus", "mls_klingon"):
        clip = dataclasses.replace(CLIPS[0], speaker=name[-1])
        write_mls(tmp_path / name, [clip])
    put(tmp_path, {"mls_lm_polish/data.txt": "x"})
    corpus = read_corpus(tmp_path)
    assert {u.source.split("/")[0]: u.language for u in corpus.utterances} == {
        "mls_klingon": "", "mls_polish": "pl", "mls_portuguese_opus": "pt-br",
    }  # fmt: skip
    (warning,) = corpus.warnings
    assert "mls_klingon" in warning and "--language" in warning


def test_an_mls_table_in_which_nothing_is_right(tmp_path: Path) -> None:
    put(tmp_path, {"train/transcripts.txt": "1_2_3 with a blank\n", "train/audio/x": ""})
    with pytest.raises(UserError, match=r"a tab.*train/transcripts\.txt:1"):
        read_corpus(tmp_path)
