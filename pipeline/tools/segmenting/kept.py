"""What `ns2 segment` keeps of each recording, so that none is done twice, and the files it writes.

OUT/manifest.jsonl      an utterance on each line
OUT/left_out.parquet    what is in no utterance, and why
OUT/.segments/          a file for each recording that is done, and the lock
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ns2.pipeline.core.atomic import atomic_write, member_folder, stamp, write_if_changed
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.hashing import canonical_json, sha256_file, short_hash
from ns2.pipeline.core.reading import read_json
from ns2.pipeline.tools.segmenting.pieces import FoundPiece, LeftOut, Segmented
from ns2.pipeline.tools.segmenting.recordings import Recording
from ns2.pipeline.tools.tool_options import SegmentOptions

MANIFEST, LEFT_OUT, STATE = "manifest.jsonl", "left_out.parquet", ".segments"
VERSION = 2
"""Increased whenever the same recording, text and options give other pieces."""
_STATE_FILE = re.compile(r"[0-9a-f]{16}\.json")
_OURS = re.compile(rf"{re.escape(MANIFEST)}|{re.escape(LEFT_OUT)}|{re.escape(STATE)}|\.tmp-.*")
_SCHEMA = pa.schema(
    [
        ("recording", pa.string()),
        ("start", pa.float64()),
        ("end", pa.float64()),
        ("words", pa.int32()),
        ("reason", pa.string()),
        ("text", pa.string()),
        ("message", pa.string()),
    ]
)


class Kept:
    """The folder of a corpus that is cut from recordings."""

    def __init__(self, out: Path, options: SegmentOptions) -> None:
        """Take the folder, which is made where it is missing.

        Raises:
            UserError: it holds other things than `ns2 segment` writes.
        """
        foreign = sorted(
            entry.name for entry in (out.iterdir() if out.is_dir() else ())
            if not _OURS.fullmatch(entry.name)
        )  # fmt: skip
        if foreign:
            raise UserError(
                f"{out} holds {foreign[0]}, which ns2 segment did not write; name a new folder"
            )
        self.out = out
        self.folder = member_folder(out, STATE)
        self._settings = {
            "version": VERSION,
            **{k: v for k, v in asdict(options).items() if k != "max_left_out"},
        }
        self._language = options.language

    @property
    def lock_file(self) -> Path:
        """The file that the run at work holds."""
        return self.folder / "lock"

    def find(self, recording: Recording) -> Segmented | None:
        """What an earlier run made of a recording, if it and its text are still the same."""
        try:
            row = read_json(self._path(recording))
            if row["settings"] != self._settings:
                return None
            now = _stamps(recording)
            if row["stamps"] != now:
                if row["digests"] != _digests(recording):
                    return None
                row["stamps"] = now  # touched, or copied
                write_if_changed(self._path(recording), canonical_json(row).encode())
            return Segmented(
                seconds=row["seconds"],
                pieces=tuple(FoundPiece(**piece) for piece in row["pieces"]),
                left_out=tuple(LeftOut(**one) for one in row["left_out"]),
                whole=row["whole"],
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def seen(self, recording: Recording) -> dict[str, Any]:
        """What a recording and its text are now; taken before they are read."""
        return {"stamps": _stamps(recording), "digests": _digests(recording)}

    def keep(self, recording: Recording, seen: Mapping[str, Any], found: Segmented) -> None:
        """Keep what was made of a recording.

        Raises:
            UserError: the recording or its text has changed meanwhile.
        """
        if _stamps(recording) != seen["stamps"]:
            raise UserError(f"{recording.audio} or its text changed while it was read; run again")
        row = {"settings": self._settings, **seen, **asdict(found)}
        with atomic_write(self._path(recording)) as file:
            file.write(canonical_json(row).encode())

    def publish(self, done: Iterable[tuple[Recording, Segmented]]) -> None:
        """Write the manifest and the table of what is left out; forget recordings that are gone."""
        lines: list[str] = []
        left: list[dict[str, Any]] = []
        current = {"lock"}
        for recording, found in done:
            current.add(self._path(recording).name)
            lines += self._lines(recording, found)
            left += [
                {"recording": recording.name, **asdict(row), "message": found.whole}
                for row in found.left_out
            ]
        write_if_changed(self.out / MANIFEST, "".join(lines).encode())
        with atomic_write(self.out / LEFT_OUT) as file:
            table = pa.Table.from_pylist(left, _SCHEMA)
            pq.write_table(table, file, compression="zstd", write_page_checksum=True)
        for path in self.folder.iterdir():
            if _STATE_FILE.fullmatch(path.name) and path.name not in current:
                path.unlink()

    def _lines(self, recording: Recording, found: Segmented) -> Iterable[str]:
        """Lines of the manifest."""
        audio = os.path.relpath(recording.audio.resolve(), self.out.resolve())
        for number, piece in enumerate(found.pieces):
            row = {
                "id": f"{recording.name}-{number:05d}",
                "audio": Path(audio).as_posix(),
                "offset": piece.start,
                "duration": round(piece.end - piece.start, 3),
                "text": piece.text,
                "confidence": piece.confidence,
                "language": self._language,
            }
            if recording.speaker:
                row["speaker"] = recording.speaker
            yield json.dumps(row, ensure_ascii=False) + "\n"

    def _path(self, recording: Recording) -> Path:
        return self.folder / f"{short_hash(recording.name)}.json"


def _stamps(recording: Recording) -> list[list[int]]:
    return [list(stamp(recording.audio)), list(stamp(recording.text))]


def _digests(recording: Recording) -> list[str]:
    return [sha256_file(recording.audio), sha256_file(recording.text)]
