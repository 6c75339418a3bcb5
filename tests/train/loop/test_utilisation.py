"""The work of steps in the log, and what is set for the sake of speed."""

from __future__ import annotations

import gc
import json
import os
from pathlib import Path

import pytest
import torch

from ns2.train.loop.collector import frozen
from ns2.train.loop.utilisation import peak, peak_of
from ns2.train.step.ranks import expand_segments
from tests.train.loop.test_loop import train

SETTING = "PYTORCH_ALLOC_CONF"


def test_limits_go_by_the_name_that_torch_gives() -> None:
    assert peak_of("NVIDIA H100 80GB HBM3") == peak_of("NVIDIA H200") == 989e12
    assert peak_of("NVIDIA H100 PCIe") == 756e12 and peak_of("NVIDIA H20") == 148e12
    assert peak_of("NVIDIA A100-SXM4-80GB") == 312e12 and peak_of("NVIDIA A10") == 125e12
    assert peak_of("NVIDIA A10G") == 70e12 and peak_of("NVIDIA L40S") == 362e12
    assert peak_of("Tesla T4") is None
    for enabled in (False, True):
        autocast = torch.autocast("cpu", torch.bfloat16, enabled=enabled)
        assert peak(autocast, torch.device("cpu")) is None


def test_the_log_tells_the_work_of_a_frame(dataset: Path, tmp_path: Path) -> None:
    rows = []
    for name, settings in (("plain", {}), ("padded", {"frame_multiple": 256})):
        train(dataset, tmp_path / name, 1, **settings, **{"model.diffusion.self_condition": 0})
        rows += [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").open()]
    plain, padded = (row["gflop_per_frame"] for row in rows)
    assert rows[0]["frames"] == rows[1]["frames"] and 0 < plain < padded
    assert not any("mfu" in row for row in rows)  # nobody knows what this CPU could do


def test_memory_of_gpus_grows_in_place_unless_the_user_has_another_wish(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in (SETTING, "PYTORCH_CUDA_ALLOC_CONF"):
        monkeypatch.delenv(SETTING, raising=False)
        monkeypatch.setenv(name, "max_split_size_mb:64")
        expand_segments()
        assert os.environ[name] == "max_split_size_mb:64"
        assert len({SETTING, "PYTORCH_CUDA_ALLOC_CONF"} & os.environ.keys()) == 1
        monkeypatch.delenv(name)
    monkeypatch.setenv(SETTING, "")
    monkeypatch.delenv(SETTING)
    expand_segments()
    assert os.environ.pop(SETTING) == "expandable_segments:True"


def test_the_collector_sees_again_what_was_there_when_a_run_has_ended() -> None:
    mine = [[]]
    with pytest.raises(ZeroDivisionError), frozen():
        assert not any(one is mine for one in gc.get_objects())
        raise ZeroDivisionError
    assert gc.get_freeze_count() == 0 and any(one is mine for one in gc.get_objects())
