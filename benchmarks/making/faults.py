"""Recordings made bad on purpose: does the measure meant for each fault tell them from the others?

    python -m benchmarks.faults --corpora ../shared/corpora [--of-each 10] [--recordings 200]

The corpora are folders with a manifest, or LJSpeech's layout, below `--corpora`. Of the recordings
up to 8 s long, as many are chosen, from all corpora, and of each kind of fault some are spoilt.
`ns2 preprocess` makes a dataset of them, inline on one core, with the columns that measure quality
(with `--mos` DNSMOS is among them). Printed are, for each fault,
the area under the curve (the chance that a spoilt recording is worse than another one by the
measure), and the speed of each stage in times real time.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from benchmarks.support.machine import machine, show_machine
from ns2.pipeline.core.progress import Progress
from ns2.pipeline.corpora.reading import audio_path, read_corpus
from ns2.pipeline.dataset import Dataset
from ns2.pipeline.preprocess.executors.inline import InlineExecutor
from ns2.pipeline.preprocess.options import Options
from ns2.pipeline.preprocess.run import preprocess
from ns2.pipeline.sound.decode import read_audio, resample

LONGEST = 8.0
"""Seconds of the longest recording that is chosen."""
CORPORA = {
    "ljspeech-sample": 0.1,
    "real/accents-40": 0.35,
    "real/english-reader": 0.25,
    "real/german-reader": 0.15,
    "real/librispeech-250": 0.15,
}
"""The corpora, and the share of the recordings that comes from each."""


def telephone(wave: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    """Nothing above 4 kHz."""
    return resample(resample(wave, rate, 8000), 8000, rate)


def clipped(wave: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    """The highest percent of the samples is cut off."""
    top = np.quantile(np.abs(wave), 0.99)
    return np.clip(wave, -top, top)


def noisy(wave: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    """White noise 10 dB below the recording."""
    return wave + rng.normal(0, np.std(wave) * 10 ** (-10 / 20), len(wave))


def quiet(wave: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    """30 dB quieter."""
    return wave * 10 ** (-30 / 20)


def silent(wave: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    """A second of silence before it, and four behind."""
    return np.pad(wave, (rate, 4 * rate))


FAULTS: dict[str, Callable[..., np.ndarray] | None] = {
    "telephone": telephone,
    "clipped": clipped,
    "noisy": noisy,
    "quiet": quiet,
    "silent": silent,
    "label": None,
    "text": None,
}
"""What is done to a recording; the last two get the label or the text of another one."""
MEASURES: dict[str, tuple[tuple[str, ...], int]] = {
    "telephone": (("bandwidth",), -1),
    "clipped": (("clipped_share",), 1),
    "noisy": (("snr",), -1),
    "quiet": (("lufs",), -1),
    "silent": (("leading_silence", "trailing_silence"), 1),
    "label": (("voice_distance",), 1),
    "text": (("align_score",), -1),
}
"""The measures meant for each fault, which are added, and the sign of what is worse."""


def choose(root: Path, recordings: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Rows of recordings from all corpora, by their share; of speakers together where it can be."""
    rows: list[dict[str, Any]] = []
    for name, share in CORPORA.items():
        corpus = read_corpus(root / name)
        found = [(audio_path(corpus.root, u), u) for u in corpus.utterances]
        short = [(p, u) for p, u in found if soundfile.info(p).duration <= LONGEST]
        speakers = list(rng.permutation(sorted({u.speaker for _, u in short})))
        speakers = (
            speakers[: round(share * recordings) // 3 or 1] if len(speakers) < 100 else speakers
        )
        among = [pair for pair in short if pair[1].speaker in speakers]
        for i in rng.permutation(len(among))[: round(share * recordings)]:
            path, utterance = among[i]
            rows.append(
                {
                    "source": path,
                    "id": f"{Path(name).name}-{len(rows)}",
                    "text": utterance.text,
                    "speaker": f"{Path(name).name}-{utterance.speaker}",
                    "language": utterance.language or "en-us",
                }
            )
    return rows


def spoil(rows: Sequence[dict[str, Any]], of_each: int, rng: np.random.Generator) -> None:
    """Choose which rows get which fault, and exchange labels and texts."""
    counts = {row["speaker"]: 0 for row in rows}
    for row in rows:
        counts[row["speaker"]] += 1
    free = list(rng.permutation(len(rows)))
    several = [name for name, count in counts.items() if count >= 4]
    for fault in reversed(FAULTS):  # labels need speakers of several utterances
        fit = [i for i in free if fault != "label" or rows[i]["speaker"] in several]
        for i in fit[:of_each]:
            free.remove(i)
            row = rows[i]
            row["fault"] = fault
            if fault == "label":
                row["speaker"] = rng.choice([name for name in several if name != row["speaker"]])
            elif fault == "text":
                texts = [r["text"] for r in rows if r["language"] == row["language"]]
                near = sorted(texts, key=lambda text: abs(len(text) - len(row["text"])))
                row["text"] = next(text for text in near if text != row["text"])


def write(rows: Sequence[dict[str, Any]], folder: Path, rng: np.random.Generator) -> None:
    """Write the recordings and their manifest."""
    lines = []
    for row in rows:
        wave, rate = read_audio(row.pop("source"))
        change = FAULTS.get(row.get("fault", ""))
        if change is not None:
            wave = change(wave, rate, rng).astype(np.float32)
        row["audio"] = f"{row['id']}.wav"
        soundfile.write(folder / row["audio"], wave, rate, "FLOAT")
        lines.append(json.dumps({name: str(value) for name, value in row.items()}) + "\n")
    (folder / "manifest.jsonl").write_text("".join(lines))


def area(bad: np.ndarray, good: np.ndarray) -> float:
    """The chance that one of the bad has the higher value; ties count half."""
    higher = bad[:, None] > good[None]
    return float(np.mean(higher + 0.5 * (bad[:, None] == good[None])))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--corpora", type=Path, required=True)
    parser.add_argument("--recordings", type=int, default=200)
    parser.add_argument("--of-each", type=int, default=10)
    parser.add_argument("--mos", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    show_machine(machine(), 1)
    rows = choose(args.corpora, args.recordings, rng)
    spoil(rows, args.of_each, rng)
    with tempfile.TemporaryDirectory() as place:
        corpus, out = Path(place) / "corpus", Path(place) / "shards"
        corpus.mkdir()
        write(rows, corpus, rng)
        columns = ("durations", "quality", "loudness", "voice", *(["mos"] if args.mos else []))
        options = Options(codec="mini", columns=columns)
        summary = preprocess(corpus, out, options, InlineExecutor(), Progress())
        report(Dataset(out), {row["id"]: row.get("fault", "") for row in rows})
    for stage, seconds in summary.stage_seconds.items():
        speed = summary.stage_audio_seconds[stage] / seconds if seconds else 0.0
        print(f"{stage:<12}{speed:>8.0f} times real time")


def report(dataset: Dataset, faults: dict[str, str]) -> None:
    """Print the area under the curve of each fault."""
    found = np.array([faults[name] for name in dataset.index["id"].to_pylist()])
    hours = dataset.card.counts.hours
    print(
        f"{len(dataset)} recordings, {60 * hours:.1f} minutes, {int((found == '').sum())} unspoilt"
    )
    print(f"{'fault':<12}{'by':<36}{'spoilt':>7}{'others':>7}{'area':>8}")
    for fault, (names, sign) in MEASURES.items():
        values = sign * sum(dataset.numbers(name) for name in names)
        said = ~np.isnan(values)
        bad, good = values[said & (found == fault)], values[said & (found == "")]
        print(
            f"{fault:<12}{' + '.join(names):<36}{len(bad):>7}{len(good):>7}{area(bad, good):>8.3f}"
        )


if __name__ == "__main__":
    main()
