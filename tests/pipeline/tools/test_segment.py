"""`ns2 segment`: a minute of speech with known borders, and texts that it does not follow."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from click.testing import CliRunner

from benchmarks.making.segments import measure, read_manifest
from benchmarks.making.stories import read_pages
from ns2.cli import main
from ns2.pipeline.core.errors import OptionError, UserError
from ns2.pipeline.core.progress import Progress
from ns2.pipeline.corpora.reading import read_corpus
from ns2.pipeline.corpora.spoken.espeak import SENTENCES, speak
from ns2.pipeline.dataset.reader import Dataset
from ns2.pipeline.tools.segmenting.segment import SegmentSummary, segment
from ns2.pipeline.tools.segmenting.written_words import written_words
from ns2.pipeline.tools.tool_options import SegmentOptions
from tests.support.factories import SHARED
from tests.support.preprocessing import contents, run_inline

SPOKEN = SENTENCES[:16]
PAUSE = 0.7
STORIES = SHARED / "corpora" / "real" / "english-reader-long"


@dataclass(frozen=True)
class Story:
    """A recording, and where each of its sentences lies, in seconds."""

    wave: np.ndarray
    rate: int
    spans: tuple[tuple[float, float], ...]


@pytest.fixture(scope="module")
def story() -> Story:
    """Sixteen sentences with pauses between them."""
    parts: list[np.ndarray] = []
    spans, at = [], 0
    for text in SPOKEN:
        wave, rate, _ = speak(text)
        silence = np.zeros(round(PAUSE * rate), np.int16)
        sounds = np.flatnonzero(np.abs(wave) > 200)
        parts += [silence, wave]
        at += len(silence)
        spans.append(((at + sounds[0]) / rate, (at + sounds[-1]) / rate))
        at += len(wave)
    return Story(np.concatenate(parts), rate, tuple(spans))


def write(folder: Path, name: str, wave: np.ndarray, rate: int, lines: Sequence[str]) -> None:
    folder.mkdir(exist_ok=True)
    soundfile.write(folder / f"{name}.flac", wave, rate)
    (folder / f"{name}.txt").write_text("\n".join(lines), "utf-8")


def cut(folder: Path, out: Path, **options: Any) -> SegmentSummary:
    return segment(folder, out, SegmentOptions(**options), Progress())


def rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "manifest.jsonl").read_text("utf-8").splitlines()]


def left_out(out: Path) -> dict[str, str]:
    """Reason by text."""
    table = pq.read_table(out / "left_out.parquet").to_pylist()
    return {row["text"]: row["reason"] for row in table}


def test_pieces_lie_where_their_sentences_are(story: Story, tmp_path: Path) -> None:
    write(tmp_path / "in", "story", story.wave, story.rate, SPOKEN)
    summary = cut(tmp_path / "in", tmp_path / "out")
    found = rows(tmp_path / "out")
    assert " ".join(row["text"] for row in found) == " ".join(SPOKEN)
    assert summary.pieces == len(found) and not summary.whole
    starts, ends = (np.array(one) for one in zip(*story.spans, strict=True))
    for row in found:
        assert 2 <= row["duration"] <= 15 and row["confidence"] > 0.5
        # It is cut in pauses between sentences, and has at most 0.1 s of them at its ends.
        early = starts - row["offset"]
        late = row["offset"] + row["duration"] - ends
        assert 0 <= early[np.abs(early).argmin()] <= 0.1
        assert 0 <= late[np.abs(late).argmin()] <= 0.1
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        ".segments", "left_out.parquet", "manifest.jsonl",
    ]  # fmt: skip


def test_what_is_wrong_is_left_out(story: Story, tmp_path: Path) -> None:
    """The first sentence and the sixth are not written, one is not spoken, and there is noise."""
    strange = "Seventeen purple elephants argued loudly about mathematics and marmalade."
    lines = [*SPOKEN[1:5], *SPOKEN[6:10], strange, *SPOKEN[10:]]
    place = round((story.spans[12][1] + 0.3) * story.rate)
    noise = np.random.default_rng(0).normal(0, 3000, 8 * story.rate).astype(np.int16)
    wave = np.concatenate([story.wave[:place], noise, story.wave[place:]])
    write(tmp_path / "in", "story", wave, story.rate, lines)
    cut(tmp_path / "in", tmp_path / "out")
    found = rows(tmp_path / "out")
    said = " ".join(row["text"] for row in found)
    right = [text for k, text in enumerate(SPOKEN) if k not in (0, 5)]
    assert sum(text in said for text in right) >= len(right) - 1
    assert "elephants" not in said and left_out(tmp_path / "out")[strange] == "not_spoken"
    wrong = [story.spans[0], story.spans[5], (place / story.rate + 0.1, place / story.rate + 7.9)]
    for row in found:
        for start, end in wrong:
            assert row["offset"] + row["duration"] <= start + 0.1 or row["offset"] >= end - 0.1


def test_a_few_words_of_a_passage_that_is_not_written(story: Story, tmp_path: Path) -> None:
    """They are left out: something like them is found anywhere."""
    few = " ".join(SPOKEN[6].split()[1:4])
    write(tmp_path / "in", "story", story.wave, story.rate, [*SPOKEN[:5], few, *SPOKEN[8:]])
    cut(tmp_path / "in", tmp_path / "out")
    start, end = story.spans[5][0], story.spans[7][1]
    for row in rows(tmp_path / "out"):
        assert row["offset"] + row["duration"] <= start + 0.1 or row["offset"] >= end - 0.1
    assert left_out(tmp_path / "out")[few] in ("low_confidence", "not_spoken")


def test_the_text_of_another_recording(story: Story, tmp_path: Path) -> None:
    """It is left out as a whole, and said; if nothing else is there, that is an error."""
    other = SENTENCES[20:36]
    write(tmp_path / "in", "wrong", story.wave, story.rate, other)
    with pytest.raises(UserError, match="wrong: the text does not belong to the recording"):
        cut(tmp_path / "in", tmp_path / "out")
    assert left_out(tmp_path / "out") == {" ".join(other): "other_text"}
    write(tmp_path / "in", "right", story.wave, story.rate, SPOKEN)
    result = CliRunner().invoke(
        main, ["segment", str(tmp_path / "in"), "-o", str(tmp_path / "out")]
    )
    assert result.exit_code == 3 and "50.0% of the recordings were left out" in result.output
    assert {row["id"].partition("-")[0] for row in rows(tmp_path / "out")} == {"right"}


def test_the_text_of_another_short_recording(story: Story, tmp_path: Path) -> None:
    """A few words fit anywhere by chance, so they have to fit better."""
    for k, other in ((4, 1), (6, 14), (9, 10)):  # these fit best of all 240 pairs
        start, end = story.spans[k][0] - 0.3, story.spans[k][1] + 0.3
        wave = story.wave[round(start * story.rate) : round(end * story.rate)]
        write(tmp_path / "in", f"right{k}", wave, story.rate, [SPOKEN[k]])
        write(tmp_path / "in", f"wrong{k}", wave, story.rate, [SPOKEN[other]])
    summary = cut(tmp_path / "in", tmp_path / "out")
    assert set(summary.whole) == {"wrong4", "wrong6", "wrong9"}


def test_what_is_done_is_not_done_again(
    story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = round(story.spans[7][1] * story.rate) + 2000
    write(tmp_path / "in", "a", story.wave[:half], story.rate, SPOKEN[:8])
    write(tmp_path / "in", "b", story.wave[half:], story.rate, SPOKEN[8:])
    from ns2.pipeline.tools.segmenting import segment as module

    real, asked = module.segment_recording, list[str]()

    def counted(recording: Any, *more: Any) -> Any:
        if asked.append(recording.name) or (len(asked) == 2 and stops):
            raise KeyboardInterrupt
        return real(recording, *more)

    monkeypatch.setattr(module, "segment_recording", counted)
    stops = True
    with pytest.raises(KeyboardInterrupt):  # killed in the second recording
        cut(tmp_path / "in", tmp_path / "out")
    stops = False
    cut(tmp_path / "in", tmp_path / "out")
    assert asked == ["a", "b", "b"]
    whole = contents(tmp_path / "out")
    cut(tmp_path / "in", tmp_path / "out")
    assert asked == ["a", "b", "b"] and contents(tmp_path / "out") == whole
    (tmp_path / "in" / "a.txt").write_text("\n".join(SPOKEN[:7]), "utf-8")
    cut(tmp_path / "in", tmp_path / "out")
    assert asked[3:] == ["a"]
    for suffix in (".flac", ".txt"):
        (tmp_path / "in" / f"b{suffix}").unlink()
    cut(tmp_path / "in", tmp_path / "out")
    assert {row["id"] for row in rows(tmp_path / "out")} <= {f"a-{k:05d}" for k in range(20)}


def test_preprocess_reads_it(story: Story, tmp_path: Path) -> None:
    write(tmp_path / "in", "story", story.wave, story.rate, SPOKEN)
    (tmp_path / "in" / "anna").mkdir()
    for suffix in (".flac", ".txt"):
        (tmp_path / "in" / f"story{suffix}").rename(tmp_path / "in" / "anna" / f"story{suffix}")
    cut(tmp_path / "in", tmp_path / "out")
    corpus = read_corpus(tmp_path / "out")
    assert not corpus.warnings and {u.speaker for u in corpus.utterances} == {"anna"}
    run_inline(tmp_path / "out", tmp_path / "shards", None, columns=("mel", "phonemes"))
    dataset = Dataset(tmp_path / "shards")
    assert len(dataset) == len(rows(tmp_path / "out"))
    assert dataset.index["confidence"].null_count == 0


def test_a_german_text(tmp_path: Path) -> None:
    lines = [
        "Am Morgen ging der alte Mann zum Fluss.",
        "Das Wasser war kalt und klar.",
        "Er kaufte drei Brote, Käse und etwas Honig.",
        "Danach lief er langsam nach Hause.",
    ]
    waves = [speak(line, voice="de") for line in lines]
    pause = np.zeros(15_000, np.int16)
    wave = np.concatenate([part for spoken, _, _ in waves for part in (pause, spoken)])
    write(tmp_path / "in", "de", wave, waves[0][1], lines)
    cut(tmp_path / "in", tmp_path / "out", language="de")
    assert " ".join(row["text"] for row in rows(tmp_path / "out")) == " ".join(lines)


def test_recordings_that_cant_be_used_have_a_reason(story: Story, tmp_path: Path) -> None:
    """The others are cut all the same, though OUT lies among them."""
    folder = tmp_path / "in"
    end = round(story.spans[3][1] * story.rate) + 4000
    write(folder, "good", story.wave[:end], story.rate, SPOKEN[:4])
    write(folder, "blank", story.wave[:end], story.rate, [" ", ""])
    write(folder, "marks", story.wave[:end], story.rate, ["... !"])
    write(folder, "silent", np.zeros(20 * story.rate, np.int16), story.rate, SPOKEN[:4])
    write(folder, "torn", story.wave[:end], story.rate, SPOKEN[:4])
    (folder / "torn.flac").rename(folder / "torn.mp3")
    (folder / "torn.mp3").write_bytes(b"no audio at all" * 100)
    soundfile.write(folder / "alone.flac", story.wave[:end], story.rate)
    summary = cut(folder, folder / "cut")
    assert summary.recordings == 5 and set(summary.whole) == {"blank", "marks", "silent", "torn"}
    table = pq.read_table(folder / "cut" / "left_out.parquet").to_pylist()
    assert {row["recording"]: row["reason"] for row in table if row["message"]} == {
        "blank": "empty_transcript",
        "marks": "nothing_speakable",
        "silent": "other_text",
        "torn": "audio_unreadable",
    }
    first = rows(folder / "cut")
    assert {row["id"].partition("-")[0] for row in first} == {"good"}
    # With another option it is cut anew, into the same folder.
    cut(folder, folder / "cut", max_seconds=4.0)
    assert len(rows(folder / "cut")) > len(first)


@pytest.mark.parametrize("named", ["0302_", pytest.param("", marks=pytest.mark.large)])
def test_stories_that_people_read(named: str, tmp_path: Path) -> None:
    """Against the borders of their pages, which are known."""
    if not STORIES.is_dir():
        pytest.skip(f"{STORIES} is missing")
    folder = tmp_path / "in"
    folder.mkdir()
    for path in STORIES.glob(f"{named}*.*"):
        (folder / path.name).symlink_to(path)
    head, *borders = (STORIES / "page_borders.tsv").read_text("utf-8").splitlines()
    mine = [head, *(line for line in borders if line.startswith(named))]
    (folder / "page_borders.tsv").unlink(missing_ok=True)
    (folder / "page_borders.tsv").write_text("\n".join(mine), "utf-8")
    cut(folder, tmp_path / "out")
    figures = measure(read_pages(folder), read_manifest(tmp_path / "out"))
    lengths = np.array(figures.lengths)
    errors = np.abs([error for _, error in figures.begins + figures.ends])
    assert figures.kept / figures.words >= 0.97
    assert np.mean((lengths >= 2) & (lengths <= 15)) >= 0.9
    assert len(errors) >= 8 and np.mean(errors <= 0.15) >= 0.95


@pytest.mark.parametrize("options", [{"min_seconds": 9, "max_seconds": 3}, {"least_confidence": 2}])
def test_impossible_options(options: dict[str, float]) -> None:
    with pytest.raises(OptionError):
        SegmentOptions(**options)  # type: ignore[arg-type]


def test_an_unknown_language_and_no_recordings(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="no such voice"):
        cut(tmp_path, tmp_path / "out", language="xx-yy")
    with pytest.raises(UserError, match="no recording"):
        cut(tmp_path, tmp_path / "out")


@pytest.mark.parametrize(
    ("text", "language", "words"),
    [
        ('He said, "I can\'t." Then\nhe left.', "en-us",
         ["He", "said,", '"I', "can't.\"", "Then", "he", "left."]),
        ("It costs $2.50 (really) -- yes!", "en-us",
         ["It", "costs", "$2.50", "(really) --", "yes!"]),
        ("他说：“你好。”", "cmn", ["他", "说：", "“你", "好。”"]),
    ],
)  # fmt: skip
def test_words_keep_their_marks(text: str, language: str, words: list[str]) -> None:
    found = written_words(text, language)
    got = [found.passage(k, k + 1) for k in range(len(found.words))]
    if language == "cmn":  # characters may be spoken together
        assert "".join(got) == text
    else:
        assert got == words
    assert found.passage(0, len(found.words)).split() == text.split()


def test_a_word_that_cant_be_said_is_told() -> None:
    found = written_words("Это 日本 слово.", "ru")
    assert [found.text[a:b] for a, b, _ in found.unspoken] == ["日", "本"]
    assert found.words[-1].ends_sentence
