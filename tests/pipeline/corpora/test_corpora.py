"""Corpus readers: every layout, and what goes wrong in each."""

import json
import os
import unicodedata
from pathlib import Path

import pytest

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.schema import Reason, make_key
from ns2.pipeline.corpora.reading import LAYOUTS, audio_path, read_corpus
from tests.support.corpora_factories import (
    Clip,
    by_id,
    make_clips,
    put,
    reasons,
    touch,
    write_libritts,
    write_ljspeech,
    write_manifest,
    write_pairs,
)
from tests.support.factories import LJSPEECH, needs_ljspeech, tone

CLIPS = make_clips(4)


# --- each layout, recognised and named -------------------------------------------------------


@pytest.mark.parametrize(
    ("layout", "write"),
    [
        ("ljspeech", write_ljspeech),
        ("libritts", write_libritts),
        ("pairs", write_pairs),
        ("manifest", write_manifest),
    ],
)
@pytest.mark.parametrize("named", [False, True])
def test_layout(tmp_path, layout, write, named):
    path = write(tmp_path / "corpus", CLIPS)
    corpus = read_corpus(path, layout if named else None)
    assert corpus.layout == layout
    assert [u.text for u in corpus.utterances] == [
        c.text for c in sorted(CLIPS, key=_order(layout))
    ]
    assert corpus.rejected == () and corpus.warnings == () and corpus.found == 4
    for utterance in corpus.utterances:
        assert audio_path(corpus.root, utterance).is_file()
        assert not utterance.source.startswith("/")


def _order(layout):
    return lambda clip: (clip.speaker, clip.id) if layout == "pairs" else clip.id


@needs_ljspeech
def test_the_real_ljspeech():
    corpus = read_corpus(LJSPEECH)
    assert corpus.layout == "ljspeech" and len(corpus.utterances) == 32 and not corpus.warnings
    utterance = by_id(corpus)["LJ001-0002"]
    assert utterance.text == "in being comparatively modern."
    assert (utterance.speaker, utterance.language, utterance.split) == ("LJ", "", "")
    assert utterance.source == "wavs/LJ001-0002.wav"


def test_the_result_does_not_depend_on_the_order_of_the_file_system(tmp_path):
    a = write_pairs(tmp_path / "a", CLIPS)
    b = write_pairs(tmp_path / "b", CLIPS[::-1])
    assert read_corpus(a).utterances == read_corpus(b).utterances
    ids = [u.id for u in read_corpus(a).utterances]
    assert ids == sorted(ids)


# --- recognition -----------------------------------------------------------------------------


def test_errors_of_recognition_say_what_to_do(tmp_path):
    with pytest.raises(UserError, match="no such file or folder"):
        read_corpus(tmp_path / "nowhere")
    with pytest.raises(UserError, match="did you mean ljspeech"):
        read_corpus(tmp_path, "ljspech")
    with pytest.raises(UserError, match="empty folder"):
        read_corpus(tmp_path)
    touch(tmp_path, "a.wav", "b.wav")
    with pytest.raises(UserError) as error:
        read_corpus(tmp_path)
    for name, reader in LAYOUTS.items():
        assert name in str(error.value) and reader.looks_like in str(error.value)
    assert "--layout" in str(error.value)


def test_a_file_that_is_no_manifest(tmp_path):
    put(tmp_path, {"notes.docx": "x"})
    with pytest.raises(UserError, match="--layout"):
        read_corpus(tmp_path / "notes.docx")


def test_a_corpus_one_level_deeper_is_pointed_at(tmp_path):
    write_ljspeech(tmp_path / "LJSpeech-1.1", CLIPS[:1])
    with pytest.raises(UserError, match=r"LJSpeech-1\.1 looks like ljspeech"):
        read_corpus(tmp_path)


def test_two_layouts_at_once_have_to_be_told_apart(tmp_path):
    write_ljspeech(tmp_path, CLIPS)
    put(tmp_path, {"wavs/clip-0001.lab": "words"})
    with pytest.raises(UserError, match="--layout ljspeech or --layout pairs"):
        read_corpus(tmp_path)
    assert len(read_corpus(tmp_path, "ljspeech").utterances) == 4
    assert reasons(read_corpus(tmp_path, "pairs")) == {
        f"wavs/clip-000{i}": Reason.NO_TRANSCRIPT for i in (0, 2, 3)
    }


@pytest.mark.parametrize("layout", ["ljspeech", "libritts", "pairs", "manifest"])
def test_nothing_in_it(tmp_path, layout):
    put(tmp_path, {"metadata.csv": "\n", "wavs/readme": "", "manifest.jsonl": "\n"})
    with pytest.raises(UserError, match="defines no utterance"):
        read_corpus(tmp_path, layout)


@pytest.mark.parametrize("layout", ["ljspeech", "libritts", "pairs", "manifest"])
def test_a_named_layout_that_it_does_not_have(tmp_path, layout):
    put(tmp_path, {"file.docx": "x", "folder/x": ""})
    with pytest.raises(UserError):
        read_corpus(tmp_path / "folder", layout)
    with pytest.raises(UserError):
        read_corpus(tmp_path / "file.docx", layout)


# --- LJSpeech --------------------------------------------------------------------------------


def test_ljspeech_table(tmp_path):
    table = (
        "\ufeffa|Dr. A|Doctor A\r\n"
        'b|He said "no, never"|\r\n'
        "\r\n"
        'c|"quoted|"quoted\r\n'
        "d|only two\r\n"
        "e| |\r\n"
        "f|gone|gone\r\n"
        "g|a|b|c\r\n"
        "h\r\n"
        "|no id|no id\r\n"
        "i|a folder\r\n"
        "a|again|again\r\n"
        "j|\u2028line\x85separators stay in one row|\r\n"
    )
    put(tmp_path, {"metadata.csv": table})
    touch(tmp_path, *(f"wavs/{name}.wav" for name in "abcegj"), "wavs/d.FLAC", "wavs/extra.wav")
    (tmp_path / "wavs/i.wav").mkdir()
    corpus = read_corpus(tmp_path)
    assert {u.id: u.text for u in corpus.utterances} == {
        "a": "Doctor A",
        "b": 'He said "no, never"',
        "c": '"quoted',
        "d": "only two",
        "j": "\u2028line\x85separators stay in one row".strip(),
    }
    assert by_id(corpus)["d"].source == "wavs/d.FLAC"
    assert sorted((r.id, r.reason) for r in corpus.rejected) == sorted(
        [
            ("a", Reason.DUPLICATE_ID),
            ("e", Reason.EMPTY_TRANSCRIPT),
            ("f", Reason.AUDIO_MISSING),
            ("g", Reason.BAD_ROW),
            ("i", Reason.AUDIO_MISSING),
            ("metadata.csv:10", Reason.BAD_ROW),
            ("metadata.csv:9", Reason.BAD_ROW),
        ]
    )
    assert corpus.found == 12  # the rows that are not blank
    # g has a row, if a bad one; but what it names was never looked for
    assert corpus.warnings == (
        "audio without a row in metadata.csv: 2 (wavs/extra.wav, wavs/g.wav)",
    )


def test_ljspeech_ids_can_not_leave_the_folder(tmp_path):
    put(tmp_path, {"metadata.csv": "../secret|x|x\nsub/a|y|y\n", "secret.wav": ""})
    touch(tmp_path, "wavs/sub/a.wav")
    corpus = read_corpus(tmp_path)
    assert reasons(corpus) == {"../secret": Reason.AUDIO_MISSING}
    assert [u.source for u in corpus.utterances] == ["wavs/sub/a.wav"]


def test_a_line_that_is_not_utf8_costs_itself_alone(tmp_path):
    rows = [b"a|caf\xe9|caf\xe9\n", "b|café|café\n".encode()]
    put(tmp_path, {"metadata.csv": b"".join(rows)})
    touch(tmp_path, "wavs/a.wav", "wavs/b.wav")
    corpus = read_corpus(tmp_path)
    assert [u.text for u in corpus.utterances] == ["café"]
    (rejection,) = corpus.rejected
    assert (rejection.id, rejection.reason) == ("a", Reason.TRANSCRIPT_UNREADABLE)
    assert "0xe9" in rejection.message and "iconv" in rejection.message


def test_ljspeech_tables_that_are_no_tables(tmp_path):
    touch(tmp_path, "wavs/a.wav")
    put(tmp_path, {"metadata.csv": "a,text,text\nb,text,text\n"})
    with pytest.raises(UserError, match=r"no line has the form id\|text.*line 1"):
        read_corpus(tmp_path)
    put(tmp_path, {"metadata.csv": "a|text|text\n".encode("utf-16")})
    with pytest.raises(UserError, match="UTF-16"):
        read_corpus(tmp_path)


# --- LibriTTS --------------------------------------------------------------------------------


def librispeaker(id_: str, split: str, speaker: str = "84") -> Clip:
    return Clip(id=id_, text=f"text of {id_}", wave=tone(0.02, 200), split=split, speaker=speaker)


def test_libritts_splits_speakers_and_texts(tmp_path):
    clips = [
        librispeaker("84_1_0", "train-clean-100"),
        librispeaker("85_1_0", "train-other-500", "85"),
        librispeaker("86_1_0", "dev-clean", "86"),
        librispeaker("87_1_0", "test-other", "87"),
    ]
    root = write_libritts(tmp_path, clips)
    (root / "dev-clean/86/1/86_1_0.normalized.txt").unlink()
    corpus = read_corpus(root)
    assert [(u.id, u.speaker, u.split) for u in corpus.utterances] == [
        ("84_1_0", "84", "train"),
        ("85_1_0", "85", "train"),
        ("86_1_0", "86", "val"),
        ("87_1_0", "87", "test"),
    ]
    assert by_id(corpus)["84_1_0"].text == "text of 84_1_0"
    assert by_id(corpus)["86_1_0"].text == "text of 86_1_0 (original)"

    one = read_corpus(root / "dev-clean")  # one split alone
    assert one.layout == "libritts"
    assert [(u.id, u.speaker, u.split) for u in one.utterances] == [("86_1_0", "86", "val")]


def test_libritts_finds_every_audio_file(tmp_path):
    root = write_libritts(tmp_path, [librispeaker("a", "train-clean-100")])
    folder = root / "train-clean-100/84/1"
    touch(folder, "no-text.wav", "blank.wav", "../../stray.flac")
    put(folder, {"blank.normalized.txt": " \n", "blank.original.txt": "", "gone.original.txt": "x"})
    write_libritts(tmp_path, [librispeaker("a", "test-clean", "99")])
    corpus = read_corpus(root)
    assert [u.source for u in corpus.utterances] == ["test-clean/99/1/a.wav"]  # first by path
    assert reasons(corpus) == {
        "a": Reason.DUPLICATE_ID,
        "blank": Reason.EMPTY_TRANSCRIPT,
        "no-text": Reason.NO_TRANSCRIPT,
        "stray": Reason.NO_TRANSCRIPT,
    }
    assert corpus.warnings == ("texts without audio beside them: 1 (train-clean-100/84/1/gone)",)


# --- pairs -----------------------------------------------------------------------------------


def test_pairs_of_any_depth_and_suffix(tmp_path):
    put(tmp_path, {
        "root.txt": "at the root",
        "anna/x.lab": "a label\n",
        "deep/er/bob/y.TXT": "\ufeffwith a\r\n mark \r\n\r\n",
        "deep/er/bob/z.txt": " ",
        "deep/er/bob/z.lab": "the label instead",
    })  # fmt: skip
    touch(tmp_path, "root.wav", "anna/x.flac", "deep/er/bob/y.MP3", "deep/er/bob/z.opus")
    corpus = read_corpus(tmp_path)
    assert [(u.id, u.source, u.text, u.speaker) for u in corpus.utterances] == [
        ("anna/x", "anna/x.flac", "a label", "anna"),
        ("deep/er/bob/y", "deep/er/bob/y.MP3", "with a mark", "bob"),
        ("deep/er/bob/z", "deep/er/bob/z.opus", "the label instead", "bob"),
        ("root", "root.wav", "at the root", "default"),
    ]
    assert corpus.rejected == ()


def test_pairs_rejections(tmp_path):
    put(tmp_path, {"a.txt": "fine", "b.txt": "", "c.txt": b"\xff\xfea\0", "d.txt": b"\xe9t\xe9",
                   "f.txt": "x", "orphan.txt": "x"})  # fmt: skip
    touch(tmp_path, "a.flac", "a.wav", "b.wav", "c.wav", "d.wav", "e.wav")
    (tmp_path / "f.wav").symlink_to(tmp_path / "nowhere.wav")
    corpus = read_corpus(tmp_path)
    assert [u.source for u in corpus.utterances] == ["a.flac"]
    assert reasons(corpus) == {
        "a": Reason.DUPLICATE_ID,
        "b": Reason.EMPTY_TRANSCRIPT,
        "c": Reason.TRANSCRIPT_UNREADABLE,
        "d": Reason.TRANSCRIPT_UNREADABLE,
        "e": Reason.NO_TRANSCRIPT,
        "f": Reason.AUDIO_MISSING,
    }
    assert corpus.warnings == ("texts without audio beside them: 1 (orphan)",)


def test_what_the_file_system_leaves_behind_is_passed_over(tmp_path):
    put(tmp_path, {"a.txt": "x", "._a.txt": "junk", "__MACOSX/b.txt": "x", ".git/c.txt": "x"})
    touch(tmp_path, "a.wav", "._a.wav", "__MACOSX/b.wav", ".git/c.wav")
    corpus = read_corpus(tmp_path)
    assert corpus.found == len(corpus.utterances) == 1


def test_linked_folders_are_followed_and_never_in_a_circle(tmp_path):
    elsewhere = put(tmp_path / "elsewhere", {"a.txt": "x", "a.wav": ""})
    root = put(tmp_path / "corpus", {"here/b.txt": "y", "here/b.wav": ""})
    (root / "linked").symlink_to(elsewhere, target_is_directory=True)
    (root / "here/loop").symlink_to(root, target_is_directory=True)
    (root / "self.wav").symlink_to(root / "self.wav")
    corpus = read_corpus(root)
    assert [u.id for u in corpus.utterances] == ["here/b", "linked/a"]
    assert reasons(corpus) == {"self": Reason.AUDIO_MISSING}


def test_composed_and_decomposed_names_are_one(tmp_path):
    composed, decomposed = "r\u00e9sum\u00e9", unicodedata.normalize("NFD", "r\u00e9sum\u00e9")
    pairs = put(tmp_path / "pairs", {f"{composed}.txt": "x", f"{decomposed}.wav": ""})
    (utterance,) = read_corpus(pairs).utterances
    assert utterance.id == composed
    assert (pairs / utterance.source).is_file()

    lj = put(tmp_path / "lj", {"metadata.csv": f"{composed}|x|x\n", f"wavs/{decomposed}.wav": ""})
    (utterance,) = read_corpus(lj).utterances
    assert utterance.id == composed and (lj / utterance.source).is_file()

    row = json.dumps({"audio": f"{composed}/{composed}.wav", "text": "x"})
    manifest = put(tmp_path / "m", {"manifest.jsonl": row, f"{decomposed}/{decomposed}.wav": ""})
    (utterance,) = read_corpus(manifest).utterances
    assert utterance.id == f"{composed}/{composed}" and (manifest / utterance.source).is_file()


def test_a_name_that_is_not_utf8_is_rejected_and_writable(tmp_path):
    put(tmp_path, {"a.txt": "x", "a.wav": ""})
    try:
        for suffix in (b".wav", b".txt"):
            Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9" + suffix)).write_bytes(b"x")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    corpus = read_corpus(tmp_path)
    (rejection,) = corpus.rejected
    assert rejection.reason is Reason.AUDIO_UNREADABLE and "rename" in rejection.message
    f"{rejection.id}{rejection.source}{rejection.message}".encode()


def test_ids_with_any_characters_have_keys_of_their_own(tmp_path):
    names = ["a.b", "a b", "a-b", "ä", "日本", "x" * 120, "a/b", "-"]
    for name in names:
        put(tmp_path, {f"{name}.txt": "x", f"{name}.wav": ""})
    corpus = read_corpus(tmp_path)
    assert {u.id for u in corpus.utterances} == set(names)
    assert len({u.key for u in corpus.utterances}) == len(names)


def test_two_ids_with_one_key_are_duplicates(tmp_path):
    # an id that looks like the key of another
    put(tmp_path, {"a b.txt": "x", "a b.wav": "", f"{make_key('a b')}.txt": "y"})
    touch(tmp_path, f"{make_key('a b')}.wav")
    corpus = read_corpus(tmp_path)
    assert [u.id for u in corpus.utterances] == ["a b"]
    (rejection,) = corpus.rejected
    assert rejection.reason is Reason.DUPLICATE_ID and "'a b'" in rejection.message
