"""The options of `ns2 train` that are no settings of the training itself; loads no torch.

Each default stands here and nowhere else; the text below a field is the help text of its option.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """The settings to train with, the utterances to train on, and how one start of a run works."""

    preset: str | None = None
    """The preset of model and training: paper, base, small, demo, tiny or seed; or adapt, which
    sets the training alone, with --init.  [default: base; adapt with --init]"""

    init: Path | None = None
    """The run whose averaged weights training begins with, with a new optimiser and schedule: its
    best where it was validated, else its last. The model is that of the run."""

    config: Path | None = None
    """A file of settings in YAML or JSON, which change those of the preset."""

    set: tuple[str, ...] = ()
    """One setting by its dotted name, such as model.width=256, which changes the preset's and the
    file's; may be repeated."""

    steps: int | None = None
    """The number of training steps in all; the same as --set steps=N."""

    where: str = ""
    """A condition on the columns of the index, such as "seconds < 12"; only utterances that meet it
    are used."""

    mix: tuple[str, ...] = ()
    """How often utterances come in an epoch: shares of the datasets in their order, such as 5:3:1,
    or a column of the index and a power, such as speaker^0.5, which gives a speaker of c utterances
    a share in proportion to c^0.5; may be repeated, once for the datasets and once for a column."""

    losses: Path | None = None
    """A run that kept its losses of these utterances (--set utterance_loss=true): --where may name
    them as utterance_loss."""

    split: str = "train"
    """The split of the datasets that is trained on; '' takes all utterances."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """The device to compute on: cpu, cuda for a GPU, or auto for a GPU where torch finds one."""

    compile: bool = False
    """The repeated layers of the model are compiled by torch.compile, which pays on GPUs."""

    fresh: bool = False
    """A run that is there in OUT is deleted, and training begins anew."""

    on_damage: Literal["raise", "skip"] = "raise"
    """What happens at a damaged utterance: raise stops the run, skip leaves the utterance out and
    counts it."""

    codec: str | None = None
    """The codec that decodes samples, where the datasets' codec is a file of `ns2 codec train` or a
    codec of your own."""

    codec_weights: Path | None = None
    """A file with EnCodec's weights, for samples; without it they come from torch hub's cache."""

    devices: int = 1
    """The number of processes on this machine, one for each GPU, that share every step; torchrun
    does the same."""

    copy_to: str | None = None
    """A URL such as s3://bucket/run: the run is copied there in the background, after each
    checkpoint and at the end, and goes on from there where OUT is empty."""

    dry_run: bool = False
    """The plan is printed and the largest step tried once, and nothing is written."""
