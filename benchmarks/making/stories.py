"""Stories with known borders of pages, and what `benchmarks.segments` makes of them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ns2.pipeline.sound.decode import read_audio, resample

NOISE_SECONDS = 20.0
PAUSE_SECONDS = 0.7
"""Between the clips of a manifest that are joined."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page of a story: where its speech lies, and its text; "" where it isn't in the text."""

    start: float
    end: float
    text: str


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
        wave, rate = read_audio(recording_of(folder, story))
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
            for path in sorted(folder.glob("*.txt")):
                wave, own = read_audio(recording_of(folder, path.stem))
                file.write(resample(wave, own, rate))
                texts.append(path.read_text("utf-8"))
                done += len(wave) / own
                if done >= seconds:
                    break
    (out / "hour.txt").write_text("\n\n".join(texts), "utf-8")


def join_clips(manifest: Path, out: Path, clips: int = 20) -> None:
    """Write recordings of some clips each, with pauses between them, their texts and borders."""
    import soundfile

    out.mkdir()
    rows = [json.loads(line) for line in manifest.read_text("utf-8").splitlines()]
    borders = ["story\tclip\tstart\tend"]
    for first in range(0, len(rows), clips):
        story, rate = f"joined-{first // clips:03d}", 24_000
        waves, at = [np.zeros(rate, np.float32)], 1.0
        for row in rows[first : first + clips]:
            wave = resample(*read_audio(manifest.parent / row["audio"]), rate)
            borders.append(f"{story}\t{row['id']}\t{at:.3f}\t{at + len(wave) / rate:.3f}")
            waves += [wave, np.zeros(round(PAUSE_SECONDS * rate), np.float32)]
            at += len(wave) / rate + PAUSE_SECONDS
        soundfile.write(out / f"{story}.flac", np.concatenate(waves), rate)
        texts = [" ".join(row["text"].split()) for row in rows[first : first + clips]]
        (out / f"{story}.txt").write_text("\n".join(texts), "utf-8")
    (out / "page_borders.tsv").write_text("\n".join(borders), "utf-8")


def recording_of(folder: Path, story: str) -> Path:
    """The audio of a story."""
    return next(path for path in sorted(folder.glob(f"{story}.*")) if path.suffix != ".txt")
