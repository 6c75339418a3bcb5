"""Recordings that tars and parquet files hold: what is read is what was written."""

from __future__ import annotations

import hashlib
import io
import tarfile
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ns2.pipeline.core.errors import UtteranceError
from ns2.pipeline.core.held import ParquetCell, Recording, TarMember
from ns2.pipeline.core.schema import Piece, Reason
from ns2.pipeline.sound.decode import check_declared_length, read_audio
from ns2.pipeline.sound.held import cells as cells_module
from ns2.pipeline.sound.held.cells import read_cell
from ns2.pipeline.sound.held.recordings import hash_recording, open_recording
from ns2.pipeline.sound.pieces import recording_seconds
from tests.support.corpora_factories import write_audio
from tests.support.factories import tone

KINDS: list[dict[str, Any]] = [
    {},
    {"compression": "none"},
    {"compression": "gzip", "use_dictionary": False},
    {"compression": "zstd", "data_page_version": "2.0"},
    {"compression": "lz4", "data_page_version": "2.0", "use_dictionary": False},
    {"compression": "brotli", "row_group_size": 9},
    {"use_dictionary": False, "data_page_size": 600, "write_batch_size": 3},
    {"data_page_size": 600, "write_batch_size": 3, "dictionary_pagesize_limit": 900},
    {"use_dictionary": False, "column_encoding": {"audio.list": "DELTA_LENGTH_BYTE_ARRAY"}},
    {"write_page_checksum": True, "store_schema": False},
]


def values(count: int) -> list[bytes | None]:
    """Bytes of many lengths, some of them twice, some missing."""
    rng = np.random.default_rng(7)
    made: list[bytes | None] = [
        None if i % 5 == 3 else rng.bytes(int(rng.integers(0, 400))) for i in range(count)
    ]
    made[8] = made[4]
    return made


def write_struct(path: Path, held: Sequence[bytes | None], **options: Any) -> Path:
    """A column `audio` of structs, as `datasets` writes it."""
    form = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = [{"bytes": one, "path": f"{i}.wav"} for i, one in enumerate(held)]
    if "column_encoding" in options:
        options["column_encoding"] = {"audio.bytes": "DELTA_LENGTH_BYTE_ARRAY"}
    pq.write_table(pa.table({"audio": pa.array(rows, form)}), path, **options)
    return path


def cells(path: Path) -> list[ParquetCell]:
    metadata = pq.read_metadata(path)
    counts = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    return [
        ParquetCell(file=path.name, column="audio.bytes", group=group, row=row)
        for group, count in enumerate(counts)
        for row in range(count)
    ]


@pytest.mark.parametrize("options", KINDS, ids=str)
@pytest.mark.parametrize("missing", [True, False])
@pytest.mark.parametrize("whole", [cells_module.WHOLE, 0])
def test_cells_in_any_order(
    options: dict[str, Any],
    missing: bool,
    whole: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Pages are decoded as a whole, or if they are large value after value."""
    monkeypatch.setattr(cells_module, "WHOLE", whole)
    held = [one for one in values(200) if missing or one is not None]
    path = write_struct(tmp_path / "a.parquet", held, **options)
    places = cells(path)
    assert len(places) == len(held)
    shuffled = np.random.default_rng(1).permutation(len(held)).tolist()
    for i in [*range(len(held)), *shuffled]:
        if held[i] is None:
            with pytest.raises(UtteranceError, match="has no audio") as raised:
                read_cell(path, places[i])
            assert raised.value.reason is Reason.AUDIO_MISSING
        else:
            assert bytes(read_cell(path, places[i])) == held[i]


@pytest.mark.parametrize("kind", ["bytes", "struct"])
@pytest.mark.parametrize("encoding", ["PLAIN", "DELTA_BYTE_ARRAY"])
def test_names_of_columns_may_have_dots(encoding: str, kind: str, tmp_path: Path) -> None:
    held = [b"one", b"", b"three"]
    form = pa.struct([("bytes", pa.binary())])
    column = pa.array([{"bytes": one} for one in held], form) if kind == "struct" else held
    leaf = "my.audio.bytes" if kind == "struct" else "my.audio"
    path = tmp_path / "a.parquet"
    pq.write_table(
        pa.table({"my.audio": column}), path, use_dictionary=False, column_encoding={leaf: encoding}
    )
    for row, one in enumerate(held):
        cell = ParquetCell(file=path.name, column=leaf, group=0, row=row)
        assert bytes(read_cell(path, cell)) == one


def test_only_the_page_of_a_cell_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 20 MB in one row group little is in memory at any time."""
    rng = np.random.default_rng(3)
    held: list[bytes | None] = [rng.bytes(100_000) for _ in range(200)]
    path = write_struct(
        tmp_path / "a.parquet", held, use_dictionary=False, data_page_size=300_000,
        write_batch_size=1,
    )  # fmt: skip
    sizes: list[int] = []
    real = io.BufferedReader.read

    class Counting(io.BufferedReader):
        def read(self, size: int | None = -1, /) -> bytes:
            data = real(self, size)
            sizes.append(len(data))
            return data

    monkeypatch.setattr(cells_module, "open_regular", lambda p: Counting(io.FileIO(p)))
    for i in (150, 151, 3):
        assert bytes(read_cell(path, cells(path)[i])) == held[i]
    assert max(sizes) < 600_000 and sum(sizes) < 2_000_000


def test_large_pages_of_audio_that_compresses(tmp_path: Path, monkeypatch: Any) -> None:
    """Copies of snappy that repeat, overlap and reach far, as silence and tones make them."""
    monkeypatch.setattr(cells_module, "WHOLE", 0)
    quiet, rng = bytes(200_000), np.random.default_rng(2)
    notes = (3000 * tone(3.0, 100, 8_000)).astype(np.int16).tobytes()
    held = [quiet, notes, rng.bytes(90_000), notes, notes[:70_000] + quiet, b"", b"x" * 70_000]
    path = write_struct(tmp_path / "a.parquet", held, use_dictionary=False)
    for i in [*range(len(held)), 5, 3, 3, 0]:
        assert bytes(read_cell(path, cells(path)[i])) == held[i]


@pytest.mark.parametrize("codec", ["snappy", "zstd", "none"])
def test_a_page_of_a_row_group_takes_little_memory(codec: str, tmp_path: Path) -> None:
    """As `datasets` writes 100 rows: here 12 MB in one page, of which a value at a time is read."""
    held = [np.random.default_rng(i).bytes(200_000) for i in range(60)]
    path = write_struct(tmp_path / "a.parquet", held, compression=codec)
    digests, places = [hashlib.sha256(one).digest() for one in held], cells(path)
    del held
    tracemalloc.start()
    try:
        for i in [*range(60), 50, 20]:
            assert hashlib.sha256(read_cell(path, places[i])).digest() == digests[i]
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()


def test_damage_is_told(tmp_path: Path) -> None:
    held = [one for one in values(40) if one is not None]
    path = write_struct(tmp_path / "a.parquet", held, write_page_checksum=True)
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(data)
    with pytest.raises(UtteranceError, match="damaged where it holds") as raised:
        read_cell(path, cells(path)[5])
    assert raised.value.reason is Reason.AUDIO_UNREADABLE


@pytest.mark.parametrize("codec", ["snappy", "gzip", "zstd", "none"])
@pytest.mark.parametrize("whole", [cells_module.WHOLE, 0])
def test_any_wrong_byte_gives_bytes_or_a_reason(
    codec: str, whole: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cells_module, "WHOLE", whole)
    held = [one for one in values(30) if one is not None]
    path = write_struct(tmp_path / "a.parquet", held, compression=codec)
    places = cells(path)
    clean, rng = path.read_bytes(), np.random.default_rng(1)
    for _ in range(60):
        data = bytearray(clean)
        data[int(rng.integers(4, 4000))] = int(rng.integers(256))
        path.unlink()
        path.write_bytes(data)
        for place in places[::7]:
            try:
                read_cell(path, place)
            except UtteranceError as error:
                assert error.reason in (Reason.AUDIO_UNREADABLE, Reason.AUDIO_MISSING)


# -- decoding --------------------------------------------------------------------------------------


def hold(file: Path, folder: Path) -> list[Recording]:
    """A recording in a tar, and in a cell."""
    data = file.read_bytes()
    tar = folder / "a.tar"
    with tarfile.open(tar, "w") as opened:
        for name in ("before.txt", f"x{file.suffix}", "behind.txt"):
            info = tarfile.TarInfo(name)
            content = data if name.startswith("x") else b"text"
            info.size = len(content)
            opened.addfile(info, io.BytesIO(content))
    with tarfile.open(tar) as opened:
        (offset,) = (m.offset_data for m in opened.getmembers() if m.name.startswith("x"))
    table = write_struct(folder / "a.parquet", [b"RIFF", data, b""])
    member = TarMember(file=tar.name, offset=offset, size=len(data))
    cell = ParquetCell(file=table.name, column="audio.bytes", group=0, row=1)
    source = f"x{file.suffix}"
    return [Recording.below(folder, source, held) for held in (member, cell)]


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3", ".ogg", ".opus", ".aiff", ".caf"])
def test_held_recordings_are_decoded_as_files_are(suffix: str, tmp_path: Path) -> None:
    stereo = np.stack([tone(0.5, 150), tone(0.5, 250)], axis=1)
    file = write_audio(tmp_path / f"x{suffix}", stereo, 24_000)
    pieces = [None, Piece(offset=0.1, duration=0.2), Piece(channel=1)]
    for place in hold(file, tmp_path):
        for piece in pieces:
            wave, rate = read_audio(place, piece)
            expected, expected_rate = read_audio(file, piece)
            np.testing.assert_array_equal(wave, expected)
            assert rate == expected_rate
        assert hash_recording(place) == hash_recording(file)
        assert recording_seconds(place) == recording_seconds(file)
        with open_recording(place) as opened:
            assert opened.read() == file.read_bytes()
        with pytest.raises(UtteranceError) as raised:
            check_declared_length(place, 0.2)
        assert raised.value.reason is Reason.TOO_LONG


@pytest.mark.parametrize(
    ("content", "suffix"),
    [
        (b"", ".wav"),
        (b"no audio at all", ".wav"),
        (b"OggS and then nothing", ".ogg"),
        (b"\xff\xfb\x90\x00" * 5, ".mp3"),
        (b"\0\0\0\x18ftypM4A \0\0\0\0", ".wav"),
    ],
)
def test_held_recordings_fail_as_files_do(content: bytes, suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"x{suffix}"
    file.write_bytes(content)
    with pytest.raises(UtteranceError) as expected:
        read_audio(file)
    for place in hold(file, tmp_path):
        with pytest.raises(UtteranceError) as raised:
            read_audio(place)
        assert (raised.value.reason, raised.value.message) == (
            expected.value.reason,
            expected.value.message,
        )


def test_a_wav_that_is_cut_off_is_told_in_a_tar_too(tmp_path: Path) -> None:
    file = write_audio(tmp_path / "x.wav", tone(0.5, 150), 24_000)
    file.write_bytes(file.read_bytes()[:-1000])
    for place in hold(file, tmp_path):
        with pytest.raises(UtteranceError) as raised:
            read_audio(place)
        assert raised.value.reason is Reason.AUDIO_TRUNCATED
