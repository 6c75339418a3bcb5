"""Train the network that moves the borders of `--aligner-init bundled`.

    python -m ns2.train.bundled.make_border_refiner WORK [--out border_refiner.safetensors]

It learns from corpora whose borders are known: espeak-ng and the voices of Festival from which the
aligner's network learned speak sentences and single words in several languages, clean, in rooms
and over noise, and an aligner is trained on each, with one of the networks that come with ns2, so
that borders err as those of speech that a network knows well or not. In some corpora some phones
go by the names of others. What is learned is by how many frames a border is off.

WORK becomes a folder with what each corpus gave; a run that was stopped goes on. It takes three
quarters of an hour of one core. Festival and its voices have to be installed, as for
`make_aligner_people`. The same machine makes the same bytes.

Letters for shapes: B borders, O moves.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from ns2.model.aligner.alignment import align, views_of
from ns2.model.aligner.refinement import MOST, REACH, BorderRefiner, BorderViews
from ns2.pipeline.align.aligner_file import default_config
from ns2.pipeline.align.bundled_network import (
    HEADER,
    NetworkName,
    network_file,
    network_of,
    refiner_file,
    unrefined_network,
)
from ns2.pipeline.core.atomic import atomic_write
from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.train.bundled.aligner_people.festival import (
    HEARD,
    VOICES,
    festival_sentences,
    festival_words,
)
from ns2.train.bundled.aligner_people.surroundings import (
    faded,
    quiet_room,
    surrounded,
    trimmed,
    worn,
)
from ns2.train.bundled.border_trust.judged import ids_of, mel_transform, trained
from ns2.train.bundled.border_trust.told import Told, renamed, tokens_of, told_of
from ns2.train.bundled.labelled_speech import (
    ECHOING,
    HOP,
    LANGUAGES,
    SAMPLE_RATE,
    VARIANTS,
    Labelled,
    labelled,
    sentence,
    spoil,
    word,
)

CREDITS = Path(__file__).with_name("CREDITS.md")
SEED, CORPORA, STEPS, BATCH, RATE = 9100, 200, 8000, 512, 1.5e-3
WIDTH = 96
JITTER = 2
"""The most frames by which what is seen of a border is moved in training, half of the time."""
_FAR = 5.0
"""Borders that are farther off than so many frames are lost, and teach nothing."""
_MIXED = 8
"""The corpora that a batch is drawn from."""
_NAMELESS = 0.1
"""How often the name of a phone is hidden."""
_FESTIVAL, _WORDS, _SURROUNDED, _ECHO = 0.55, 0.3, 0.3, 0.3
"""The shares of corpora that Festival speaks, and that are single words; of the sentences that lie
between silences; and of espeak-ng's utterances in a voice that has an echo."""
_SIZES = (24, 48, 96, 192)
_WORDS_FOR_ONE = 3
"""The words that there are in place of one sentence."""
_RENAMED = (0, 0, 0, 2, 4)
_NETWORKS: tuple[NetworkName, ...] = ("bundled", "bundled", "bundled", "bundled-1", "bundled-2")

Wear = Callable[[np.ndarray, np.random.Generator], np.ndarray]
_WEAR: tuple[Wear | None, ...] = (None, None, worn, worn, spoil)


@dataclass(frozen=True, kw_only=True)
class Learned:
    """The borders of a corpus.

    Attributes:
        views: of them, `REACH` + `JITTER` frames wide on either side.
        off: (B,) the frames by which the true border is later.
        engine: (B,) the engine that spoke.
    """

    views: BorderViews
    off: Tensor
    engine: Tensor


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, see the docstring of the module."""
    parser = argparse.ArgumentParser(prog="python -m ns2.train.bundled.make_border_refiner")
    add = parser.add_argument
    add("work", type=Path, metavar="WORK", help="The folder to work in.")
    add("--out", type=Path, default=refiner_file(), help="The file to write.")
    add("--corpora", type=int, default=CORPORA, help="The number of corpora.")
    add("--steps", type=int, default=STEPS, help="The number of training steps.")
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    args.work.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    corpora = [kept(args.work, number, began) for number in range(args.corpora)]
    phones = network_of(network_file("bundled").read_bytes())[1]
    torch.manual_seed(SEED)
    refiner = BorderRefiner(WIDTH, len(phones))
    learn(refiner, corpora, args.steps)
    write_refiner(refiner, args.out)
    print(f"{args.out}: {args.out.stat().st_size:,} bytes, {time.monotonic() - began:.0f} s")


def kept(work: Path, number: int, began: float) -> Learned:
    """The borders of a corpus, which are kept in a file."""
    path = work / f"corpus{number}.safetensors"
    if not path.is_file():
        one = _learned(number)
        with atomic_write(path) as file:
            file.write(save({**vars(one.views), "off": one.off, "engine": one.engine}))
    found = load_file(path)
    off, engine = found.pop("off"), found.pop("engine")
    error = float(off.abs().clamp_max(_FAR).mean()) * 1000 * HOP / SAMPLE_RATE
    print(
        f"{path.stem}: {len(off)} borders, {error:.1f} ms off, {time.monotonic() - began:.0f} s",
        flush=True,
    )
    return Learned(views=BorderViews(**found), off=off, engine=engine)


def _learned(number: int) -> Learned:
    """What is learned from the borders of a corpus; views in half precision."""
    rng = random.Random(SEED + number)
    engine = int(rng.random() < _FESTIVAL)
    told = renamed(spoken(rng, SEED + number, engine), rng.choice(_RENAMED), rng)
    transform, examples = mel_transform(), []
    for one in told:
        mel, ids = transform(torch.from_numpy(one.wave)).half(), ids_of(one.words)
        if ids is not None and len(ids) < mel.shape[1]:
            examples.append((one, mel, ids))
    name = rng.choice(_NETWORKS)
    network = unrefined_network(PhonemeTable.default(), name)
    aligner = trained([(mel, ids) for _, mel, ids in examples], network, default_config(name))
    views, off = [], []
    for one, mel, ids in examples:
        durations = align(aligner, mel, ids).durations
        _, seconds = tokens_of(one.words)
        truth = torch.from_numpy(seconds * SAMPLE_RATE / HOP)
        seen = views_of(aligner, mel, ids, durations, REACH + JITTER)
        error = (truth - (durations.cumsum(0) - durations))[durations > 0][1:]
        near = error.abs() <= _FAR
        found = {
            name: value[near].half() if value.is_floating_point() else value[near]
            for name, value in vars(seen).items()
        }
        views.append(BorderViews(**found))
        off.append(error[near].float())
    errors = torch.cat(off)
    return Learned(views=joined(views), off=errors, engine=torch.full((len(errors),), engine))


def joined(views: Sequence[BorderViews]) -> BorderViews:
    """The views of some borders and of others together."""
    names = [field.name for field in fields(BorderViews)]
    return BorderViews(**{name: torch.cat([getattr(v, name) for v in views]) for name in names})


def spoken(rng: random.Random, seed: int, engine: int) -> list[Told]:
    """A corpus as an engine speaks it and as it is recorded."""
    noise, alone = np.random.default_rng(seed), rng.random() < _WORDS
    size, wear = rng.choice(_SIZES) * (_WORDS_FOR_ONE if alone else 1), rng.choice(_WEAR)
    speech = _ENGINES[engine](rng, seed, size, alone)

    def recorded(one: Labelled) -> Labelled:
        if alone or rng.random() < _SURROUNDED:
            one = surrounded(one, noise)
        if wear is None:
            return replace(one, wave=quiet_room(faded(one, noise).wave, noise))
        return replace(one, wave=wear(one.wave, noise))

    told = [told_of(recorded(one), rng) for one in speech]
    return [one for one in told if one.words]


def _by_festival(rng: random.Random, seed: int, size: int, alone: bool) -> Iterator[Labelled]:
    """Utterances by a voice, or by all voices of its language."""
    chosen = rng.choice(HEARD)
    language = VOICES[chosen].language
    all_of_them = [voice for voice in HEARD if VOICES[voice].language == language]
    voices = all_of_them if rng.random() < 0.5 else [chosen]
    for voice in voices:
        speak = festival_words if alone else festival_sentences
        yield from speak(math.ceil(size / len(voices)), seed, voice)


def _by_espeak(rng: random.Random, seed: int, size: int, alone: bool) -> Iterator[Labelled]:
    """Utterances of a language by one, a few or all variants."""
    language = "en-us" if rng.random() < 0.4 else rng.choice(LANGUAGES)
    variants = rng.sample(VARIANTS, rng.choice((1, 4, len(VARIANTS))))
    while size:
        text = word(rng, language) if alone else sentence(rng, language)
        voice = f"{language}+{rng.choice(ECHOING if rng.random() < _ECHO else variants)}"
        stretch = rng.uniform(0.85, 1.18) if rng.random() < 0.5 else 1.0
        pace, pitch = rng.randint(110, 210), rng.randint(25, 75)
        one = labelled(text, language, voice, pace, pitch, stretch)
        if one is not None and alone:
            one = trimmed(one)
        if one is not None:
            size -= 1
            yield one


_ENGINES = (_by_espeak, _by_festival)
"""The engines, in the order of their numbers."""


def learn(refiner: BorderRefiner, corpora: Sequence[Learned], steps: int) -> None:
    """Train a refiner by the cross-entropy of moves.

    A border that is off by a part of a frame belongs to the two nearest moves.
    """
    rng = np.random.default_rng(SEED)
    sizes = np.array([len(one.off) for one in corpora], float)
    optimiser = torch.optim.AdamW(refiner.parameters(), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, steps)
    refiner.train().requires_grad_(True)
    for step in range(steps):
        chosen = rng.choice(len(corpora), _MIXED, p=sizes / sizes.sum())
        parts = [drawn(corpora[i], BATCH // _MIXED, rng) for i in chosen]
        views = joined([part.views for part in parts])
        off, engine = (torch.cat([getattr(p, n) for p in parts]) for n in ("off", "engine"))
        loss = -(targets(off) * refiner(views, engine)).sum(1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if (step + 1) % 1000 == 0:
            print(f"step {step + 1} of {steps}, loss {float(loss.detach()):.3f}", flush=True)
    refiner.eval().requires_grad_(False)


def drawn(corpus: Learned, count: int, rng: np.random.Generator) -> Learned:
    """Random borders of a corpus, some of which are moved; what is seen is `REACH` wide."""
    rows = torch.from_numpy(rng.integers(0, len(corpus.off), count))
    moves = rng.integers(-JITTER, JITTER + 1, count) * (rng.random(count) < 0.5)
    by = torch.from_numpy(moves)
    nameless = torch.from_numpy(rng.random((count, 2)) < _NAMELESS)
    place = (JITTER + by)[:, None] + torch.arange(2 * REACH)
    views, row = corpus.views, torch.arange(count)[:, None]
    moved = BorderViews(
        heard=views.heard[rows].transpose(1, 2)[row, place].transpose(1, 2),
        frames=views.frames[rows] + torch.stack([by, -by], 1),
        phones=views.phones[rows].masked_fill(nameless, -1),
        trust=views.trust[rows],
    )
    return Learned(views=moved, off=corpus.off[rows] - by, engine=corpus.engine[rows])


def targets(off: Tensor) -> Tensor:
    """How probable each move (B, O) is of borders that are off by so many frames (B,)."""
    moves = torch.arange(-MOST, MOST + 1)
    return (1 - (off.clamp(-MOST, MOST)[:, None] - moves).abs()).clamp_min(0)


def write_refiner(refiner: BorderRefiner, path: Path) -> None:
    """Write a refiner in half precision, with what it was learned from."""
    tensors = {name: value.half().contiguous() for name, value in refiner.state_dict().items()}
    about = {"credits": CREDITS.read_text("utf-8")}
    with atomic_write(path) as file:
        file.write(save(tensors, {HEADER: json.dumps(about, ensure_ascii=False)}))


if __name__ == "__main__":
    main()
