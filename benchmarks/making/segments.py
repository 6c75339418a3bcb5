"""`ns2 segment` against known borders of pages: what is kept, where it is cut, time and memory.

    python -m benchmarks.segments RECORDINGS [--hour] [--wer CLIPS/manifest.jsonl]

RECORDINGS holds stories (x.mp3 and x.txt, a line of text for each page) and page_borders.tsv with
the columns story, clip, start and end: where the speech of each page lies, in seconds. First they
are cut as they are. Then each is changed: the title is not written, the text lacks a page and has a
page of another story, and 20 s of noise lie between two pages. `--hour` cuts an hour of them in one
file; `--wer` counts the words that Whisper base hears wrongly in the pieces, and in the clips of a
manifest.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np

from benchmarks.support.machine import machine, show_machine
from benchmarks.support.memory import Sampler, peaks
from ns2.pipeline.core.schema import Piece
from ns2.pipeline.sound.decode import read_audio

NOISE_SECONDS = 20.0


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page of a story: where its speech lies, and its text; "" where it isn't in the text."""

    start: float
    end: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Cut:
    """A line of the manifest."""

    start: float
    end: float
    text: str
    audio: Path
    confidence: float


@dataclass
class Figures:
    """Sums over all stories."""

    words: int = 0
    kept: int = 0
    shares: list[float] = field(default_factory=list)
    lengths: list[float] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)
    foreign_words: int = 0
    foreign_kept: int = 0
    unwritten: float = 0.0
    unwritten_kept: float = 0.0
    noise_kept: float = 0.0

    def show(self, name: str) -> None:
        """Print them."""
        lengths, errors = np.array(self.lengths), np.abs(self.errors)
        shares = np.array(self.shares)
        print(f"{name}")
        print(
            f"  words of pages in pieces that overlap them: {self.kept / self.words:.2%}; "
            f"pages with at least 97 %: {np.mean(shares >= 0.97):.1%} of {len(shares)}"
        )
        print(
            f"  pieces: {len(lengths)}, {lengths.sum() / 60:.1f} min; of 2 to 15 s: "
            f"{np.mean((lengths >= 2) & (lengths <= 15)):.1%}; "
            f"{lengths.min():.1f} to {lengths.max():.1f} s, median {np.median(lengths):.1f} s"
        )
        print(
            f"  ends at borders of pages: {len(errors)}; within 150 ms: "
            f"{np.mean(errors <= 0.15):.1%}; median {1000 * np.median(errors):.0f} ms"
        )
        if self.foreign_words or self.unwritten:
            print(
                f"  wrong: of {self.foreign_words} words that are not spoken "
                f"{self.foreign_kept} are in pieces; of {self.unwritten:.0f} s of speech that is "
                f"not written {self.unwritten_kept:.1f} s; of the noise {self.noise_kept:.1f} s"
            )


def read_borders(folder: Path) -> dict[str, list[tuple[float, float]]]:
    """Where the speech of the pages of each story lies."""
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for line in (folder / "page_borders.tsv").read_text().splitlines()[1:]:
        story, _, start, end, *_ = line.split("\t")
        found[story].append((float(start), float(end)))
    return found


def read_pages(folder: Path) -> dict[str, list[Page]]:
    """The pages of the stories whose text has a line for each page."""
    found = {}
    for story, borders in read_borders(folder).items():
        lines = [
            " ".join(line.split())
            for line in (folder / f"{story}.txt").read_text("utf-8").splitlines()
            if line.strip()
        ]
        if len(lines) != len(borders):
            print(f"{story} has {len(lines)} lines and {len(borders)} pages, and is not measured")
            continue
        found[story] = [
            Page(start=a, end=b, text=t) for (a, b), t in zip(borders, lines, strict=True)
        ]
    return found


def read_manifest(corpus: Path) -> dict[str, list[Cut]]:
    """The pieces of each recording."""
    found: dict[str, list[Cut]] = defaultdict(list)
    for line in (corpus / "manifest.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        audio = (corpus / row["audio"]).resolve()
        found[audio.stem].append(
            Cut(
                start=row["offset"],
                end=row["offset"] + row["duration"],
                text=row["text"],
                audio=audio,
                confidence=row["confidence"],
            )
        )
    return found


def plain(text: str) -> list[str]:
    """The words of a text in small letters."""
    return re.findall(r"\w+", text.casefold())


def matched(wanted: Sequence[str], found: Sequence[str]) -> int:
    """The number of words that are found in the right order."""
    matcher = SequenceMatcher(None, wanted, found, autojunk=False)
    return sum(block.size for block in matcher.get_matching_blocks())


def measure(
    pages: Mapping[str, Sequence[Page]],
    cuts: Mapping[str, Sequence[Cut]],
    foreign: Mapping[str, str] | None = None,
    noises: Mapping[str, tuple[float, float]] | None = None,
) -> Figures:
    """Compare pieces with the pages of their stories.

    Args:
        foreign: a passage of the text of a story that is not spoken in it.
        noises: where there is noise in a story.
    """
    figures = Figures()
    for story, its in pages.items():
        pieces = cuts.get(story, ())
        figures.lengths += [piece.end - piece.start for piece in pieces]
        for page in its:
            over = [p for p in pieces if p.start < page.end and p.end > page.start]
            if not page.text:
                figures.unwritten += page.end - page.start
                figures.unwritten_kept += sum(
                    min(p.end, page.end) - max(p.start, page.start) for p in over
                )
                continue
            words = plain(page.text)
            count = matched(words, [word for piece in over for word in plain(piece.text)])
            figures.words += len(words)
            figures.kept += count
            figures.shares.append(count / len(words))
        figures.errors += _errors(its, pieces)
        if foreign and story in foreign:
            words = plain(foreign[story])
            runs = [plain(piece.text) for piece in pieces]
            figures.foreign_words += len(words)
            figures.foreign_kept += sum(_shared_run(words, run) for run in runs)
        if noises and story in noises:
            start, end = noises[story]
            figures.noise_kept += sum(
                max(0.0, min(p.end, end - 0.1) - max(p.start, start + 0.1)) for p in pieces
            )
    return figures


def _shared_run(words: Sequence[str], run: Sequence[str]) -> int:
    """Words of a piece that come from a passage: runs of three words or more."""
    matcher = SequenceMatcher(None, words, run, autojunk=False)
    return sum(block.size for block in matcher.get_matching_blocks() if block.size >= 3)


def _errors(pages: Sequence[Page], pieces: Iterable[Cut]) -> list[float]:
    """How far ends of pieces lie from the borders of pages, where they have the words of these."""
    found = []
    for piece in pieces:
        words = plain(piece.text)
        first = min(pages, key=lambda page: abs(piece.start - page.start))
        last = min(pages, key=lambda page: abs(piece.end - page.end))
        if first.text and words[:2] == plain(first.text)[:2]:
            found.append(piece.start - first.start)
        if last.text and words[-2:] == plain(last.text)[-2:]:
            found.append(piece.end - last.end)
    return found


def change(
    folder: Path, pages: Mapping[str, Sequence[Page]], out: Path
) -> tuple[dict[str, list[Page]], dict[str, str], dict[str, tuple[float, float]]]:
    """Write changed stories into a folder.

    Returns:
        their pages, the passages that are not spoken, and where the noise is.
    """
    import soundfile

    out.mkdir()
    changed: dict[str, list[Page]] = {}
    foreign: dict[str, str] = {}
    noises: dict[str, tuple[float, float]] = {}
    stories = [story for story, its in pages.items() if len(its) >= 8]
    for number, story in enumerate(stories):
        its, other = list(pages[story]), pages[stories[(number + 1) % len(stories)]]
        count = len(its)
        long = [page.text for page in other if len(page.text.split()) >= 15] or [other[2].text]
        foreign[story] = long[len(long) // 2]
        lines = [page.text for page in its]
        lines.insert(2 * count // 3, foreign[story])
        lost = count // 3
        lines = [line for k, line in enumerate(lines) if k not in (0, lost)]
        (out / f"{story}.txt").write_text("\n".join(lines), "utf-8")
        wave, rate = read_audio(next(folder.glob(f"{story}.mp3")))
        at = (its[count // 2 - 1].end + its[count // 2].start) / 2
        noise = np.random.default_rng(number).standard_normal(round(NOISE_SECONDS * rate))
        level = float(np.sqrt(np.mean(np.square(wave, dtype=np.float64))))
        place = round(at * rate)
        soundfile.write(
            out / f"{story}.flac",
            np.concatenate([wave[:place], (level * noise).astype(np.float32), wave[place:]]),
            rate,
        )
        noises[story] = (at, at + NOISE_SECONDS)
        changed[story] = [
            Page(
                start=page.start + (NOISE_SECONDS if page.start > at else 0.0),
                end=page.end + (NOISE_SECONDS if page.start > at else 0.0),
                text="" if k in (0, lost) else page.text,
            )
            for k, page in enumerate(its)
        ]
    return changed, foreign, noises


def join(folder: Path, out: Path, seconds: float = 3600.0) -> None:
    """Write an hour of the stories, again and again, and their texts, as one recording."""
    import soundfile

    out.mkdir()
    texts, done, rate = [], 0.0, 24_000
    with soundfile.SoundFile(out / "hour.flac", "w", rate, 1) as file:
        while done < seconds:
            for path in sorted(folder.glob("*.mp3")):
                from ns2.pipeline.sound.decode import resample

                wave, own = read_audio(path)
                file.write(resample(wave, own, rate))
                texts.append(path.with_suffix(".txt").read_text("utf-8"))
                done += len(wave) / own
                if done >= seconds:
                    break
    (out / "hour.txt").write_text("\n\n".join(texts), "utf-8")


def run(recordings: Path, out: Path) -> tuple[float, int]:
    """Run the command; the seconds that it took, and the bytes of its peak."""
    begin = time.monotonic()
    command = [sys.executable, "-m", "ns2.cli", "segment", str(recordings), "-o", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    sampler = Sampler(process.pid)
    sampler.start()
    process.wait()
    sampler.stop()
    return time.monotonic() - begin, peaks(sampler.samples)[1]


def wrong_words(cuts: Iterable[tuple[Path, Piece | None, str]]) -> float:
    """The share of words that Whisper base hears wrongly."""
    from ns2.train.evaluation.judges.recognisers import open_recogniser
    from ns2.train.evaluation.judges.words import spoken_words, word_errors

    recogniser = open_recogniser()
    wrong = said = 0
    for audio, piece, text in cuts:
        wave, rate = read_audio(audio, piece)
        words = spoken_words(text, "en-us")
        heard = spoken_words(recogniser.text(wave, rate, "en-us"), "en-us")
        wrong += word_errors(heard, words).total
        said += len(words)
    return wrong / max(said, 1)


def main() -> None:
    """Measure, and print the figures."""
    assert __doc__
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("recordings", type=Path)
    parser.add_argument("--hour", action="store_true", help="cut an hour in one file, too")
    parser.add_argument("--wer", type=Path, metavar="MANIFEST", help="count wrong words, too")
    parser.add_argument("--few", type=int, metavar="N", help="of --wer: only each Nth utterance")
    asked = parser.parse_args()
    show_machine(machine(), 1)
    pages = read_pages(asked.recordings)
    with tempfile.TemporaryDirectory() as name:
        room = Path(name)
        took, peak = run(asked.recordings, room / "plain")
        cuts = read_manifest(room / "plain")
        measure(pages, cuts).show(f"as they are ({took:.0f} s, {peak / 1e9:.2f} GB)")
        changed, foreign, noises = change(asked.recordings, pages, room / "changed")
        took, peak = run(room / "changed", room / "cut")
        figures = measure(changed, read_manifest(room / "cut"), foreign, noises)
        figures.show(f"changed ({took:.0f} s, {peak / 1e9:.2f} GB)")
        if asked.hour:
            join(asked.recordings, room / "hour")
            took, peak = run(room / "hour", room / "hour_cut")
            count = sum(map(len, read_manifest(room / "hour_cut").values()))
            print(f"an hour: {took:.0f} s, {peak / 1e9:.2f} GB, {count} pieces")
        if asked.wer:
            step = asked.few or 1
            rows = [json.loads(line) for line in asked.wer.read_text("utf-8").splitlines()]
            clips = [(asked.wer.parent / row["audio"], None, row["text"]) for row in rows[::step]]
            pieces = [
                (cut.audio, Piece(offset=cut.start, duration=cut.end - cut.start), cut.text)
                for its in cuts.values()
                for cut in its
            ][::step]
            print(f"wrong words: pieces {wrong_words(pieces):.2%}, clips {wrong_words(clips):.2%}")


if __name__ == "__main__":
    main()
