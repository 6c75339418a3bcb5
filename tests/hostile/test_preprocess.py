"""A dataset of a stranger that `ns2 preprocess` goes on with: its links lead nowhere."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ns2.pipeline.core.errors import UserError
from tests.hostile.world import make_victim, snapshot
from tests.support.preprocessing import run_inline

MEMBERS = (
    "assets", "codes-*", "mel-*", "meta-*", ".state", "index.parquet", "dataset.json",
    "SHA256SUMS", "rejected.parquet", ".state/*", "assets/*", "codes-*/*.tar", "codes-*/*.parquet",
)  # fmt: skip
IN_CI = ("assets", ".state", "index.parquet")


@pytest.mark.parametrize(
    "member",
    [pytest.param(m, marks=() if m in IN_CI else pytest.mark.hostile) for m in MEMBERS],
)
@pytest.mark.parametrize("kind", ["folder", "file"])
def test_nothing_is_written_through_a_link(
    member: str, kind: str, speech: Path, spoken: Path, tmp_path: Path
) -> None:
    root = tmp_path / "a" / "shards"
    shutil.copytree(speech, root)
    victim = make_victim(tmp_path / "victim")
    found = sorted(root.glob(member))
    assert found, f"a dataset has no {member}"
    for path in found[:2]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        path.symlink_to(victim if kind == "folder" else victim / "precious")
    before = snapshot(victim)
    for options in ({}, {"quantizers": 3}):
        try:
            run_inline(spoken, root, None, codec="mini", val_share=0.3, **options)
        except UserError as error:
            assert str(error)
        assert snapshot(victim) == before
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["shards"]
