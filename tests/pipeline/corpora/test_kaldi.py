"""Data folders of Kaldi."""

from __future__ import annotations

from pathlib import Path

import pytest

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.schema import Piece, Reason
from ns2.pipeline.corpora.reading import read_corpus
from tests.support.corpora_factories import by_id, put, reasons, touch


def test_segments(tmp_path: Path) -> None:
    touch(tmp_path, "audio/r1.flac", "audio/r2.flac")
    put(tmp_path, {
        "data/dev/wav.scp": f"r1 audio/r1.flac\nr2 {tmp_path}/audio/r2.flac\n",
        "data/dev/text": "u1 One.\nu2 Two words.\nu3 Three\n",
        "data/dev/segments": "u1 r1 0 2.5\nu2 r1 2.5 4.125\nu3 r2 1 -1\n",
        "data/dev/utt2spk": "u1 ann\nu2 bob\n",
        "data/dev/utt2lang": "u1 en-gb\nu2 German\n",
    })  # fmt: skip
    corpus = read_corpus(tmp_path / "data" / "dev")
    assert corpus.layout == "kaldi" and not corpus.rejected
    assert {u.id: (u.source, u.piece, u.text, u.speaker, u.language, u.split)
            for u in corpus.utterances} == {
        "u1": ("../../audio/r1.flac", Piece(duration=2.5), "One.", "ann", "en-gb", ""),
        "u2": ("../../audio/r1.flac", Piece(offset=2.5, duration=1.625), "Two words.", "bob",
               "de", ""),
        "u3": ("../../audio/r2.flac", Piece(offset=1.0), "Three", "default", "", ""),
    }  # fmt: skip


def test_folders_of_splits_without_segments(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav", "b.wav")
    for split, name in (("train", "a"), ("test", "b")):
        put(tmp_path, {f"{split}/wav.scp": f"{name} {name}.wav\n", f"{split}/text": f"{name} X\n"})
    corpus = read_corpus(tmp_path)
    assert {u.id: (u.source, u.split, u.piece) for u in corpus.utterances} == {
        "a": ("a.wav", "train", None), "b": ("b.wav", "test", None),
    }  # fmt: skip


def test_rows_that_cannot_be_used(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav")
    ids = ("ok", "pipe", "ark", "gone", "short", "back", "nowhere", "blank", "long")
    put(tmp_path, {
        "wav.scp": "r a.wav\np sph2pipe -f wav x.sph |\nk feats.ark:123\ng gone.wav\n",
        "segments": "ok r 0 1\npipe p 0 1\nark k 0 1\ngone g 0 1\nshort r 0\nback r 3 2\n"
                    "nowhere z 0 1\nblank r 1 2\nsilent r 2 3\nok r 5 6\n",
        "text": "".join(f"{name} Text.\n" for name in ids if name != "blank") + "blank  \n",
    })  # fmt: skip
    corpus = read_corpus(tmp_path)
    assert list(by_id(corpus)) == ["ok"]
    assert reasons(corpus) == {
        "ok": Reason.DUPLICATE_ID,
        "pipe": Reason.AUDIO_UNREADABLE,
        "ark": Reason.AUDIO_UNREADABLE,
        "gone": Reason.AUDIO_MISSING,
        "short": Reason.BAD_ROW,
        "back": Reason.BAD_ROW,
        "nowhere": Reason.AUDIO_MISSING,
        "blank": Reason.EMPTY_TRANSCRIPT,
        "silent": Reason.NO_TRANSCRIPT,
        "long": Reason.AUDIO_MISSING,
    }
    told = {one.id: one.message for one in corpus.rejected}
    assert "a command for it, which ns2 never runs" in told["pipe"]
    assert "archive" in told["ark"]


def test_another_folder(tmp_path: Path) -> None:
    put(tmp_path, {"wav.scp": "a a.wav\n"})
    with pytest.raises(UserError, match="does not have the layout of Kaldi"):
        read_corpus(tmp_path, "kaldi")
