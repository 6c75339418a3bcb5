"""Makes the codec that comes with ns2, `model/codec/mini/mini.safetensors`, from recordings.

    python -m ns2.train.bundled.make_mini WORK --lj LJSpeech-1.1 --real REAL --text sentences.txt
        [--out mini.safetensors] [--resume]

WORK becomes a folder with the manifests of what is trained on, with the speech of espeak-ng, and
with two trainings: of the whole codec, first.safetensors, and then of its decoder alone,
second.safetensors. The decoder becomes the mean of both. What is finished there is not made again.
REAL is a folder with the corpora that `MANIFESTS` names, each with a manifest.jsonl; docs/codec.md
says where they come from. What `held_out` names trains nothing, so that figures of the codec are
of voices and sentences that it has never heard.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import torch

from ns2.model.codec.mini.network import MiniNetwork
from ns2.model.codec.mini_codec import load_network, pack_mini
from ns2.model.codec.registry import MINI_WEIGHTS
from ns2.pipeline.core.atomic import atomic_write
from ns2.pipeline.core.progress import Progress, display
from ns2.pipeline.corpora.spoken.espeak import speak_corpus
from ns2.train.bundled.arguments import recordings_arguments
from ns2.train.codec.training import has_begun, train_codec
from ns2.train.codec.training_config import CodecTraining

MANIFESTS = ("english-reader", "librispeech-250", "accents-40", "german-reader")
"""The folders with recordings of people, beside LJSpeech."""
SPEAKERS = ("o0036", "o0594", "o1027", "o1309", "o2022", "o2129", "o2242", "o2621")
"""The speakers of accents-40 that are held out."""
LJ_RECORDINGS = 28
"""The number of recordings of LJSpeech that are trained on, the first of LJ001."""
CREDITS = Path(__file__).with_name("CREDITS.md")
"""What the codec learned from, with licences; its text goes into the metadata of the weights."""
PEOPLE_SHARE = 2.0
"""How often each of `MANIFESTS` is drawn from, beside 1 for each of the other corpora."""
TRAINING = CodecTraining(steps=9_000, batch=8)
DECODER = CodecTraining(
    decoder_only=True,
    steps=2_400,
    batch=8,
    learning_rate=6e-4,
    warmup=100,
    hold=0.4,
    natural=0.6,
    loud=0.6,
    latent_noise=0.1,
    harvest_minutes=1.0,
)
"""The second training. Its loss on loudness makes copies of phones and rooms clearer, and in the
first would make those of quiet recordings noisy."""

_EVERYBODY = [
    f"{language}{variant}"
    for language, variants in (
        ("en-us", ("", "+m1", "+m2", "+m3", "+m5", "+m6", "+f2", "+f4", "+f5")),
        ("en-gb-x-rp", ("+m1", "+m6", "+f1", "+f4")),
        *(
            (other, ("+m2", "+m6", "+f1", "+f4"))
            for other in ("de", "es", "nl", "pt-br", "cs", "hu", "tr", "fr", "pl", "fi", "ro", "id")
        ),
    )
    for variant in variants
]
_LOW = [
    f"{language}+{variant}"
    for language, variant in product(
        ("en-us", "en-gb-x-rp", "de", "es", "pl"),
        ("m1", "m3", "m5", "m6", "Denis", "Henrique", "Mike", "Lee", "robert", "rob", "marcelo"),
    )
]
_NAMED = [
    f"en-us+{variant}"
    for variant in [
        "klatt",
        "klatt2",
        "klatt4",
        "klatt6",
        "Alicia",
        "Andrea",
        "Andy",
        "Annie",
        "AnxiousAndy",
        "Demonic",
        "Denis",
        "Diogo",
        "Gene",
        "Henrique",
        "Hugo",
        "Jacky",
        "Lee",
        "Marco",
        "Michael",
        "Mike",
        "Nguyen",
        "Reed",
        "Tweaky",
        "anika",
        "announcer",
        "antonio",
        "aunty",
        "benjamin",
        "boris",
        "caleb",
        "david",
        "ed",
        "edward",
        "grandma",
        "gustave",
        "ian",
        "iven",
        "john",
        "kaukovalta",
        "marcelo",
        "max",
        "michel",
        "miguel",
        "norbert",
        "pablo",
        "pedro",
        "rob",
        "robert",
        "sandro",
        "shelby",
        "steph",
        "victor",
        "zac",
    ]
]
SPOKEN: dict[str, tuple[Sequence[str], int, tuple[int, int]]] = {
    "common": (_EVERYBODY, 400, (35, 65)),
    "low": (_LOW, 200, (5, 40)),
    "named": (_NAMED, 400, (25, 75)),
}
"""The corpora that espeak-ng speaks: voices, the number of utterances, and the range of pitch."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, see the docstring of the module."""
    parser = recordings_arguments("make_mini")
    parser.add_argument(
        "--text", type=Path, required=True, help="A file with sentences that espeak-ng reads."
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=MINI_WEIGHTS,
        help="The file to write; without it the file of the package is replaced.",
    )
    parser.add_argument(
        "--steps", type=int, default=TRAINING.steps, help="The steps of the first training."
    )
    parser.add_argument(
        "--decoder-steps", type=int, default=DECODER.steps, help="The steps of the second."
    )
    parser.add_argument(
        "--resume", action="store_true", help="A training that was stopped goes on."
    )
    args = parser.parse_args(arguments)
    args.work.mkdir(parents=True, exist_ok=True)
    corpora = [
        *recordings(args.work, args.lj, args.real),
        *spoken(args.work, args.text.read_text("utf-8").splitlines()),
    ]
    first, second = (args.work / f"{name}.safetensors" for name in ("first", "second"))
    with display() as progress:
        if not first.is_file():
            whole = CodecTraining(**{**vars(TRAINING), "steps": args.steps})
            _train(corpora, first, whole, progress, args.resume)
        if not second.is_file():
            alone = CodecTraining(**{**vars(DECODER), "steps": args.decoder_steps})
            _train(corpora, second, alone, progress, args.resume, load_network(first))
    made = mean_of(load_network(first), load_network(second))
    with atomic_write(args.out) as file:
        file.write(pack_mini(made, CREDITS.read_text("utf-8")))


def mean_of(first: MiniNetwork, second: MiniNetwork) -> MiniNetwork:
    """Move the weights of a network half the way to those of another, and return it.

    Source: Wortsman et al. 2021, "Robust fine-tuning of zero-shot models", arXiv:2109.01903.
    """
    with torch.no_grad():
        for one, other in zip(first.parameters(), second.parameters(), strict=True):
            one.lerp_(other, 0.5)
    return first


def _train(
    corpora: Sequence[Path],
    out: Path,
    config: CodecTraining,
    progress: Progress,
    resume: bool,
    init: MiniNetwork | None = None,
) -> None:
    """Do one of the trainings; with `resume` one that was begun goes on."""
    train_codec(
        corpora,
        out,
        config,
        progress,
        init=init,
        resume=resume and has_begun(out),
        credits=CREDITS.read_text("utf-8"),
        shares=[PEOPLE_SHARE if path.stem in MANIFESTS else 1.0 for path in corpora],
    )


def recordings(work: Path, lj: Path, real: Path) -> Iterator[Path]:
    """Write a manifest of each corpus of people, without what is held out.

    Args:
        work: the folder of the manifests.
        lj: the folder of LJSpeech.
        real: the folder of the others.

    Yields:
        the manifests.
    """
    lines = (lj / "metadata.csv").read_text("utf-8").splitlines()
    rows = [dict(zip(("id", "text"), line.split("|"), strict=False)) for line in lines]
    first = [
        {"audio": f"wavs/{row['id']}.wav", **row}
        for row in rows
        if row["id"].startswith("LJ001-") and int(row["id"][6:]) <= LJ_RECORDINGS
    ]
    yield _write(work / "ljspeech.jsonl", lj, first)
    for name in MANIFESTS:
        text = (real / name / "manifest.jsonl").read_text("utf-8")
        every = [json.loads(line) for line in text.splitlines()]
        held = held_out(name, every)
        learned = [row for i, row in enumerate(every) if i not in held]
        yield _write(work / f"{name}.jsonl", real / name, learned)


def held_out(name: str, rows: Sequence[dict[str, Any]]) -> set[int]:
    """The places of the rows of a corpus's manifest that train nothing.

    They are the last 15 of english-reader, the `SPEAKERS` of accents-40, and every tenth of the
    others, counted from the first row as well as from the tenth.
    """
    if name == "english-reader":
        return set(range(len(rows) - 15, len(rows)))
    if name == "accents-40":
        return {i for i, row in enumerate(rows) if row["speaker"] in SPEAKERS}
    return {i for i in range(len(rows)) if i % 10 in (0, 9)}


def spoken(work: Path, lines: Sequence[str]) -> Iterator[Path]:
    """Let espeak-ng speak the corpora of `SPOKEN`, where they are not there yet.

    Args:
        work: the folder of the corpora.
        lines: the sentences.

    Yields:
        the folders.
    """
    sentences = [line.strip() for line in lines if line.strip()]
    for seed, (name, (voices, count, pitch)) in enumerate(SPOKEN.items(), 51):
        folder = work / name
        if not (folder / "done").is_file():
            speak_corpus(folder, count, seed, voices, sentences, pitch)
            (folder / "done").touch()
        yield folder


def _write(path: Path, folder: Path, rows: Sequence[dict[str, Any]]) -> Path:
    absolute = [{**row, "audio": str((folder / row["audio"]).resolve())} for row in rows]
    path.write_text("".join(json.dumps(row) + "\n" for row in absolute), "utf-8")
    return path


if __name__ == "__main__":
    main()
