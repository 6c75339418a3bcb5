"""What the maker of the codec trains on, and what it leaves out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import soundfile

from benchmarks.codecs.copy_groups import AGREED
from ns2.pipeline.corpora.reading import read_corpus
from ns2.train.bundled.make_mini import MANIFESTS, SPEAKERS, held_out, recordings, spoken
from tests.support.factories import tone

ROWS = 40


@pytest.fixture
def real(tmp_path: Path) -> Path:
    """Four corpora of 40 rows, whose speakers are those of accents-40 in turn with others."""
    for name in MANIFESTS:
        folder = tmp_path / "real" / name
        folder.mkdir(parents=True)
        rows = []
        for i in range(ROWS):
            soundfile.write(folder / f"{i:03d}.wav", tone(0.1, 200.0), 24_000)
            speaker = SPEAKERS[i // 2 % 8] if i % 2 else "other"
            rows.append(
                {"audio": f"{i:03d}.wav", "text": "A.", "id": f"{i:03d}", "speaker": speaker}
            )
        (folder / "manifest.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    return tmp_path / "real"


@pytest.fixture
def lj(tmp_path: Path) -> Path:
    (tmp_path / "lj" / "wavs").mkdir(parents=True)
    ids = [f"LJ001-{number:04d}" for number in range(1, 33)]
    for one in ids:
        soundfile.write(tmp_path / "lj" / "wavs" / f"{one}.wav", tone(0.1, 200.0), 24_000)
    (tmp_path / "lj" / "metadata.csv").write_text("".join(f"{one}|A.|A.\n" for one in ids))
    return tmp_path / "lj"


def test_nothing_that_is_held_out_is_trained_on(real: Path, lj: Path, tmp_path: Path) -> None:
    first, *manifests = recordings(tmp_path, lj, real)
    assert [u.id for u in read_corpus(first).utterances][-1] == "LJ001-0028"
    for path, name in zip(manifests, MANIFESTS, strict=True):
        learned = {u.id for u in read_corpus(path).utterances}
        every = sorted(read_corpus(real / name).utterances, key=lambda u: u.id)
        measured = {u.id for u in AGREED[name](every)}
        assert measured and learned.isdisjoint(measured)
        assert len(learned) >= ROWS / 2 - 1


def test_every_tenth_however_it_is_counted() -> None:
    rows = [{"speaker": "a"} for _ in range(25)]
    assert held_out("german-reader", rows) == {0, 9, 10, 19, 20}


def test_speech_that_is_there_is_not_spoken_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ns2.train.bundled import make_mini

    monkeypatch.setattr(make_mini, "SPOKEN", {"few": (("en-us",), 2, (40, 60))})
    (folder,) = spoken(tmp_path, ["One sentence.", "", "Another one."])
    assert len(read_corpus(folder).utterances) == 2
    before = (folder / "metadata.csv").stat().st_mtime_ns
    assert list(spoken(tmp_path, ["Something else."])) == [folder]
    assert (folder / "metadata.csv").stat().st_mtime_ns == before
