"""Make `docs/phonemes.md`: what espeak-ng tells apart and tokens don't, for each voice.

    python -m ns2.train.bundled.make_merged_table [--write]

espeak-ng has names of its own for the phonemes of a voice ("I", "I2"), and tokens are its IPA with
tones in full. Each phoneme of each voice is rendered alone and between others; names that get the
same tokens in both are one row. The tones of a voice are tried on each of its vowels.

Without --write it prints what would change, and exits with 1 if anything would.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from ns2.pipeline.text.engine import bare, languages
from ns2.pipeline.text.phoneme_data import TONE_OR_STRESS, VOWEL
from ns2.pipeline.text.pronunciation import as_tokens
from ns2.pipeline.text.tones import Tones, full
from ns2.train.bundled.make_phoneme_table import Renderer

PAGE = Path(__file__).resolve().parents[2] / "docs" / "phonemes.md"
_VARIANT = re.compile(r"[\d#/%*_]+$")
_APPENDED = frozenset("-:;")
_MANY = 12
_HEAD = """# Phonemes

Tokens are phones of espeak-ng's IPA, with [all digits of their
tones](corpora.md#words-and-phones). espeak-ng has more phonemes than its IPA has symbols: this
table has what its own names tell apart and tokens do not, for each of its {voices} voices, as
`python -m ns2.train.bundled.make_merged_table` finds it. No row is a tone: on every vowel of every
voice all tones are different tokens.

Why a row is there:

- *variant*: one phone with another length, strength or place in the word, by which espeak-ng's
  synthesis sounds better; a model learns such differences from the recordings.
- *one symbol*: two sounds that are alike, or the same one in two names; espeak-ng's IPA has one
  symbol for both, and so have tokens.
- *numbered*: sounds of Burmese that espeak-ng numbers; 6,000 random words had none of them.
- *silent*: marks that are written behind another phoneme, and no phones of their own.

| tokens | names | why | voices |
|---|---|---|---|
"""


def main() -> int:
    """Compare the page with espeak-ng, or write it."""
    parser = argparse.ArgumentParser(
        prog="python -m ns2.train.bundled.make_merged_table", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--write", action="store_true", help="The page is replaced by the new one.")
    options = parser.parse_args()
    text = page({voice: merged(voice) for voice in languages()})
    same = PAGE.is_file() and PAGE.read_text("utf-8") == text
    print("nothing changes" if same else f"{PAGE.name} changes")
    if options.write and not same:
        PAGE.write_text(text, "utf-8")
    return 0 if options.write else int(not same)


def merged(voice: str) -> dict[str, tuple[str, ...]]:
    """The names of phonemes that tokens do not tell apart, by their tokens."""
    renderer = Renderer(voice)
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name, kind in renderer.phonemes.items():
        if kind != TONE_OR_STRESS:
            frame = "t" if kind == VOWEL else "a"
            within = " ".join(as_tokens(renderer.say(f"{frame}|{name}|{frame}")))
            groups[" ".join(as_tokens(renderer.say(name))), within].append(name)
    found: dict[str, tuple[str, ...]] = {}
    for (alone, within), names in groups.items():
        if len(names) > 1:
            told = alone if alone not in found else f"{alone} ({within})"
            found[told] = tuple(sorted(names))
    return found


def tones_of_vowels(voice: str) -> dict[str, dict[str, str]]:
    """The token of each vowel of a voice with each tone, for vowels that have tones at all."""
    renderer = Renderer(voice)
    tones = [t for t, kind in renderer.phonemes.items() if kind == TONE_OR_STRESS and t.isdigit()]
    if not Tones(renderer.phonemes).names:
        return {}
    found: dict[str, dict[str, str]] = {}
    for name, kind in renderer.phonemes.items():
        alone = renderer.say(name)
        if kind != VOWEL or len(alone) != 1:
            continue
        said = {tone: renderer.say(f"{name}|{tone}") for tone in tones}
        if said and all(len(s) == 1 and bare(s[0]) != bare(alone[0]) for s in said.values()):
            found[name] = {tone: full(bare(s[0]), tone) for tone, s in said.items()}
    return found


def page(voices: Mapping[str, Mapping[str, tuple[str, ...]]]) -> str:
    """The whole page."""
    having: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    for voice, groups in voices.items():
        for tokens, names in groups.items():
            having[tokens, names].append(voice)
    rows = sorted(having.items(), key=lambda row: (-len(row[1]), row[0]))
    return _HEAD.format(voices=len(voices)) + "".join(
        f"| {_code([tokens] if tokens else [])} | {_code(names)} | {why(names, tokens)} | "
        f"{_voices(found, list(voices))} |\n"
        for (tokens, names), found in rows
    )


def why(names: Sequence[str], tokens: str) -> str:
    """Why names get the same tokens."""
    if not tokens:
        return "silent"
    if len(names) > _MANY // 2 and len({re.sub(r"\d", "", name) for name in names}) == 1:
        return "numbered"
    stems = {_VARIANT.sub("", name) or name for name in names}
    return "variant" if len(stems) == 1 else "one symbol"


def _code(words: Sequence[str]) -> str:
    """Words as code in a cell of a table."""
    return " ".join(f"`` {word} ``" for word in words).replace("|", "\\|")


def _voices(found: Sequence[str], every: Sequence[str]) -> str:
    """Voices in a cell: all, all but some, or their names."""
    others = [voice for voice in every if voice not in found]
    if not others:
        return "all"
    if len(others) <= _MANY:
        return f"all but {', '.join(others)}"
    return f"{len(found)} voices" if len(found) > 2 * _MANY else ", ".join(found)


if __name__ == "__main__":
    sys.exit(main())
