"""`verify` on tiny datasets: what is whole passes, and every damage is named where it is."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.dataset import layout
from ns2.pipeline.tools.tool_options import VerifyOptions
from ns2.pipeline.tools.verify.check import verify
from ns2.pipeline.tools.verify.fault import Fault
from tests.support.dataset_factories import Recipe, folder, make_dataset
from tests.support.verifying import damaged, members, messages, places, tar


def test_a_whole_dataset_passes(original: Path) -> None:
    steps: list[tuple[int, int]] = []
    report = verify(original, progress=lambda done, total: steps.append((done, total)))
    assert report.ok and report.faults == []
    assert (report.utterances, report.shards, report.arrays) == (4, 2, 24)
    assert report.bytes == sum(path.stat().st_size for path in original.rglob("*.tar"))
    on_disk = sum(path.is_file() for path in original.rglob("*"))
    assert report.files == on_disk - 2  # card and SHA256SUMS vouch for the rest
    assert steps == [(1, 2), (2, 2)]
    assert report.summary() == (
        "4 utterances in 2 shards: 28 files, 24 arrays, 0.1 MB of tars read: no faults"
    )


def test_processes_find_the_same(root: Path) -> None:
    data = bytearray(tar(root, "f0", 1).read_bytes())
    data[700] ^= 1
    tar(root, "f0", 1).write_bytes(data)
    one, two = verify(root), verify(root, VerifyOptions(workers=2))
    assert len(one.faults) == 1
    assert one == two


def _flip(path: Path, bit: int) -> bytes:
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    return bytes(data)


@pytest.mark.parametrize("times", [5, pytest.param(20, marks=pytest.mark.large)])
def test_every_flipped_bit_is_found_and_named(root: Path, times: int) -> None:
    rng = random.Random(times)
    tars = sorted(root.rglob("*.tar"))
    markers = sorted(path.with_suffix(".parquet") for path in tars)
    spans = {path: members(path) for path in tars}
    small = [root / name for name in (layout.CARD, layout.SUMS, layout.REJECTED)]
    small += sorted((root / layout.ASSETS).iterdir())
    chosen = rng.choices(tars, k=5 * times) + rng.choices(markers, k=3 * times)
    chosen += [root / layout.INDEX] * (2 * times)
    for path in [*chosen, *(small * max(2, times // 3))]:
        bit = rng.randrange(8 * path.stat().st_size)
        with damaged(path, _flip(path, bit)):
            faults = verify(root).faults
        what = f"bit {bit} of {path.relative_to(root)}: {messages(faults)}"
        assert {fault.place for fault in faults} == {path.relative_to(root).as_posix()}, what
        if path in spans:
            shard, column = int(path.name[:5]), path.parent.name.split("-")[0]
            key = next((k for k, begin, end in spans[path] if begin <= bit // 8 < end), "")
            assert places(faults) == {(column, shard, key)}, what
        elif path in markers:
            shard, column = int(path.name[:5]), path.parent.name.split("-")[0]
            assert {(c, s) for c, s, _ in places(faults)} == {(column, shard)}, what
    assert verify(root).ok


def test_two_flips_in_different_files_are_both_found(root: Path) -> None:
    for path in (root / layout.INDEX, tar(root, "mel", 1), root / layout.SUMS, root / layout.CARD):
        path.write_bytes(_flip(path, 8 * 600 + 3))
    found = {fault.place for fault in verify(root).faults}
    assert {layout.INDEX, layout.CARD} <= found
    assert any(place.startswith("mel-") for place in found)


def test_cut_tars_name_the_first_missing_key(root: Path) -> None:
    path = tar(root, "codes", 1)
    data = path.read_bytes()
    (first, _, middle), (second, begin, end) = members(path)
    for cut, key in ((0, first), (begin, second), (begin + 512, second), (end - 1, second)):
        with damaged(path, data[:cut]):
            faults = verify(root).faults
        assert places(faults) == {("codes", 1, key)}, messages(faults)
    assert middle == begin
    for content in (data[:end], data[:-1], data + bytes(512), data[: end + 1024]):
        with damaged(path, content):
            faults = verify(root).faults
        assert places(faults) == {("codes", 1, "")}, messages(faults)
    with damaged(path, data[:begin] + bytes(10240)):  # a shorter tar, properly ended
        faults = verify(root).faults
    assert places(faults) == {("codes", 1, second)}
    assert "1 are missing" in messages(faults)


def test_missing_files_are_named(root: Path) -> None:
    path = tar(root, "durations", 0)
    first = members(path)[0][0]
    for sample in (None, 3):
        with damaged(path, None):
            faults = verify(root, VerifyOptions(sample=sample)).faults
        assert places(faults) == {("durations", 0, first)}
        assert "is missing" in messages(faults)
        with damaged(path.with_suffix(".parquet"), None):
            faults = verify(root, VerifyOptions(sample=sample)).faults
        assert places(faults) == {("durations", 0, "")}
        assert faults[0].place.endswith(".parquet") and "is missing" in messages(faults)
    for name in (
        layout.INDEX,
        layout.REJECTED,
        layout.SUMS,
        next((root / layout.ASSETS).iterdir()).name,
    ):
        (path,) = root.rglob(name)
        with damaged(path, None):
            faults = verify(root).faults
        assert [fault.place for fault in faults] == [path.relative_to(root).as_posix()]
        assert "is missing" in faults[0].message
    with damaged(root / layout.CARD, None):
        (fault,) = verify(root).faults
    assert "ns2 preprocess" in fault.message


def test_a_damaged_tar_is_found_though_the_index_is_gone(root: Path) -> None:
    path = tar(root, "mel", 1)
    key, begin, _ = members(path)[1]
    (root / layout.INDEX).unlink()
    path.write_bytes(_flip(path, 8 * (begin + 700)))
    assert ("mel", 1, key) in places(verify(root).faults)


def test_swapped_tars_are_named(root: Path) -> None:
    one, two = tar(root, "f0", 0), tar(root, "f0", 1)
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    faults = verify(root).faults
    expected = {("f0", shard, key) for shard, path in ((0, second), (1, first))
                for key, _, _ in members(tar(root, "mel", shard))}  # fmt: skip
    assert places(faults) == expected
    a, b = one.with_suffix(".parquet"), two.with_suffix(".parquet")
    a_data, b_data = a.read_bytes(), b.read_bytes()  # now the markers too
    a.write_bytes(b_data)
    b.write_bytes(a_data)
    found = {fault.place for fault in verify(root).faults}
    assert {p.relative_to(root).as_posix() for p in (one, two, a, b)} <= found


def test_files_that_are_not_current_do_not_matter(root: Path) -> None:
    old = root / "mel-0123456789ab"
    shutil.copytree(root / folder("mel"), old)
    (root / folder("f0") / "00000-0123.tar").write_bytes(b"older")
    (root / ".state").mkdir()
    assert verify(root).ok


def test_a_dataset_of_few_columns_passes(tmp_path: Path) -> None:
    for columns in (("mel", "f0"), ("phonemes",), ("codes",), ("meta",)):
        root = make_dataset(tmp_path / columns[0], Recipe(shards=1, columns=columns))
        assert verify(root).faults == []


def test_a_sample_reads_few_arrays_always_the_same(root: Path) -> None:
    report = verify(root, VerifyOptions(sample=5))
    assert report.ok and (report.arrays, report.bytes) == (5, 0)
    assert verify(root, VerifyOptions(sample=1000)).arrays == 24
    found = []
    for path in sorted(root.rglob("*.tar")):
        for key, begin, _ in members(path):
            with damaged(path, _flip(path, 8 * (begin + 520))):
                faults = verify(root, VerifyOptions(sample=5)).faults
            assert len(faults) <= 1
            found += [(path.name, key)] * len(faults)
    assert len(found) == 5
    path = tar(root, "mel", 0)
    with damaged(path, path.read_bytes()[: members(path)[1][1]]):
        faults = verify(root, VerifyOptions(sample=1)).faults
    assert ("mel", 0, "utt0001") in places(faults)


def test_rubbish_in_place_of_any_file_is_survived(root: Path) -> None:
    rng = random.Random(2)
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        name = path.relative_to(root).as_posix()
        for data in (b"", rng.randbytes(3000)):
            with damaged(path, data):
                assert name in {fault.place for fault in verify(root).faults}
    for text in ("[]", "{}", "null"):
        with damaged(root / layout.CARD, text.encode()):
            assert layout.CARD in {fault.place for fault in verify(root).faults}


def test_wrong_use_is_refused(root: Path) -> None:
    with pytest.raises(UserError, match="not a folder"):
        verify(root / "nowhere")
    with pytest.raises(UserError, match="--sample"):
        VerifyOptions(sample=0)
    with pytest.raises(UserError, match="--workers"):
        VerifyOptions(workers=0)


def test_a_fault_reads_well() -> None:
    fault = Fault(place="a.tar", column="mel", shard=0, key="k", message="is missing")
    assert str(fault) == "a.tar, column mel, shard 0, key k: is missing"
    assert str(Fault(place="dataset.json", message="m")) == "dataset.json: m"
