"""The training of a `mini` codec: `ns2 codec train`.

Beside CODEC.safetensors, the folder `CODEC.training/` holds `checkpoint.pt`, from which the
training goes on, `log.jsonl`, `samples/`, and F0 of all recordings, `f0.npz`. A training that was
stopped and resumed ends with the same weights as an undisturbed one, on the same machine with the
same number of threads.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import torch

from ns2.model.codec.interface import CodecError
from ns2.model.codec.mini.mini_config import SAMPLE_RATE, MiniConfig
from ns2.model.codec.mini.network import MiniNetwork
from ns2.model.codec.mini_1.mini_1_config import Mini1Config, read_any_config
from ns2.model.codec.mini_codec import load_network, pack_mini
from ns2.model.codec.registry import codec_file
from ns2.pipeline.core.atomic import atomic_write, member_folder
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.progress import Progress
from ns2.pipeline.sound.wav import save_wav
from ns2.train.codec.codec_trainer import CodecTrainer
from ns2.train.codec.crops import read_voices
from ns2.train.codec.training_config import CodecTraining
from ns2.train.run.checkpoint import read_state, write_state
from ns2.train.run.step_log import StepLog

_CHECKPOINT, _LOG, _SAMPLES, _PITCH = "checkpoint.pt", "log.jsonl", "samples", "f0.npz"
_LOG_EVERY = 50
_SAMPLE_COUNT = 3


def train_codec(
    corpora: Sequence[Path],
    out: Path,
    config: CodecTraining,
    progress: Progress,
    *,
    device: str = "cpu",
    init: MiniNetwork | None = None,
    resume: bool = False,
    credits: str = "",
    shares: Sequence[float] = (),
) -> float:
    """Train a codec on all recordings of some corpora, and write it.

    Args:
        out: the file to write; the folder of the training lies beside it.
        init: a network of the same sizes whose weights the training begins with.
        resume: go on from the checkpoint of a training that was stopped.
        credits: names the recordings and their licences, for the file's metadata.
        shares: how often each corpus is drawn from, relative to the others; empty where all are
            as often.

    Returns:
        the validation figure, see `CodecTrainer.validate`.

    Raises:
        UserError: a corpus or the device can't be used; or there is a checkpoint and `resume` is
            not set, or none and it is.
    """
    if config.decoder_only and init is None:
        raise UserError("a decoder that learns alone needs the codec that it belongs to: --init")
    folder = out.with_suffix(".training")
    checkpoint = folder / _CHECKPOINT
    if resume != has_begun(out):
        raise UserError(
            f"{checkpoint} does not exist: leave out --resume to begin anew"
            if resume
            else f"{folder} holds a training that was begun: add --resume to go on, or delete it"
        )
    voices = read_voices(
        corpora,
        layout=config.layout,
        sample_rate=SAMPLE_RATE,
        val_share=config.val_share,
        thorough=60 * config.harvest_minutes,
        cache=folder / _PITCH,
        progress=progress,
        shares=shares,
        fields=config.fields,
    )
    try:
        trainer = CodecTrainer(config, voices, device, init)
    except (RuntimeError, AssertionError) as error:  # the latter where torch has no CUDA at all
        raise UserError(f"torch can't use the device {device!r}: {error}; try cpu") from error
    torch.set_flush_denormal(True)  # digital silence would take CPUs many times as long
    member_folder(folder, _SAMPLES)
    if resume:
        trainer.load(read_state(checkpoint, f"delete {folder}, and begin anew"))
    _run(trainer, folder, progress)
    with atomic_write(out) as file:
        file.write(pack_mini(trainer.averaged, credits))
    return trainer.validate()


def has_begun(out: Path) -> bool:
    """Return whether there is a checkpoint of the training that writes a file."""
    return (out.with_suffix(".training") / _CHECKPOINT).is_file()


def _run(trainer: CodecTrainer, folder: Path, progress: Progress) -> None:
    """Do all steps that are left, with validation, log, samples and checkpoints."""
    config = trainer.config
    progress.phase("training", config.steps, unit="steps")
    saved = time.monotonic()
    log = StepLog(folder / _LOG)
    log.cut(trainer.spent.step or -1)  # of a training without a checkpoint nothing stays

    # the figure that the training begins with, for comparison
    if trainer.spent.step == 0:
        first = trainer.validate()
        progress.note(f"step 0: log-mel distance {first:.3f}")
        log.append({"step": 0, "validation": first})

    while trainer.share < 1:
        row = trainer.step()
        done, ends = trainer.spent.step, trainer.share >= 1
        progress.training(done, trainer.steps_expected(), row["mel"])

        # before the last validation and checkpoint: they are of the codec that is written
        if ends:
            trainer.settle()
        validates = ends or done % config.validate_every == 0
        if validates:
            row["validation"] = trainer.validate()
            progress.note(f"step {done}: log-mel distance {row['validation']:.3f}")
            _write_samples(trainer, folder / _SAMPLES)
        if validates or done % _LOG_EVERY == 0:
            log.append(row)
        if ends or time.monotonic() - saved >= config.checkpoint_seconds:
            write_state(trainer.state(), folder / _CHECKPOINT)
            saved = time.monotonic()


def _write_samples(trainer: CodecTrainer, folder: Path) -> None:
    """Write some validation recordings, and the codec's copies of them."""
    for number, (wave, made) in zip(range(_SAMPLE_COUNT), trainer.copies(), strict=False):
        save_wav(folder / f"{number}-recording.wav", wave.numpy(), SAMPLE_RATE)
        save_wav(folder / f"{number}-codec.wav", made.numpy(), SAMPLE_RATE)


def initial_network(name: str, quantizers: int | None) -> MiniNetwork:
    """The network of a codec whose weights a training begins with.

    Args:
        name: "mini", or a file that `ns2 codec train` made.
        quantizers: the number that was asked for; None for no number.

    Raises:
        UserError: there is no such codec, it is EnCodec or the first version of `mini`, or it has
            another number of quantisers.
    """
    try:
        path = codec_file(name)
        if path is None:
            raise UserError(f"--init takes mini or a file of `ns2 codec train`, not {name}")
        if isinstance(read_any_config(path), Mini1Config):
            raise UserError(
                f"{name} is a codec of the first version, which is no longer trained: begin with "
                "--init mini, or without --init"
            )
        network = load_network(path)
    except CodecError as error:
        raise UserError(str(error)) from error
    if quantizers not in (None, network.config.quantizers):
        raise UserError(
            f"{name} has {network.config.quantizers} quantizers: leave out --quantizers or --init"
        )
    return network


def network_sizes(init: MiniNetwork | None, quantizers: int | None) -> MiniConfig:
    """The sizes of the network to train: those of `init`, where there is one."""
    if init is not None:
        return init.config
    return MiniConfig(quantizers=quantizers or MiniConfig.quantizers)
