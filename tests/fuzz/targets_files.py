"""Targets that are files of datasets, runs and codecs."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ns2.model.codec.loading import load_codec
from ns2.model.codec.mini.mini_config import MiniConfig
from ns2.model.codec.mini.network import MiniNetwork
from ns2.model.codec.mini_codec import pack_mini
from ns2.pipeline.dataset.reader import Dataset
from ns2.pipeline.dataset.shards import decode_value, read_marker
from ns2.pipeline.dataset.where import parse_where
from ns2.pipeline.tools.verify.check import VerifyOptions, verify
from ns2.train.run.checkpoint import read_state, write_state
from ns2.train.run.folder import RunFolder
from ns2.train.run.recipes import training
from ns2.train.run.step_log import StepLog
from ns2.train.speak.facts import SpeechFacts, read_speech
from tests.fuzz.target import TARGETS, Call, Make, Target, put
from tests.support.dataset_factories import Recipe, make_dataset, specs

_SPECS = specs(Recipe())
_QUIET = VerifyOptions(workers=1)


def _arrays(folder: Path) -> list[bytes]:
    made = []
    for array in (np.zeros(7, np.float32), np.ones((8, 7), np.uint16), np.arange(3, dtype=">i8")):
        file = io.BytesIO()
        np.save(file, array)
        made.append(file.getvalue())
    return made


def _array(data: bytes, folder: Path) -> None:
    for name in ("f0", "codes"):
        decode_value(_SPECS[name], data)


TARGETS[".npy"] = Target(
    make=_arrays, call=_array, text=False, errors=(ValueError,),
    tokens=[
        b"'shape': (", b"'descr': '", b"<f4", b"|O", b"|V9999999", b"<U3", b"(1,)" * 50, b"-1",
        b"True", b"9" * 30, b"{" * 200, b"f'{1}'", b"\x93NUMPY\x03\0", b"lambda", b"'a':0.1,", b"(",
    ],
)  # fmt: skip


def _member(name: str, verified: bool) -> tuple[Make, Call]:
    """Inputs that are one file of a dataset, which is then opened, read and perhaps verified."""

    def make(folder: Path) -> list[bytes]:
        root = make_dataset(folder / "data")
        return [_place(root).read_bytes()]

    def call(data: bytes, folder: Path) -> None:
        root = folder / "data"
        _place(root).write_bytes(data)
        if verified:
            verify(root, _QUIET)
        dataset = Dataset(root)
        for key in dataset.keys[:3]:
            assert dataset[key]
        parse_where("frames > 3 and speaker != 'x'", dataset.index_schema)

    def _place(root: Path) -> Path:
        return next(root.glob(name))

    return make, call


_JSON = [b"null", b"[]", b"{}", b'"format"', b'"columns"', b'"dtype"', b"1e400", b'"<f4"', b"-1"]
for _name, _file, _verified, _text in (
    ("card", "dataset.json", False, True),
    ("index", "index.parquet", False, False),
    ("tar", "codes-*/00000-*.tar", True, False),
    ("SHA256SUMS", "SHA256SUMS", True, True),
    ("verify: card", "dataset.json", True, True),
    ("verify: marker", "f0-*/00000-*.parquet", True, False),
):
    _make, _call = _member(_file, _verified)
    TARGETS[_name] = Target(
        make=_make, call=_call, text=_text, tokens=_JSON if _text else (b"ustar", b"PAR1"),
        share=0.5 if _verified else 1.0,
    )  # fmt: skip


def _markers(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in make_dataset(folder / "made").glob("*/*.parquet")]


def _marker(data: bytes, folder: Path) -> None:
    read_marker(put(folder, "00000-0123456789abcdef.parquet", data))


TARGETS["marker"] = Target(
    make=_markers, call=_marker, text=False, errors=(ValueError,), tokens=(b"PAR1", b"ns2")
)


def _run(folder: Path) -> Path:
    """A run's folder without weights, made once."""
    run = folder / "run"
    if not run.is_dir():
        run.mkdir()
        _open(run)
    return run


def _open(run: Path) -> None:
    data: Any = _Same()
    RunFolder(run).open(training("tiny"), {"data": "0" * 64, "datasets": []}, data, fresh=False)


class _Same:
    """Data that is what it was."""

    def was(self, digest: str, made_by: list[str]) -> bool:
        return bool(digest) or not made_by


def _run_file(name: str) -> tuple[Make, Call]:
    def make(folder: Path) -> list[bytes]:
        return [(_run(folder) / name).read_bytes()]

    def call(data: bytes, folder: Path) -> None:
        run = _run(folder)
        before = {n: (run / n).read_bytes() for n in ("config.json", "run.json")}
        put(run, name, data)
        try:
            RunFolder(run).open(
                training("tiny"), {"data": "0" * 64, "datasets": []}, _Same(), fresh=False
            )  # type: ignore[arg-type]
        finally:
            for n, old in before.items():
                put(run, n, old)

    return make, call


for _file in ("config.json", "run.json"):
    _make, _call = _run_file(_file)
    TARGETS[f"run: {_file}"] = Target(
        make=_make, call=_call, tokens=[b"null", b"[]", b"{}", b"1e400", b'"steps"', b'"model"']
    )


def _logs(folder: Path) -> list[bytes]:
    return [b"".join(json.dumps({"step": i, "loss": 0.1 * i}).encode() + b"\n" for i in range(6))]


def _log(data: bytes, folder: Path) -> None:
    log = StepLog(put(folder, "metrics.jsonl", data))
    log.cut(3)
    log.append({"step": 4})
    for line in log.path.read_text("utf-8").splitlines():
        assert json.loads(line)["step"] <= 4


TARGETS["run: metrics.jsonl"] = Target(
    make=_logs, call=_log, tokens=[b'"step": ', b"}\n{", b"null"]
)

_FACTS = SpeechFacts(
    codec="mini", codec_digest="0" * 64, quantizers=8, sample_rate=24_000, hop_length=320,
    language="en-us", languages=("en-us",), aligner="builtin", longest=90, mel={"bins": 80},
    f0={"f0_min": 60.0},
)  # fmt: skip


def _speech_files(folder: Path) -> list[bytes]:
    from ns2.pipeline.dataset.phoneme_table import PhonemeTable

    (folder / "speech").mkdir(exist_ok=True)
    table = PhonemeTable.default().to_json()
    put(folder / "speech", "phonemes.json", json.dumps(table).encode())
    return [json.dumps(vars(_FACTS)).encode(), json.dumps(vars(replace(_FACTS, mel={}))).encode()]


def _speech_file(data: bytes, folder: Path) -> None:
    put(folder / "speech", "speech.json", data)
    facts, _ = read_speech(folder)
    facts.mel_config()
    facts.pitch_config()


TARGETS["run: speech.json"] = Target(
    make=_speech_files, call=_speech_file, tokens=[b"null", b"[]", b"{}", b"1e400", b"-1", b'"mel"']
)


def _states(folder: Path) -> list[bytes]:
    import torch

    path = folder / "state.pt"
    write_state({"step": 3, "weights": {"a": torch.zeros(4)}, "text": "x"}, path)
    return [path.read_bytes()]


def _state(data: bytes, folder: Path) -> None:
    read_state(put(folder, "other.pt", data), "delete it")


TARGETS["checkpoint"] = Target(
    make=_states, call=_state, text=False,
    tokens=(b"PK\3\4", b"data.pkl", b"cposix\nsystem\n", b"."),
)  # fmt: skip

_SMALL = MiniConfig(
    quantizers=2, entries=4, spectral_dim=4, encoder_width=8, encoder_blocks=1, pitch_width=8,
    pitch_blocks=1, decoder_width=8, decoder_blocks=1, bands=8,
)  # fmt: skip


def _codecs(folder: Path) -> list[bytes]:
    return [pack_mini(MiniNetwork(_SMALL), "credits")]


def _codec(data: bytes, folder: Path) -> None:
    load_codec(str(put(folder, "codec.safetensors", data)))


TARGETS["codec"] = Target(
    make=_codecs, call=_codec, text=False,
    tokens=(
        b'\\"entries\\": 99999999', b'\\"n_fft\\": 320320', b'"F16"', b'"data_offsets"',
        b"__metadata__", b'\\"bands\\": 2000000000', b'\\"lags\\": 1', b"null",
        b"1e400", b"-1", b"[", b"]",
    ),
)  # fmt: skip
