"""Make `pipeline/dataset/phoneme_table.json`: every phone that espeak-ng can emit.

    python -m ns2.train.bundled.make_phoneme_table [--write]

espeak-ng renders each phoneme of each voice's phoneme table (read from its `phontab` file), alone,
stressed, and with every phoneme whose symbol it appends to the one before: length, palatalisation,
nasalisation, tones. As a cross-check every voice then reads random words of its scripts and
numbers; the symbols must be phones of the table, or sequences of them. Phones that a table already
holds keep their places; new phones are appended in sorted order.

Without --write it prints what would change, and exits with 1 if anything would. It takes about two
minutes. Every voice runs in a process of its own, since random words can crash espeak-ng.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import random
import re
import struct
import subprocess
import sys
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.pipeline.text.clauses import base_language
from ns2.pipeline.text.engine import bare, engine_of, languages
from ns2.pipeline.text.phoneme_data import TONE_OR_STRESS, data_path, phonemes_of, read_phontab
from ns2.pipeline.text.tables import MARKS, SCRIPTS
from ns2.pipeline.text.tones import full, in_ipa

TABLE = Path(__file__).resolve().parents[2] / "pipeline" / "dataset" / "phoneme_table.json"
WORDS = 4000
"""The number of random words of each kind that a voice reads."""
_INPUT_IS_PHONEMES = 0x101  # espeakPHONEMES | espeakCHARS_UTF8
_OUTPUT_IS_IPA = 0x02 | ord("_") << 8


def main() -> int:
    """Compare the table with espeak-ng, or write it."""
    parser = argparse.ArgumentParser(
        prog="python -m ns2.train.bundled.make_phoneme_table", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "--write", action="store_true", help="The table of the package is replaced by the new one."
    )
    parser.add_argument("--voice", help=argparse.SUPPRESS)
    options = parser.parse_args()

    # In the process of a voice: print what it renders and reads.
    if options.voice:
        phones, repeated = rendered(options.voice)
        print(json.dumps([sorted(phones), sorted(repeated), sorted(read(options.voice))]))
        return 0

    # In the process of the command: collect what all voices emit.
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(in_own_process, languages()))
    heard = {bare(symbol) for _, _, symbols in results for symbol in symbols} - {""}
    found = {bare(symbol) for phones, _, _ in results for symbol in phones} - {""}
    found |= {symbol for symbol in map(bare, named()) if symbol and not symbol.isspace()}

    # A phone with an IPA name of its own is lengthened by writing it twice: an artefact, which is
    # kept only where a voice reads it.
    twice = {bare(symbol) for _, repeated, _ in results for symbol in repeated}
    found = (found - twice) | (twice & heard)
    found |= {symbol for symbol in heard if not takes_apart(symbol, found)}

    # Ids of datasets depend on the order: known phones keep their places.
    known = json.loads(TABLE.read_text("utf-8"))["phones"] if TABLE.exists() else []
    new = sorted(found - set(known))
    print(f"{len(languages())} voices, {len(heard):,} symbols heard, {len(found):,} phones;")
    print(f"{len(known):,} in the table, {len(new):,} new: {' '.join(new)[:400]}")
    if options.write and new:
        table = PhonemeTable(marks=MARKS, phones=(*known, *new)).to_json()
        TABLE.write_text(json.dumps(table, ensure_ascii=False, indent=0) + "\n", "utf-8")
    return 0 if options.write else int(bool(new))


def in_own_process(voice: str) -> list[list[str]]:
    """The phones of a voice, its doubled phones, and the symbols that it reads; see `rendered`."""
    command = [sys.executable, "-m", "ns2.train.bundled.make_phoneme_table", "--voice", voice]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise SystemExit(f"{voice}: {result.returncode} {result.stderr[-500:]}")
    lists: list[list[str]] = json.loads(result.stdout.splitlines()[-1])
    return lists


def takes_apart(symbol: str, phones: set[str]) -> bool:
    """Whether a symbol is a sequence of phones."""
    reached = {0}
    for end in range(1, len(symbol) + 1):
        if any(symbol[start:end] in phones for start in reached):
            reached.add(end)
    return len(symbol) in reached


# what espeak-ng can emit


class Renderer:
    """Has espeak-ng render phonemes of a voice by their mnemonics."""

    def __init__(self, voice: str) -> None:
        """Open a voice, and have its library accept phonemes instead of letters."""
        engine = engine_of(voice)
        self.phonemes = phonemes_of(voice, engine.identifier)
        self._backend = engine.backend._espeak._espeak
        # Only a call of espeak_Synth makes the library accept phonemes.
        synth = self._backend._library.espeak_Synth
        synth.argtypes = None
        blank = ctypes.create_string_buffer(b" ")
        size, zero, flags = ctypes.c_size_t(2), ctypes.c_uint(0), ctypes.c_uint(_INPUT_IS_PHONEMES)
        synth(blank, size, zero, 1, zero, flags, None, None)

    def say(self, phonemes: str) -> list[str]:
        """The symbols of some phonemes in espeak-ng's IPA."""
        rest = ctypes.pointer(ctypes.c_char_p(f"[[{phonemes}]]".encode()))
        said: list[str] = []
        while rest.contents:
            line = self._backend.text_to_phonemes(rest, _INPUT_IS_PHONEMES, _OUTPUT_IS_IPA)
            said += re.split("[_ ]+", line.decode().strip("_ \n")) if line else []
        return said


def rendered(voice: str) -> tuple[set[str], set[str]]:
    """The symbols of all phonemes of a voice, alone and with each phoneme that is appended to them.

    Returns:
        phones, and those among the symbols in which something is doubled.
    """
    renderer = Renderer(voice)
    say, phonemes = renderer.say, renderer.phonemes
    # Phonemes that are appended to another one: tones, length, palatalisation, nasalisation.
    alone = [m for m, kind in phonemes.items() if kind != TONE_OR_STRESS]
    joiners = [m for m, kind in phonemes.items() if kind == TONE_OR_STRESS and m[0].isdigit()]
    joiners += [m for m in (":", ";", "~", "+") if m in phonemes]

    phones: set[str] = set()
    repeated: set[str] = set()
    for mnemonic in alone:
        phones.update(said := say(mnemonic))
        phones.update(say(f"'{mnemonic}"))
        for joiner in joiners:
            joined = say(f"{mnemonic}|{joiner}")
            if len(joined) == 1 and len(said) == 1:
                (symbol,) = map(bare, joined)
                if symbol.startswith(bare(said[0])):  # the appended symbol alone
                    phones.add(symbol.removeprefix(bare(said[0])))
                if joiner.isdigit() and symbol.removeprefix(bare(said[0])) in (
                    in_ipa(joiner),
                    bare(said[0]),
                ):
                    phones.add(full(symbol, joiner))
                again = symbol == 2 * bare(said[0]) or symbol[-2:] in ("ːː", "ʲʲ", "\u0303\u0303")
                (repeated if again else phones).add(symbol)
    return phones, repeated


def named() -> set[str]:
    """The IPA names in the programs of all phonemes, whatever conditions they depend on.

    A program is a row of 16-bit instructions; 0x0dNN gives a name of NN bytes, two a word.
    """
    content = (data_path() / "phonindex").read_bytes()
    code = struct.unpack(f"<{len(content) // 2}H", content)
    starts = sorted({phoneme.program for _, _, phonemes in read_phontab() for phoneme in phonemes})
    names = set()
    for start, stop in pairwise([*filter(None, starts), len(code)]):
        at = start
        while at < stop:
            if code[at] >> 8 == 0x0D:
                words = code[at + 1 : at + instruction_words(code, at)]
                name = struct.pack(f">{len(words)}H", *words).split(b"\0")[0]
                names.add(name.decode("utf-8").strip())
            at += instruction_words(code, at)
    return names


def instruction_words(code: tuple[int, ...], at: int) -> int:
    """The length of an instruction in 16-bit words."""
    group, detail = code[at] >> 12, code[at] >> 8 & 0xF
    if group == 0:
        return 1 + ((code[at] & 0xFF) + 1) // 2 if detail == 0xD else 1
    if group in (2, 3):  # a condition
        return 2 if detail in (6, 13) else 1
    if group == 6:  # a jump, or a table of sounds by neighbouring vowel
        return 12 if detail >> 1 in (5, 6) else 1
    if group == 10:
        return 4
    if group >= 11:  # sounds
        following = code[at + 2] if at + 2 < len(code) else 0
        return 4 if following >> 12 == 0xF else 3 if following == 2 else 2
    return 2 if group == 9 else 1


# what espeak-ng emits when it reads


def read(voice: str, count: int = WORDS) -> set[str]:
    """The symbols of random words in a voice's scripts, `count` of each kind, and of numbers."""
    engine = engine_of(voice)
    # `rendered` has made this library accept phonemes, which matters only within [[...]].
    rng = random.Random(0)
    words = [str(n) for n in (*range(120), 1999, 12345, 1_000_000)]
    for pool in letters(voice):
        words += pool[:500]
        words += ["".join(rng.choices(pool, k=rng.randint(2, 8))) for _ in range(count)]
    return {
        phone
        for i in range(0, len(words), 5)
        for phones in engine.speak(" ".join(words[i : i + 5]))
        for phone in phones
    }


def letters(voice: str) -> list[list[str]]:
    """Lists of letters to make words of, one or more for each script of a voice."""
    used = SCRIPTS.get(voice) or SCRIPTS.get(base_language(voice)) or ("LATIN",)
    pools = []
    for script in used:
        pool = [
            char
            for char in map(chr, range(0x30000))
            if unicodedata.category(char)[0] in "LM"
            and unicodedata.name(char, "").split(" ")[0] == script
        ]
        if script == "LATIN":
            plain = list("abcdefghijklmnopqrstuvwxyz")
            pools.append(plain)
            pool = [char for char in pool if char < "\u0250"] + 10 * plain
        elif script in ("CYRILLIC", "ARABIC", "ETHIOPIC"):
            pool = [char for char in pool if char < {"C": "Ԁ", "A": "ݐ", "E": "ᎀ"}[script[0]]]
        elif script == "CJK":
            pool = [char for char in pool if "一" <= char <= "鿿"]
        elif script == "HANGUL":
            pool = [char for char in pool if "가" <= char <= "힣"]
        pools.append(pool)
    return pools


if __name__ == "__main__":
    sys.exit(main())
