"""`ns2 segment` against known borders of pages: what is kept, where it is cut, time and memory.

    python -m benchmarks.segments RECORDINGS [--hour] [--wer CLIPS/manifest.jsonl]
    python -m benchmarks.segments --clips CLIPS/manifest.jsonl --language de

RECORDINGS holds stories (x.mp3 and x.txt, a line of text for each page) and page_borders.tsv with
the columns story, clip, start and end: where the speech of each page lies, in seconds. First they
are cut as they are. Then each is changed: the title is not written, the text lacks a page and has a
page of another story, and 20 s of noise lie between two pages. `--hour` cuts an hour of them in one
file; `--wer` counts the words that Whisper base hears wrongly in the pieces, and in the clips of a
manifest. `--clips` measures recordings that are joined from the clips of a manifest.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
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

from benchmarks.making.stories import Page, change, join, join_clips, read_pages
from benchmarks.support.machine import machine, show_machine
from benchmarks.support.memory import Sampler, peaks
from ns2.pipeline.core.schema import Piece
from ns2.pipeline.sound.decode import read_audio

FAR_SECONDS = 0.3
"""Ends that lie further from a border are shown."""


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
    begins: list[tuple[str, float]] = field(default_factory=list)
    ends: list[tuple[str, float]] = field(default_factory=list)
    foreign_words: int = 0
    foreign_kept: int = 0
    unwritten: float = 0.0
    unwritten_kept: float = 0.0
    noise_kept: float = 0.0

    def show(self, name: str) -> None:
        """Print them."""
        lengths, shares = np.array(self.lengths), np.array(self.shares)
        begins, ends = (np.array([at for _, at in one]) for one in (self.begins, self.ends))
        errors = np.abs(np.concatenate([begins, ends]))
        print(name, flush=True)
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
            f"{np.mean(errors <= 0.15):.1%}; in the median "
            f"begins {1000 * np.median(begins):+.0f} ms, ends {1000 * np.median(ends):+.0f} ms"
        )
        for text, error in self.begins + self.ends:
            if abs(error) > FAR_SECONDS:
                print(f"    {error:+.2f} s: {text}")
        if self.foreign_words or self.unwritten:
            print(
                f"  wrong: of {self.foreign_words} words that are not spoken "
                f"{self.foreign_kept} are in pieces; of {self.unwritten:.0f} s of speech that is "
                f"not written {self.unwritten_kept:.1f} s; of the noise {self.noise_kept:.1f} s"
            )


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
        early, late = _errors(its, pieces)
        figures.begins += early
        figures.ends += late
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


def _errors(
    pages: Sequence[Page], pieces: Sequence[Cut]
) -> tuple[list[tuple[str, float]], list[tuple[str, float]]]:
    """How far pieces that begin or end with a page lie from its borders, in seconds.

    A piece begins with a page if its first word is that page's first in the text of the story:
    stories repeat themselves, so the words alone do not say which page they are of.
    """
    written = [word for page in pages for word in plain(page.text)]
    last = np.cumsum([len(plain(page.text)) for page in pages])
    cut = [word for piece in pieces for word in plain(piece.text)]
    place = np.full(len(cut), -1)
    for block in SequenceMatcher(None, written, cut, autojunk=False).get_matching_blocks():
        place[block.b : block.b + block.size] = np.arange(block.a, block.a + block.size)
    begins = {
        int(end) - len(plain(p.text)): p for end, p in zip(last, pages, strict=True) if p.text
    }
    ends = {int(end) - 1: p for end, p in zip(last, pages, strict=True) if p.text}
    early, late, at = [], [], 0
    for piece in pieces:
        size = len(plain(piece.text))
        if size and (page := begins.get(int(place[at]))):
            early.append((piece.text, piece.start - page.start))
        at += size
        if size and (page := ends.get(int(place[at - 1]))):
            late.append((piece.text, piece.end - page.end))
    return early, late


def run(recordings: Path, out: Path, language: str) -> str:
    """Run the command; what it took, in words: a busy machine changes the first, not the second."""
    begin, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "ns2.cli", "segment", str(recordings), "-o", str(out)]
    command += ["--language", language]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    sampler = Sampler(process.pid)
    sampler.start()
    process.wait()
    sampler.stop()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    took, peak = time.monotonic() - begin, peaks(sampler.samples)[1]
    return f"{took:.0f} s, of a processor {cpu:.0f} s, {peak / 1e9:.2f} GB"


def wrong_words(cuts: Iterable[tuple[Path, Piece | None, str]], language: str) -> str:
    """The words that Whisper base hears wrongly, of all, and their share."""
    from ns2.train.evaluation.judges.recognisers import open_recogniser
    from ns2.train.evaluation.judges.words import spoken_words, word_errors

    recogniser = open_recogniser()
    wrong = said = 0
    for audio, piece, text in cuts:
        wave, rate = read_audio(audio, piece)
        words = spoken_words(text, language)
        heard = spoken_words(recogniser.text(wave, rate, language), language)
        wrong += word_errors(heard, words).total
        said += len(words)
    return f"{wrong} of {said} ({wrong / max(said, 1):.2%})"


def main() -> None:
    """Measure, and print the figures."""
    assert __doc__
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("recordings", type=Path, nargs="?")
    parser.add_argument("--clips", type=Path, metavar="MANIFEST", help="join these")
    parser.add_argument("--language", default="en-us", help="of the texts")
    parser.add_argument("--hour", action="store_true", help="cut an hour in one file, too")
    parser.add_argument("--wer", type=Path, metavar="MANIFEST", help="count wrong words, too")
    parser.add_argument("--few", type=int, metavar="N", help="of --wer: only each Nth utterance")
    asked = parser.parse_args()
    if (asked.recordings is None) == (asked.clips is None):
        parser.error("name either RECORDINGS or --clips")
    show_machine(machine(), 1)
    with tempfile.TemporaryDirectory() as name:
        room, language = Path(name), asked.language
        recordings = asked.recordings
        if asked.clips:
            recordings = room / "joined"
            join_clips(asked.clips, recordings)
        pages = read_pages(recordings)
        took = run(recordings, room / "plain", language)
        cuts = read_manifest(room / "plain")
        measure(pages, cuts).show(f"as they are ({took})")
        changed, foreign, noises = change(recordings, pages, room / "changed")
        took = run(room / "changed", room / "cut", language)
        figures = measure(changed, read_manifest(room / "cut"), foreign, noises)
        figures.show(f"changed ({took})")
        if asked.hour:
            join(recordings, room / "hour")
            took = run(room / "hour", room / "hour_cut", language)
            count = sum(map(len, read_manifest(room / "hour_cut").values()))
            print(f"an hour: {took}, {count} pieces", flush=True)
        if asked.wer:
            step = asked.few or 1
            rows = [json.loads(line) for line in asked.wer.read_text("utf-8").splitlines()]
            clips = [(asked.wer.parent / row["audio"], None, row["text"]) for row in rows[::step]]
            pieces = [
                (cut.audio, Piece(offset=cut.start, duration=cut.end - cut.start), cut.text)
                for its in cuts.values()
                for cut in its
            ][::step]
            wrong = [wrong_words(its, language) for its in (pieces, clips)]
            print(f"wrong words: pieces {wrong[0]}, clips {wrong[1]}")


if __name__ == "__main__":
    main()
