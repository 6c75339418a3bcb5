"""The phonemes that espeak-ng's data defines for each voice, by the names that it uses itself."""

from __future__ import annotations

import re
import struct
from functools import cache
from pathlib import Path
from typing import NamedTuple

from ns2.pipeline.text.clauses import base_language

TONE_OR_STRESS, VOWEL = 1, 2
"""The types of phonemes that are tones or stresses, and of vowels."""


@cache
def phonemes_of(voice: str, identifier: str) -> dict[str, int]:
    """The mnemonics and types of all phonemes that a voice's table defines or inherits.

    Args:
        voice: the name of an espeak-ng voice.
        identifier: the voice's file below `lang/`, see `Engine.identifier`.
    """
    tables = read_phontab()
    names = [name for name, _, _ in tables]
    index = names.index(table_of(voice, identifier, names))
    by_code: dict[int, tuple[str, int]] = {}
    chain = []
    while True:
        chain.append(index)
        parent = tables[index][1]
        if not parent:
            break
        index = parent - 1
    for index in reversed(chain):
        by_code |= {p.code: (p.mnemonic, p.kind) for p in tables[index][2]}
    usable = re.compile(r"[!-~]+")
    return {
        mnemonic: kind
        for mnemonic, kind in by_code.values()
        # "_" begins pauses, "#" classes of vowels, "(" a change of language
        if usable.fullmatch(mnemonic) and mnemonic[0] not in "_#" and not set("|()]") & {*mnemonic}
    }


def table_of(voice: str, identifier: str, names: list[str]) -> str:
    """The name of a voice's phoneme table: named in its file, else that of its language."""
    content = (data_path() / "lang" / identifier).read_text("utf-8", "replace")
    named = re.search(r"^\s*phonemes\s+(\S+)", content, re.M)
    for name in (named[1] if named else "", voice, base_language(voice)):
        if name in names:
            return name
    return "base1"


class Phoneme(NamedTuple):
    """One entry of a phoneme table."""

    mnemonic: str
    program: int
    code: int
    kind: int


def read_phontab() -> list[tuple[str, int, list[Phoneme]]]:
    """All phoneme tables: (name, 1 + index of the table that it inherits from, phonemes)."""
    content = (data_path() / "phontab").read_bytes()
    tables, at = [], 4
    for _ in range(content[0]):
        count, parent = content[at], content[at + 1]
        name = content[at + 4 : at + 36].split(b"\0")[0].decode()
        at += 36
        phonemes = []
        for _ in range(count):
            mnemonic, _, program, code, kind = struct.unpack_from("<4sIHBB", content, at)
            text = mnemonic.rstrip(b"\0").decode("latin-1")
            phonemes.append(Phoneme(text, program, code, kind))
            at += 16
        tables.append((name, parent, [p for p in phonemes if p.mnemonic and p.code]))
    assert at == len(content), "phontab has another layout: espeak-ng has changed"
    return tables


def data_path() -> Path:
    """The folder of espeak-ng's data."""
    import espeakng_loader

    return Path(espeakng_loader.get_data_path())
