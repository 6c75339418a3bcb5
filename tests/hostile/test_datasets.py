"""Commands on hostile datasets: nothing outside changes, nothing hangs, `verify` finds each."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.hostile.kinds import Place, all_kinds
from tests.hostile.world import attempted, check, make_victim, snapshot
from tests.support.dataset_factories import make_dataset

KINDS = all_kinds()


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("sound") / "shards")


def commands_on(data: Path, sound: Path, out: Path) -> list[list[str]]:
    return [
        ["verify", str(data), "--workers", "1"],
        ["verify", str(data), "--workers", "1", "--sample", "20"],
        ["inspect", str(data)],
        ["inspect", str(data), "--key", "utt0000"],
        ["report", str(data), "-o", str(out / "report.html")],
        ["export", str(data), str(out / "exported")],
        ["textgrid", str(data), str(out / "textgrids")],
        ["diff", str(data), str(sound)],
        ["gc", str(data), "--dry-run"],
        ["gc", str(data)],
    ]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if kind.in_ci else pytest.mark.hostile)
        for name, kind in KINDS.items()
    ],
)
def test_hostile_dataset(name: str, sound: Path, tmp_path: Path) -> None:
    data = tmp_path / "a" / "data"
    shutil.copytree(sound, data)
    victim = make_victim(tmp_path / "a" / "victim")
    (tmp_path / "victim").symlink_to(victim)  # other depths of `..` end here as well
    KINDS[name].make(Place(dataset=data, victim=victim))
    before = snapshot(tmp_path / "a" / "victim")
    out = tmp_path / "a" / "out"
    out.mkdir()
    rows = attempted(tmp_path, commands_on(data, sound, out))
    assert snapshot(tmp_path / "a" / "victim") == before
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["data", "out", "victim"]
    check(rows)
    for path in out.rglob("*.tar"):
        _check_members(path)
    if KINDS[name].found:
        assert rows[0]["code"] == 1, f"verify finds nothing: {rows[0]['output']}"


def _check_members(tar: Path) -> None:
    import tarfile

    with tarfile.open(tar) as members:
        for member in members:
            assert "/" not in member.name and ".." not in member.name, member.name
