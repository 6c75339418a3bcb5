"""`verify` on tiny datasets: what is whole passes, and every damage is named where it is."""

from __future__ import annotations

import hashlib
import io
import json
import random
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file, save

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.dataset import layout
from ns2.pipeline.dataset.card import card_text, sealed
from ns2.pipeline.dataset.index import index_schema
from ns2.pipeline.dataset.shards import table_bytes
from ns2.pipeline.dataset.sums import checksum_text
from ns2.pipeline.tools.tool_options import VerifyOptions
from ns2.pipeline.tools.verify.check import verify
from ns2.pipeline.tools.verify.fault import Fault
from tests.support.dataset_factories import ENTRIES, Recipe, folder, make_dataset

TINY = Recipe(shards=2, per_shard=2)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("verify") / "original", TINY)


@pytest.fixture
def root(original: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(original, tmp_path / "shards"))


@contextmanager
def damaged(path: Path, data: bytes | None) -> Iterator[None]:
    """A file with other content, or missing, for as long as the block lasts."""
    before = path.read_bytes()
    if data is None:
        path.unlink()
    else:
        path.write_bytes(data)
    try:
        yield
    finally:
        path.write_bytes(before)


def tar(root: Path, column: str, shard: int) -> Path:
    (path,) = (root / folder(column)).glob(f"{shard:05d}-*.tar")
    return path


def members(path: Path) -> list[tuple[str, int, int]]:
    """(key, begin of its header, end of its padding), as tarfile sees them."""
    with tarfile.open(path) as file:
        return [
            (info.name.split(".")[0], info.offset, info.offset_data + -(-info.size // 512) * 512)
            for info in file
        ]


def places(faults: list[Fault]) -> set[tuple[str, int | None, str]]:
    return {(fault.column, fault.shard, fault.key) for fault in faults}


def messages(faults: list[Fault]) -> str:
    return "\n".join(str(fault) for fault in faults)


def reseal(root: Path, changes: Callable[[dict[str, Any]], None] = lambda card: None) -> None:
    """Make checksums and card fit whatever the files are now."""
    names = [line.split("  ")[1] for line in (root / layout.SUMS).read_text().splitlines()]
    sums = [(name, hashlib.sha256((root / name).read_bytes()).hexdigest()) for name in names]
    text = checksum_text(sums).encode()
    (root / layout.SUMS).write_bytes(text)
    card = json.loads((root / layout.CARD).read_text())
    card["sha256sums"] = hashlib.sha256(text).hexdigest()
    changes(card)
    (root / layout.CARD).write_text(card_text(sealed(card)))


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


def test_every_flipped_bit_is_found_and_named(root: Path) -> None:
    rng = random.Random(1)
    tars = sorted(root.rglob("*.tar"))
    markers = sorted(path.with_suffix(".parquet") for path in tars)
    spans = {path: members(path) for path in tars}
    small = [root / name for name in (layout.CARD, layout.SUMS, layout.REJECTED)]
    small += sorted((root / layout.ASSETS).iterdir())
    chosen = rng.choices(tars, k=100) + rng.choices(markers, k=60) + [root / layout.INDEX] * 40
    for path in [*chosen, *(small * 6)]:
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


def test_an_index_value_that_still_reads_is_pinned_to_its_key(root: Path) -> None:
    rows = pq.read_table(root / layout.INDEX).to_pylist()
    rows[2]["seconds"] += 1e-9
    schema = index_schema(TINY.columns)
    (root / layout.INDEX).write_bytes(table_bytes(pa.Table.from_pylist(rows, schema)))
    for resealed in (False, True):
        if resealed:
            reseal(root)
        faults = [f for f in verify(root).faults if f.key]
        assert [(f.place, f.shard, f.key) for f in faults] == [(layout.INDEX, 1, rows[2]["key"])]
        assert "row_crc" in faults[0].message


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


def test_many_faults_of_one_tar_are_cut_short(tmp_path: Path) -> None:
    root = make_dataset(tmp_path / "shards", Recipe(shards=1, per_shard=30, columns=("f0",)))
    path = tar(root, "f0", 0)
    data = bytearray(path.read_bytes())
    for _, begin, _ in members(path):
        data[begin + 640] ^= 1
    path.write_bytes(data)
    faults = verify(root).faults
    assert len(faults) == 21
    assert "10 more" in faults[-1].message


def test_an_extra_row_is_found(tmp_path: Path) -> None:
    def twice(row: dict[str, Any]) -> list[dict[str, Any]]:
        again = {**row, "key": "ghost", "id": "ghost"}
        return [row, again] if row["key"] == "utt0001" else [row]

    root = make_dataset(tmp_path / "shards", Recipe(shards=2, per_shard=2, change_row=twice))
    faults = verify(root).faults
    assert (layout.INDEX, "written: 5, the card says 4") in {(f.place, f.message) for f in faults}
    assert {("mel", 0, "ghost"), ("codes", 0, "ghost")} <= places(faults)


def test_a_key_that_is_there_twice_is_found(tmp_path: Path) -> None:
    def twice(row: dict[str, Any]) -> list[dict[str, Any]]:
        return [row, row] if row["key"] == "utt0001" else [row]

    root = make_dataset(tmp_path / "shards", Recipe(shards=1, change_row=twice))
    assert "key utt0001: the key is there 2 times" in messages(verify(root).faults)


def test_a_row_left_out_is_found(tmp_path: Path) -> None:
    root = make_dataset(
        tmp_path / "shards",
        Recipe(shards=2, per_shard=2, change_row=lambda r: [] if r["key"] == "utt0003" else [r]),
    )
    assert ("mel", 1, "utt0003") in places(verify(root).faults)


def _longer(column: str, key: str, value: Any) -> Any:
    return np.concatenate([value, value[..., :1]], axis=-1)


def _not_finite(column: str, key: str, value: Any) -> Any:
    value = value.copy()
    value[..., 3] = np.inf
    return value


def _moved_duration(column: str, key: str, value: Any) -> Any:
    value = value.copy()
    value[0] += value[1]  # the first phone keeps no frame, the sum stays
    value[1] = 0
    return value


def _meta(**changes: Any) -> Callable[[str, str, Any], Any]:
    return lambda column, key, value: {**value, **changes}


def _pickled(column: str, key: str, value: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("column", "change", "message"),
    [
        ("mel", _longer, "expected shape"),
        ("codes", _longer, "expected shape"),
        ("f0", _longer, "expected shape"),
        ("durations", _longer, "expected shape"),
        ("phonemes", _longer, "expected shape"),
        ("mel", lambda c, k, v: v[:-1], "expected shape"),
        ("mel", lambda c, k, v: v.astype(np.float32), "expected float16"),
        ("mel", _not_finite, "not finite"),
        ("f0", lambda c, k, v: -v, "Hz"),
        ("codes", lambda c, k, v: v + np.uint16(ENTRIES), f"expected values below {ENTRIES}"),
        ("durations", lambda c, k, v: v + np.uint16(1), "expected a sum of"),
        ("durations", _moved_duration, "expected at least 1 frame, got 0"),
        ("phonemes", lambda c, k, v: v[::-1].copy(), "meta says"),
        ("phonemes", lambda c, k, v: v + np.uint16(60_000), "phoneme table"),
        ("meta", lambda c, k, v: {"text": v["text"]}, "has no phonemes"),
        ("meta", _meta(words=[["so", 1, 3], ["much", 2, 6]]), "word 'much' spans"),
        ("meta", _meta(words=[["so", 1, 300]]), "word 'so' spans"),
        ("mel", _pickled, "allow_pickle"),
        ("mel", lambda c, k, v: b"not an array", ""),
        ("meta", lambda c, k, v: b"{not json", ""),
        ("meta", lambda c, k, v: b"[]", "expected an object"),
    ],
)  # fmt: skip
def test_the_contract_holds_also_where_all_checksums_do(
    tmp_path: Path, column: str, change: Callable[[str, str, Any], Any], message: str
) -> None:
    def one(where: str, key: str, value: Any) -> Any:
        return change(where, key, value) if (where, key) == (column, "utt0001") else value

    root = make_dataset(tmp_path / "shards", Recipe(shards=1, per_shard=2, change=one))
    faults = verify(root).faults
    assert (column, 0, "utt0001") in places(faults), messages(faults)
    assert message in messages([f for f in faults if f.column == column])
    assert {fault.key for fault in faults} == {"utt0001"}, messages(faults)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": 7}, "frames is 7, its samples make"),
        ({"phones": 99}, "phones is 99, its phonemes make 6"),
        ({"seconds": 0.125}, "seconds is 0.125, its samples make"),
        ({"text": "else"}, "text is 'else', meta says 'so much light'"),
        ({"speaker": "x"}, "speaker is 'x', meta says 'speaker1'"),
        ({"voiced_share": 0.25}, "voiced_share is 0.25, its f0 makes"),
        ({"mel_offset": 1024}, "offset is 512, the index says 1024"),
        ({"mel_shape": [20, 1]}, "the index says [20, 1]"),
        ({"mel_crc32": 5}, "the index says 5"),
        ({"align_score": 0.0}, "align_score is -1.25, the index says 0.0"),
        ({"mel_file": "mel-0/00000-0.tar"}, "refer to several tars"),
        ({"shard": 1}, "is not its tar"),
    ],
)
def test_index_values_are_held_against_arrays_and_markers(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    def one(row: dict[str, Any]) -> list[dict[str, Any]]:
        return [{**row, **changes} if row["key"] == "utt0001" else row]

    recipe = Recipe(shards=1, per_shard=3, change_row=one)
    if changes.get("mel_offset"):  # so that the first member is the one
        recipe = Recipe(shards=1, per_shard=3, change_row=lambda r: [
            {**r, **changes} if r["key"] == "utt0000" else r])  # fmt: skip
    faults = verify(make_dataset(tmp_path / "shards", recipe)).faults
    assert message in messages(faults)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"found": 8}, "the ledger does not balance: 8 found, 4 written, 2 rejected, 1 filtered"),
        ({"filtered": 2, "found": 8}, "filtered: 1, the card says 2"),
        ({"reasons": {}}, "reasons: {"),
        ({"written": 5, "found": 8}, "written: 4, the card says 5"),
        ({"splits": {"train": 4}}, "splits: {"),
        ({"hours": 1.0}, "hours: "),
        ({"speakers": 7}, "speakers: 2, the card says 7"),
    ],
)
def test_the_ledger_is_checked(root: Path, changes: dict[str, Any], message: str) -> None:
    reseal(root, lambda card: card["counts"].update(changes))
    faults = verify(root).faults
    assert len(faults) == 1 and message in faults[0].message, messages(faults)


def test_tars_and_bytes_of_the_card_are_checked(root: Path) -> None:
    reseal(root, lambda card: card["columns"]["mel"].update(bytes=1))
    (fault,) = verify(root).faults
    assert (fault.place, fault.column) == (layout.CARD, "mel")


def test_checksums_list_all_files_and_no_others(root: Path) -> None:
    sums = (root / layout.SUMS).read_text().splitlines(keepends=True)
    gone = next(line for line in sums if "codes-" in line and line.endswith(".tar\n"))
    extra = f"{'0' * 64}  mel-0123/00007-4567.tar\n"
    (root / layout.SUMS).write_text("".join([*(line for line in sums if line != gone), extra]))
    data = (root / layout.SUMS).read_bytes()
    reseal_sums = hashlib.sha256(data).hexdigest()
    card = json.loads((root / layout.CARD).read_text())
    (root / layout.CARD).write_text(card_text(sealed({**card, "sha256sums": reseal_sums})))
    faults = verify(root).faults
    assert {fault.place for fault in faults} == {layout.SUMS}
    assert f"does not list {gone.split()[1]}" in messages(faults)
    assert "lists mel-0123/00007-4567.tar" in messages(faults)
    assert places(faults) == {("codes", 0, ""), ("mel", 7, "")}


def test_a_card_with_the_same_meaning_but_other_bytes_is_found(root: Path) -> None:
    text = (root / layout.CARD).read_text()
    assert "1e-07" in text
    (root / layout.CARD).write_text(text.replace("1e-07", "1E-07"))  # one bit
    assert [fault.place for fault in verify(root).faults] == [layout.CARD]


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


def test_a_card_that_hangs_together_but_lacks_fields_is_survived(root: Path) -> None:
    card = json.loads((root / layout.CARD).read_text())
    for name in set(card) - {"digest", "format", "format_version"}:
        rest = {field: value for field, value in card.items() if field != name}
        with damaged(root / layout.CARD, card_text(sealed(rest)).encode()):
            verify(root)


def test_wrong_use_is_refused(root: Path) -> None:
    with pytest.raises(UserError, match="not a folder"):
        verify(root / "nowhere")
    with pytest.raises(UserError, match="--sample"):
        VerifyOptions(sample=0)
    with pytest.raises(UserError, match="--workers"):
        VerifyOptions(workers=0)


def test_codebooks_that_are_not_finite_are_found_where_all_checksums_hold(root: Path) -> None:
    path = next((root / layout.ASSETS).glob("codebooks-*"))
    books = load_file(path)["codebooks"].copy()
    books[1, 2, 0] = np.nan
    path.write_bytes(save({"codebooks": books}))
    name = path.relative_to(root).as_posix()
    reseal(root)
    (fault,) = verify(root).faults
    assert fault.place == name and "codebooks hold values that are not finite" in fault.message


def test_a_fault_reads_well() -> None:
    fault = Fault(place="a.tar", column="mel", shard=0, key="k", message="is missing")
    assert str(fault) == "a.tar, column mel, shard 0, key k: is missing"
    assert str(Fault(place="dataset.json", message="m")) == "dataset.json: m"
