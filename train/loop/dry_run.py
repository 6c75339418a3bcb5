"""What a training would take: `ns2 train --dry-run`. Nothing is written.

Epochs are planned, and some steps of the first are cut into targets and prompts as they will be, so
that what is computed is known. The largest steps are done for real, forwards and backwards, with an
update that is thrown away.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ns2.model.tts.parameters import count_parts
from ns2.pipeline.core.progress import duration
from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.train.data.computed import computed, cut_lengths, expected_lengths
from ns2.train.data.epochs import EpochPlan, Lengths
from ns2.train.data.prefetch import Reader
from ns2.train.data.selection import Data
from ns2.train.loop.origin import Origin
from ns2.train.loop.planning import planned, within_epochs
from ns2.train.run.settings import TrainConfig
from ns2.train.run.train_options import TrainOptions
from ns2.train.step.build import border_ids, sizes_of
from ns2.train.step.ranks import Ranks, chosen_device, peak_memory
from ns2.train.step.room import enough_room
from ns2.train.step.tally import Share
from ns2.train.step.trainer import Trainer

_REPEATED_BELOW = 20.0
"""Seconds: the largest step is done again if it took less, since the first time includes
preparations."""
EPOCHS = 20
"""So many planned epochs are searched for the largest step, at most."""
_SEARCHED = 10_000_000
"""Epochs that are searched together have so many utterances, at most, apart from the first."""
_LOOKED_AT = 32
"""Steps of an epoch that are looked at closely, at most: of the first for its padding, of each for
the largest one, which are those that would be largest on one device."""


@dataclass(frozen=True, order=True)
class Large:
    """A large step.

    Attributes:
        frames: that one process computes at once in it, padding included.
        epoch, step: its place.
        rank: the process.
    """

    frames: int
    epoch: int
    step: int
    rank: int


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What the largest step took.

    Attributes:
        frames: of the step that all devices together computed, padding included.
        seconds: of one device, for its share.
        memory: the most bytes in use, on the GPU or by this process.
    """

    frames: int
    seconds: float
    memory: int


@dataclass(frozen=True, kw_only=True)
class Padding:
    """What is computed in an epoch, as some of its steps show.

    Attributes:
        work: frames of targets and prompts in those steps.
        computed: the same with padding.
        steps: how many steps were looked at.
    """

    work: int
    computed: int
    steps: int


def dry_run(
    config: TrainConfig,
    data: Data,
    options: TrainOptions,
    origin: Origin | None = None,
    ready: Callable[[], object] = lambda: None,
) -> str:
    """Plan epochs, try the largest step, and describe both.

    Args:
        origin: the run whose weights the run would begin with; None for random weights.
        options: of these the device, the number of devices that share a step, and `compile`.
        ready: waits until the data are prepared, which may go on while epochs are planned; what is
            wrong with them is told rather than what comes of it.
    """
    try:
        return _planned_and_tried(config, data, options, origin, ready)
    except Exception:
        ready()
        raise


def _planned_and_tried(
    config: TrainConfig,
    data: Data,
    options: TrainOptions,
    origin: Origin | None,
    ready: Callable[[], object],
) -> str:
    """See `dry_run`."""
    devices = options.devices
    table = None if origin is None else origin.table(data)
    if origin is not None and origin.record is None:
        origin.check(data, origin.weights())
    data = data.mixed_by(config.mix, config.epoch_utterances)
    config, ended = within_epochs(config, data)
    plan = planned(config, data, 0)
    epochs = config.steps / len(plan)
    searched = min(EPOCHS, -(-config.steps // len(plan)), max(1, _SEARCHED // len(plan.order)))
    large = largest_steps(config, data, devices, searched, plan)
    ready()
    trial = try_steps(config, data, large, options, plan, table)
    padding = padding_of(config, data, plan, devices)
    parts = count_parts(config.model, sizes_of(data.datasets[0], table or data.table))
    parameters = sum(part.parameters for part in parts)
    hours = int(data.frames.sum(dtype=np.int64)) / data.grid.frame_rate / 3600
    epoch_seconds = trial.seconds * padding.computed / padding.steps * len(plan) / trial.frames
    on = "one device" if devices == 1 else f"{devices} devices"
    of = "of the GPU" if chosen_device(options.device) == "cuda" else "of this process"
    rows = {
        "utterances": f"{len(data):,} ({hours:.2f} h)",
        **({"mix": mixture_text(data, config, plan)} if data.mixture is not None else {}),
        "an epoch": f"{len(plan):,} steps of at most {config.global_frames:,} frames"
        f"{', prompts included' if config.plan == 2 else ''}",
        "padding": f"{1 - padding.work / padding.computed:.1%} of what {on} compute"
        f"{'s' if devices == 1 else ''}, in {padding.steps} steps",
        "epochs": f"{epochs:,.1f} in {config.steps:,} steps" + (f"; {ended}" if ended else ""),
        "parameters": f"{parameters / 1e6:.1f} M",
        "memory": f"{trial.memory / 2**30:.2f} GiB {of} in the largest step of "
        f"{'the first epoch' if searched == 1 else f'{searched} epochs'}",
        "a step": f"{trial.seconds:.2f} s for {trial.frames:,} frames, "
        f"{trial.frames / trial.seconds:,.0f} frames/s, padding included",
        "time": f"{duration(epoch_seconds)} an epoch, {duration(epoch_seconds * epochs)} in all, "
        "validation and samples aside",
    }
    return "\n".join(f"{name:<13} {text}" for name, text in rows.items())


def mixture_text(data: Data, config: TrainConfig, plan: EpochPlan) -> str:
    """What a mixture makes of an epoch: its length, how often utterances come, datasets' shares."""
    assert data.mixture is not None
    times = np.bincount(plan.order, minlength=len(data))
    hours = plan.total_frames / data.grid.frame_rate / 3600
    of = np.bincount(data.dataset_of, times, len(data.datasets)) / len(plan.order)
    shares = (f"{one.root.name} {share:.2%}" for one, share in zip(data.datasets, of, strict=True))
    return (
        f"{config.mix or 'none'}: {len(plan.order):,} utterances an epoch ({hours:.2f} h), each "
        f"{times.min()} to {times.max()} times; {', '.join(shares)}"
    )


def largest_steps(
    config: TrainConfig, data: Data, devices: int, epochs: int, first: EpochPlan | None = None
) -> list[Large]:
    """The steps of some epochs in which a process computes most at once, as far as plans know.

    Args:
        first: the plan of the first epoch; None makes it.

    Returns:
        the one with the most frames, and the one with the most frames of targets, which take more
        memory than prompts; once if they are the same.
    """
    most: list[Large] = []
    for epoch in range(epochs):
        plan = first if first is not None and not epoch else planned(config, data, epoch)
        lengths = expected_lengths(plan, config.model.prompt)
        targets = Lengths(lengths.targets, np.zeros_like(lengths.prompts))
        found = [_largest(config, plan, epoch, one, devices) for one in (lengths, targets)]
        most = [max(pair) for pair in zip(most, found, strict=True)] if most else found
    places = {(one.epoch, one.step, one.rank): one for one in reversed(most)}
    return list(reversed(places.values()))


def _largest(
    config: TrainConfig, plan: EpochPlan, epoch: int, lengths: Lengths, devices: int
) -> Large:
    """The step of an epoch in which a process computes most frames of these lengths at once."""
    starts, count = plan.starts[:-1], np.diff(plan.starts)
    sides = (np.maximum.reduceat(one, starts) for one in (lengths.targets, lengths.prompts))
    nearly = count * sum(sides)
    found = []
    for number in np.argsort(-nearly, kind="stable")[:_LOOKED_AT].tolist():
        each = computed(
            lengths.part(plan.places(number)),
            plan.rank_of(number, devices),
            devices,
            multiple=config.frame_multiple,
            parts=config.accumulate,
        ).max(1)
        found.append(Large(int(each.max()), epoch, number, int(each.argmax())))
    return max(found)


def padding_of(config: TrainConfig, data: Data, plan: EpochPlan, devices: int) -> Padding:
    """Count what is computed in steps spread over an epoch, the first."""
    numbers = np.unique(np.linspace(0, len(plan) - 1, _LOOKED_AT).astype(int)).tolist()
    border = border_ids(data.table)
    work = frames = 0
    for number in numbers:
        utterances = plan.step(number)
        lengths = cut_lengths(
            plan.frames_of(number),
            data.prompts_of_others(
                utterances,
                plan.turns_of(number),
                seed=config.seed,
                epoch=0,
                config=config.model.prompt,
            ),
            plan.seeds(number, config.seed, 0),
            plan.prompt_share(number),
            _tokens(data, utterances, border),
            config.model.prompt,
        )
        ranks = plan.rank_of(number, devices)
        parts = {"multiple": config.frame_multiple, "parts": config.accumulate}
        work, frames = (
            work + lengths.work,
            frames + int(computed(lengths, ranks, devices, **parts).sum()),
        )
    return Padding(work=work, computed=frames, steps=len(numbers))


def _tokens(
    data: Data, utterances: np.ndarray, border: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Durations of utterances' phonemes, and which of them are no phones."""
    durations, phonemes = (data.read_many(name, utterances) for name in ("durations", "phonemes"))
    for one, ids in zip(durations, phonemes, strict=True):
        yield one, border[ids]


def try_steps(
    config: TrainConfig,
    data: Data,
    large: list[Large],
    options: TrainOptions,
    first: EpochPlan | None = None,
    table: PhonemeTable | None = None,
) -> Trial:
    """Do one device's share of some steps, and throw away what it changed.

    Args:
        first: the plan of the first epoch; None makes it.
        table: see `Trainer`.

    Returns:
        frames and seconds of the first, and the most memory of all.

    Raises:
        RoomError: the device has no room for one of them.
    """
    trials = list[tuple[int, float]]()
    with Ranks(options.device) as ranks:
        trainer = Trainer(config, data, ranks, compiled=options.compile, table=table)
        trainer.model.train()
        for one in large:
            reader = Reader(
                data,
                trainer.share,
                seed=config.seed,
                global_frames=config.global_frames,
                start=(one.epoch, one.step),
                plan=None if one.epoch else first,
                epochs=one.epoch + 1,
                rank=one.rank,
                ranks=options.devices,
                ahead=1,
                other_below=config.model.prompt.whole_below,
                prompts=config.model.prompt if config.plan == 2 else None,
            )
            with reader:
                step = next(reader)
            seconds = _timed(trainer, step.batch)
            if not trials and seconds < _REPEATED_BELOW:
                seconds = _timed(trainer, step.batch)
            frames = options.devices * int(step.batch.counted.computed) if step.batch else 0
            trials.append((frames, seconds))
        memory = peak_memory(ranks.device)
    return Trial(frames=trials[0][0], seconds=trials[0][1], memory=memory)


def _timed(trainer: Trainer, share: Share | None) -> float:
    """The seconds that a step takes."""
    began = time.perf_counter()
    with enough_room(trainer, share):
        trainer.learn(share)
    return time.perf_counter() - began
