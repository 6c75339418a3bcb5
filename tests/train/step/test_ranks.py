"""Processes that share steps: the losses of one process, and every utterance once an epoch.

A run begins with two processes, goes on with one, and with two again. What each process had in
each step is written down where a step is handed to the training, by key.
"""

from __future__ import annotations

import json
import os
import socket
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

from ns2.cli import main
from ns2.pipeline.dataset.reader import Dataset
from ns2.train.data.prefetch import Fetched, Reader, Step
from ns2.train.step.ranks import Ranks
from tests.support import warm
from tests.support.dataset_factories import ENTRIES, LATENT_DIM, Recipe, make_dataset
from tests.train.loop.test_loop import arguments, metrics, train

FIRST, SECOND, THIRD = 50, 57, 66
"""Steps after which the number of processes changes, and in all."""
LOSSES = ("loss", "diffusion", "score", "ce_rvq", "duration", "pitch", "voicing")
SMALL = {
    "global_frames": 500,
    "learning_rate": 1e-3,
    "decay": "inverse_sqrt",  # which does not depend on the number of steps in all
    "checkpoint_every": 1000,
    "model.width": 16,
    "model.phoneme_encoder.layers": 1,
    "model.prompt_encoder.layers": 1,
    "model.denoiser.wavenet.layers": 3,
    "model.denoiser.wavenet.hidden": 16,
    "model.denoiser.wavenet.filter": 16,
}
"""On top of `tiny`, which has no dropout."""


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """36 utterances to learn from, with latents that vary."""
    root = tmp_path_factory.mktemp("data") / "shards"
    make_dataset(root, Recipe(shards=6, per_shard=8, frames=(24, 60)))
    torch.manual_seed(0)
    books = torch.randn(4, ENTRIES, LATENT_DIM)
    save_file({"codebooks": books}, Dataset(root).asset("codebooks"))
    return root


def write_down(into: Path) -> None:
    """From now on, readers of this process write each step that they hand out to a file."""
    begin, hand_out = Reader.__init__, Reader.__next__

    def begins(self: Any, data: Any, collate: Any, **options: Any) -> None:
        keys: dict[int, list[str]] = {}

        def noting(fetched: list[Fetched]) -> Any:
            batch = collate(fetched)
            keys[id(batch)] = [one.key for one in fetched]
            return batch

        begin(self, data, noting, **options)
        self.noted = keys

    def hands_out(self: Any) -> Step:
        step = hand_out(self)
        row = {"epoch": step.epoch, "keys": self.noted.pop(id(step.batch), [])}
        with into.open("a") as file:
            file.write(json.dumps(row) + "\n")
        return step

    Reader.__init__, Reader.__next__ = begins, hands_out  # type: ignore[method-assign, assignment]


def join(rank: int, ports: Sequence[int], legs: Sequence[list[str]], into: Path) -> None:
    """Take part as one of two processes in some runs of the command, one after the other."""
    torch.set_num_threads(1)
    write_down(into)
    for port, words in zip(ports, legs, strict=True):
        os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2"}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        done = CliRunner().invoke(main, words)
        assert done.exit_code == 0, done.output
        if rank == 0 and words is legs[0]:  # alone, before both go on
            os.environ |= {"RANK": "0", "WORLD_SIZE": "1"}
            alone = [str(SECOND) if word == str(FIRST) else word for word in words]
            done = CliRunner().invoke(main, alone)
            assert done.exit_code == 0, done.output


def free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def test_two_processes_then_one_then_two(shards: Path, tmp_path: Path) -> None:
    run, whole = tmp_path / "run", tmp_path / "whole"
    legs = [arguments(shards, run, steps, **SMALL) for steps in (FIRST, THIRD)]
    noted = [tmp_path / f"rank{rank}.jsonl" for rank in range(2)]
    context, ports = warm.context(), free_ports(2)
    both = [
        context.Process(target=join, args=(rank, ports, legs, noted[rank]), daemon=True)
        for rank in range(2)
    ]
    for one in both:
        one.start()
    train(shards, whole, THIRD, **SMALL)
    for one in both:
        one.join(240)
        assert one.exitcode == 0

    ours, alone = metrics(run), metrics(whole)
    for a, b in zip(ours, alone, strict=True):
        for name in LOSSES:
            assert a[name] == pytest.approx(b[name], rel=1e-4), (a["step"], name)
        assert (a["frames"], a["epoch"]) == (b["frames"], b["epoch"])
    assert alone[0]["loss"] > 1.05 * alone[-1]["loss"]  # there is something to agree on

    wanted = {row["key"] for row in Dataset(shards).index.to_pylist() if row["split"] == "train"}
    seen: defaultdict[int, Counter[str]] = defaultdict(Counter)
    taken = []
    for path in noted:
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        rows = [row for row in rows if not set(row["keys"]) - wanted]
        taken.append(sum(len(row["keys"]) for row in rows))
        for row in rows:
            seen[row["epoch"]].update(row["keys"])
    epochs = max(seen)
    assert epochs >= 8 and min(taken) > THIRD
    # both changes of the number of processes were within an epoch
    for change in (FIRST, SECOND):
        assert alone[change - 1]["epoch"] == alone[change]["epoch"]
    for epoch in range(epochs):
        assert seen[epoch] == Counter(wanted), epoch
    assert max(seen[epochs].values()) == 1


def test_training_and_speaking_keep_away_from_cudnns_attention() -> None:
    before = torch.backends.cuda.cudnn_sdp_enabled()
    try:
        torch.backends.cuda.enable_cudnn_sdp(True)
        with Ranks("cpu"):
            assert not torch.backends.cuda.cudnn_sdp_enabled()
        assert torch.backends.cuda.flash_sdp_enabled()
        assert torch.backends.cuda.mem_efficient_sdp_enabled()
    finally:
        torch.backends.cuda.enable_cudnn_sdp(before)
