"""Files with several names: which of them are found by their folder, and what is left."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from ns2.pipeline.preprocess.plan import hard_links
from ns2.pipeline.preprocess.plan.hard_links import HardLinks

Found = tuple[list[str], list[tuple[int, int]]]


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hard_links, "_FEWEST", 2)


def _look(links: HardLinks, names: list[str]) -> Found:
    """The names that are left, and sizes and times of the others."""
    texts = [name.encode() for name in names]
    offsets = np.cumsum([0, *map(len, texts)], dtype=np.int64)
    sizes, times = (np.full(len(names), -1, np.int64) for _ in range(2))
    left = links.look(np.frombuffer(b"".join(texts), np.uint8), offsets, sizes, times)
    assert (sizes[left] == -1).all() and (times[left] == -1).all()
    stamps = list(zip(sizes[~left].tolist(), times[~left].tolist(), strict=True))
    return [name for name, one in zip(names, left, strict=True) if one], stamps


def _stamps(root: Path, names: list[str]) -> list[tuple[int, int]]:
    return [((root / n).stat().st_size, (root / n).stat().st_mtime_ns) for n in names]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two files of three names each, in two folders with spaces and umlauts, and at the top."""
    (tmp_path / "ä b").mkdir()
    for i, size in enumerate((3, 5)):
        (tmp_path / f"{i}.wav").write_bytes(b"x" * size)
        os.utime(tmp_path / f"{i}.wav", ns=(0, 10**18 + i))
        for name in (f"ä b/ü{i}.wav", f"ä b/again {i}.wav"):
            (tmp_path / name).hardlink_to(tmp_path / f"{i}.wav")
    return tmp_path


def test_names_of_one_folder_are_found_by_it(root: Path) -> None:
    names = ["0.wav", "1.wav", "ä b/ü0.wav", "ä b/ü1.wav", "ä b/again 0.wav", "ä b/ü0.wav"]
    names += [f"{root}/ä b/ü1.wav", f"{root}/ä b/ü0.wav"]
    assert _look(HardLinks(root), names) == ([], _stamps(root, names))
    alone = ["0.wav", "ä b/ü0.wav", "1.wav"]
    assert _look(HardLinks(root), alone) == (alone, [])


def test_what_is_no_hard_link_is_left(root: Path) -> None:
    folder = root / "ä b"
    (folder / "symbolic").symlink_to("ü1.wav")
    (folder / "nothing").symlink_to("nowhere")
    (folder / "folder").mkdir()
    names = [f"ä b/{n}" for n in ("ü0.wav", "symbolic", "nothing", "folder", "missing", "", "..")]
    assert _look(HardLinks(root), names) == (names[1:], _stamps(root, names[:1]))


@pytest.mark.parametrize("first", ["only", "missing", "symbolic"])
def test_a_folder_whose_first_file_has_one_name_is_left(root: Path, first: str) -> None:
    (root / "ä b" / "only").write_bytes(b"1")
    (root / "ä b" / "symbolic").symlink_to("ü1.wav")
    names = [f"ä b/{first}", "ä b/ü0.wav", "ä b/ü1.wav"]
    assert _look(HardLinks(root), names) == (names, [])


def test_folders_that_hold_much_else_or_are_none_are_left(root: Path) -> None:
    names = ["ä b/ü0.wav", "ä b/ü1.wav", "none/0.wav", "none/1.wav", "0.wav/0.wav", "0.wav/1.wav"]
    for i in range(4):
        (root / "ä b" / f"{i}").touch()
    assert _look(HardLinks(root), names) == (names[2:], _stamps(root, names[:2]))
    (root / "ä b" / "4").touch()
    assert _look(HardLinks(root), names) == (names, [])


def test_folders_in_which_something_is_mounted_are_left(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["ä b/ü0.wav", "ä b/ü1.wav", "0.wav", "1.wav"]
    at = (root / "ä b").stat()
    monkeypatch.setattr(hard_links, "_folders_of_mounts", lambda: [(at.st_dev, at.st_ino)])
    assert _look(HardLinks(root), names) == (names[:2], _stamps(root, names[2:]))
    monkeypatch.undo()
    assert ((top := Path("/").stat()).st_dev, top.st_ino) in hard_links._folders_of_mounts()


def test_what_changed_is_seen_by_the_next_look(root: Path) -> None:
    names = ["ä b/ü0.wav", "ä b/ü1.wav"]
    before = _look(HardLinks(root), names)
    with (root / "0.wav").open("ab") as file:
        file.write(b"more")
    (root / "ä b" / "ü1.wav").unlink()
    (root / "ä b" / "ü1.wav").write_bytes(b"another file")
    left, stamps = _look(HardLinks(root), names)
    assert (left, stamps) == ([], _stamps(root, names)) != before
    assert [size for size, _ in stamps] == [7, 12]


def test_files_with_names_elsewhere_are_left_once_many_were_looked_at(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hard_links, "_FILES", 1)
    links, names = HardLinks(root), ["ä b/ü0.wav", "ä b/ü1.wav"]
    assert _look(links, names) == ([], _stamps(root, names))
    assert _look(links, names) == (names, [])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_folders_that_can_t_be_read_are_left(root: Path) -> None:
    names = ["ä b/ü0.wav", "ä b/ü1.wav"]
    (root / "ä b").chmod(0o300)
    try:
        assert _look(HardLinks(root), names) == (names, [])
    finally:
        (root / "ä b").chmod(0o700)
