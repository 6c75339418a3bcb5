"""Corpora whose recordings parquet files and tars hold, to a dataset and back."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ns2.pipeline.core.held import Recording
from ns2.pipeline.core.progress import Progress
from ns2.pipeline.corpora.reading import read_corpus
from ns2.pipeline.dataset.layout import state_file
from ns2.pipeline.dataset.reader import Dataset
from ns2.pipeline.preprocess.options import Options
from ns2.pipeline.preprocess.plan import states as states_module
from ns2.pipeline.preprocess.plan.sources import find_sources
from ns2.pipeline.preprocess.plan.states import SourceStates
from ns2.pipeline.preprocess.preview import preview
from ns2.pipeline.sound.held.recordings import Place, hash_recording
from ns2.pipeline.tools.verify.check import verify
from ns2.train.codec.crops import read_voices
from ns2.train.evaluation.held_out import find_recording
from tests.support.corpora_factories import Clip, make_clips, write_manifest
from tests.support.factories import ROOT, tone
from tests.support.held_factories import audio_rows, tar_samples, write_table, write_tar
from tests.support.preprocessing import contents, identities, run_inline

COLUMNS = ("mel", "phonemes", "meta")
OPTIONS = Options(columns=COLUMNS, quantizers=4, shard_utterances=4)
CLIPS = make_clips(10, seconds=0.4)


def shuffled(clips: Sequence[Clip]) -> list[Clip]:
    return random.Random(5).sample(list(clips), len(clips))


def write_parquet(root: Path, clips: Sequence[Clip]) -> Path:
    """Two files with small row groups, in no order."""
    mixed = shuffled(clips)
    for i, part in enumerate((mixed[:6], mixed[6:])):
        write_table(root / f"train-0000{i}-of-00002.parquet", audio_rows(part), row_group_size=4)
    return root


def write_tars(root: Path, clips: Sequence[Clip]) -> Path:
    mixed = shuffled(clips)
    for i, part in enumerate((mixed[:6], mixed[6:])):
        write_tar(root / f"{i:06}.tar", tar_samples(part))
    return root


Write = Callable[[Path, Sequence[Clip]], Path]
WRITERS = pytest.mark.parametrize("write", [write_parquet, write_tars])


def ledger(out: Path) -> dict[str, str]:
    rows = pq.read_table(out / "rejected.parquet").to_pylist()
    return {row["id"]: row["reason"] for row in rows}


@WRITERS
def test_arrays_are_those_of_files(write: Write, tmp_path: Path) -> None:
    run_inline(write(tmp_path / "held", CLIPS), tmp_path / "a", None, columns=COLUMNS)
    files = write_manifest(tmp_path / "files", CLIPS)
    run_inline(files, tmp_path / "b", None, columns=COLUMNS)
    assert verify(tmp_path / "a").faults == []
    held, plain = Dataset(tmp_path / "a"), Dataset(tmp_path / "b")
    expected = {u["meta"]["id"].removeprefix("audio/"): u for u in plain}
    assert len(held) == len(expected) == len(CLIPS)
    for one in held:
        other = expected[one["meta"]["id"]]
        for column in ("mel", "phonemes"):
            assert one[column].tobytes() == other[column].tobytes()
        assert one["meta"]["audio_hash"] == other["meta"]["audio_hash"]
        # and what it was made from is found again
        place = find_recording(held, tmp_path / "held", one["key"], one["meta"]["source"])
        assert hash_recording(place)[:16] == one["meta"]["audio_hash"]


@WRITERS
def test_a_changed_recording_is_made_anew_and_no_other(write: Write, tmp_path: Path) -> None:
    root, out = write(tmp_path / "held", CLIPS), tmp_path / "out"
    run_inline(root, out, None, columns=COLUMNS)
    before = identities(out)
    run_inline(root, out, None, columns=COLUMNS)
    assert identities(out) == before
    assert all(column.missing == 0 for column in preview(root, out, OPTIONS).columns)
    # another tone in one of them; all that lies behind it moves
    write(root, [replace(CLIPS[3], wave=tone(0.5, 333)), *CLIPS[:3], *CLIPS[4:]])
    plan = preview(root, out, OPTIONS)
    assert {c.column: c.utterances for c in plan.columns} == {"mel": 1, "phonemes": 0, "meta": 1}
    assert plan.screened == 1
    summary = run_inline(root, out, None, columns=COLUMNS)
    assert summary.made == {"mel": 1, "meta": 1} and verify(out).faults == []
    # and it is what a run from nothing makes
    run_inline(root, tmp_path / "fresh", None, columns=COLUMNS)
    assert contents(tmp_path / "fresh").items() <= contents(out).items()


@WRITERS
def test_unchanged_files_are_not_read_again(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, out = write(tmp_path / "held", CLIPS), tmp_path / "out"
    run_inline(root, out, None, columns=COLUMNS)
    hashed: list[Place] = []

    def counted(place: Place) -> str:
        hashed.append(place)
        return hash_recording(place)

    monkeypatch.setattr(states_module, "hash_recording", counted)

    def look(*, checksum: bool = False) -> list[str]:
        hashed.clear()
        states = SourceStates(state_file(out), checksum=checksum)
        sources, rejected = find_sources(read_corpus(root), OPTIONS, states)
        assert len(sources) == len(CLIPS) and not rejected
        states.save()
        return [Recording.of(place).path.name for place in hashed]

    assert look() == []
    assert len(look(checksum=True)) == len(CLIPS)
    second = sorted(root.iterdir())[1]
    os.utime(second, ns=(0, 12345))
    assert look() == [second.name] * 4  # and then it is known again
    assert look() == []


@WRITERS
def test_the_states_of_a_file_that_has_changed_are_forgotten(write: Write, tmp_path: Path) -> None:
    root, out = write(tmp_path / "held", CLIPS), tmp_path / "out"
    run_inline(root, out, None, columns=COLUMNS)
    for i in range(3):
        write(root, [replace(CLIPS[3], wave=tone(0.5 + i / 10, 333)), *CLIPS[:3], *CLIPS[4:]])
        run_inline(root, out, None, columns=COLUMNS)
    assert pq.read_metadata(state_file(out)).num_rows == len(CLIPS)


def test_what_is_damaged_is_in_the_ledger(tmp_path: Path) -> None:
    root = tmp_path / "held"
    rows = audio_rows(CLIPS[:4])
    rows[1]["audio"]["bytes"] = b"no audio"
    rows[2]["audio"]["bytes"] = None
    rows[3]["audio"]["bytes"] = rows[3]["audio"]["bytes"][:2000]
    write_table(root / "a.parquet", rows)
    page = write_table(
        root / "b.parquet", audio_rows(CLIPS[4:8]), write_page_checksum=True, row_group_size=2
    )
    chunk = pq.read_metadata(page).row_group(1).column(0)
    data = bytearray(page.read_bytes())
    data[chunk.dictionary_page_offset + 1000] ^= 1
    page.write_bytes(data)
    (root / "c.parquet").write_bytes(data[:3000])
    run_inline(root, tmp_path / "out", None, columns=COLUMNS, max_rejected=1.0)
    assert ledger(tmp_path / "out") == {
        "clip-0001": "audio_unreadable",
        "clip-0002": "audio_missing",
        "clip-0003": "audio_truncated",
        "clip-0006": "audio_unreadable",
        "clip-0007": "audio_unreadable",
        "c.parquet": "audio_unreadable",
    }
    assert [u["meta"]["id"] for u in Dataset(tmp_path / "out")] == [
        "clip-0000", "clip-0004", "clip-0005",
    ]  # fmt: skip


def test_a_tar_that_is_cut_off_costs_what_is_missing(tmp_path: Path) -> None:
    root = tmp_path / "held"
    tar = write_tar(root / "a.tar", tar_samples(CLIPS))
    data = tar.read_bytes()
    tar.write_bytes(data[: data.find(b"clip-0004.wav") + 5000])
    run_inline(root, tmp_path / "out", None, columns=COLUMNS, max_rejected=1.0)
    assert len(Dataset(tmp_path / "out")) == 4
    assert ledger(tmp_path / "out") == {
        "clip-0004": "audio_truncated", "a.tar#10": "audio_truncated",
    }  # fmt: skip
    tar.write_bytes(data)  # it was fetched again
    run_inline(root, tmp_path / "out", None, columns=COLUMNS)
    assert len(Dataset(tmp_path / "out")) == len(CLIPS) and not ledger(tmp_path / "out")


@WRITERS
def test_a_run_that_is_killed_goes_on_to_the_same_bytes(write: Write, tmp_path: Path) -> None:
    root, out = write(tmp_path / "held", CLIPS), tmp_path / "out"
    command = [sys.executable, "-m", "ns2.cli", "preprocess", str(root), "-o", str(out)]
    command += ["--codec", "mini", "--columns", "phonemes,meta", "--shard-utterances", "4"]
    process = subprocess.Popen(
        [*command, "--executor", "inline"], stderr=subprocess.DEVNULL, cwd=ROOT
    )
    while process.poll() is None and not list(out.glob("*-*/*.tar")):
        time.sleep(0.005)
    process.kill()
    process.wait()
    options = {"codec": "mini", "quantizers": None, "columns": ("phonemes", "meta")}
    run_inline(root, out, None, **options)
    run_inline(root, tmp_path / "fresh", None, **options)
    assert contents(out) == contents(tmp_path / "fresh")


def test_codecs_learn_from_what_files_hold(tmp_path: Path) -> None:
    root = write_parquet(tmp_path / "held", CLIPS)
    voices = read_voices(
        [root], layout=None, sample_rate=24_000, val_share=0.2, thorough=0.0,
        cache=tmp_path / "f0", progress=Progress(),
    )  # fmt: skip
    assert len(voices.validation) == 2 and voices.seconds == pytest.approx(0.4 * 8)
