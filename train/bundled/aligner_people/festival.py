"""Speech of Festival, which joins pieces of people's speech, and so knows where its phones begin.

Most of its voices are diphones that people read and labelled; their labels move with the sound.
Festival and its voices are packages of Debian, see `VOICES`; nothing else of ns2 needs them.

Letters for shapes: S samples, P phones.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr

from ns2.pipeline.sound.decode import read_audio
from ns2.train.bundled.aligner_people.surroundings import trimmed
from ns2.train.bundled.labelled_speech import PAUSE, SAMPLE_RATE, Labelled, sentence, word

_SHARED = {letter: letter for letter in "abdefijklmnopstuvwz"} | {"g": "ɡ", "r": "r"}
_PAUSES = dict.fromkeys(("pau", "#", "##", "_", "h#", "brth"), PAUSE)

ENGLISH = {
    "aa": "ɑː", "ae": "æ", "ah": "ʌ", "ao": "ɔː", "aw": "aʊ", "ax": "ə", "axr": "ɚ", "ay": "aɪ",
    "ch": "tʃ", "dh": "ð", "dx": "ɾ", "eh": "ɛ", "el": "əl", "er": "ɜː", "ey": "eɪ", "hh": "h",
    "ih": "ɪ", "iy": "iː", "jh": "dʒ", "ng": "ŋ", "ow": "oʊ", "oy": "ɔɪ", "r": "ɹ", "sh": "ʃ",
    "th": "θ", "uh": "ʊ", "uw": "uː", "y": "j", "zh": "ʒ",
}  # fmt: skip
ITALIAN = {
    "E": "ɛ", "O": "ɔ", "i1": "i", "e1": "e", "E1": "ɛ", "a1": "a", "o1": "o", "O1": "ɔ",
    "u1": "u", "S": "ʃ", "Z": "ʒ", "ts": "ts", "tS": "tʃ", "dz": "dz", "dZ": "dʒ", "J": "ɲ",
    "ng": "ŋ", "nf": "n", "L": "ʎ",
}  # fmt: skip
CATALAN = ITALIAN | {"ax": "ə", "r": "ɾ", "rr": "r"}
FINNISH = {"@": "æ", "7": "ø", "&": "ə", "y": "y", "T": "θ", "S": "ʃ", "h": "h", "N": "ŋ"}
FINNISH |= {f"{vowel}:": f"{ipa}ː" for vowel, ipa in zip("aeiou7", "aeiouø", strict=True)}
FINNISH |= {"@:": "æ", "y:": "y", "v": "ʋ", "v:": "ʋ"}
FINNISH |= {f"{letter}:": _SHARED[letter] for letter in "ptkbdgfszmnlrjw"}
CZECH = {
    "a:": "aː", "c": "ts", "c~": "tʃ", "ch": "x", "d~": "ɟ", "dz": "dz", "dz~": "dʒ", "e": "ɛ",
    "e:": "eː", "h": "h", "i": "ɪ", "i:": "iː", "n*": "ŋ", "n~": "ɲ", "o:": "oː", "r~": "r̝",
    "r~*": "r̝", "s~": "ʃ", "t~": "c", "u:": "uː", "z~": "ʒ",
}  # fmt: skip


@dataclass(frozen=True)
class Voice:
    """A voice of Festival.

    Attributes:
        package: of Debian.
        language: as espeak-ng names it.
        coding: of the texts that it reads.
        phones: IPA of its phones, beside those that look like IPA.
    """

    package: str
    language: str
    coding: str
    phones: Mapping[str, str]

    def ipa(self, phone: str) -> str:
        """A phone in IPA; `PAUSE` for a pause, and the phone itself if it is not known."""
        return _PAUSES.get(phone, self.phones.get(phone, _SHARED.get(phone, phone)))


VOICES = {
    "ked_diphone": Voice("festvox-kdlpc16k", "en-us", "ascii", ENGLISH),
    "kal_diphone": Voice("festvox-kallpc16k", "en-us", "ascii", ENGLISH),
    "cmu_us_slt_arctic_hts": Voice("festvox-us-slt-hts", "en-us", "ascii", ENGLISH),
    "lp_diphone": Voice("festvox-italp16k", "it", "iso-8859-1", ITALIAN),
    "pc_diphone": Voice("festvox-itapc16k", "it", "iso-8859-1", ITALIAN),
    "upc_ca_ona_hts": Voice("festvox-ca-ona-hts", "ca", "iso-8859-15", CATALAN),
    "suo_fi_lj_diphone": Voice("festvox-suopuhe-lj", "fi", "iso-8859-1", FINNISH),
    "hy_fi_mv_diphone": Voice("festvox-suopuhe-mv", "fi", "iso-8859-1", FINNISH),
    "czech_dita": Voice("festvox-czech-dita", "cs", "iso-8859-2", CZECH),
    "czech_krb": Voice("festvox-czech-krb", "cs", "iso-8859-2", CZECH),
    "czech_machac": Voice("festvox-czech-machac", "cs", "iso-8859-2", CZECH),
    "czech_ph": Voice("festvox-czech-ph", "cs", "iso-8859-2", CZECH),
}
"""The voices that speak here, by Festival's names."""

UNHEARD = ("kal_diphone", "cmu_us_slt_arctic_hts", "hy_fi_mv_diphone")
"""Voices that never teach: networks are measured on those. flite has the first two as well."""

HEARD = tuple(voice for voice in VOICES if voice not in UNHEARD)
"""The voices that teach."""

_SAY = """
(define (ns2_say name text pace)
  (format stderr "%s\\n" name)
  (Parameter.set 'Duration_Stretch pace)
  (unwind-protect
    (let ((u (utt.synth (eval (list 'Utterance 'Text text)))))
      (utt.save.wave u (string-append name ".wav") 'riff)
      (utt.save.segs u (string-append name ".lab")))
    nil))
"""
_PACES, _TRACTS, _OTHER_TRACT = (0.75, 1.35), (0.85, 1.18), 0.5
"""How much longer phones last than the voice's own, by how much faster a wave is played, which
makes other formants and another rate, and how often."""


def festival_sentences(count: int, seed: int, voice: str) -> Iterator[Labelled]:
    """Sentences of random words by one of `VOICES`, as many as it can speak of so many.

    Raises:
        SystemExit: Festival or the voice is not installed.
    """
    rng = random.Random(f"{seed} {voice}")
    yield from _spoken([sentence(rng, VOICES[voice].language) for _ in range(count)], voice, rng)


def festival_words(count: int, seed: int, voice: str) -> Iterator[Labelled]:
    """Words that are spoken alone, as `single_words` has them, by one of `VOICES`.

    Raises:
        SystemExit: Festival or the voice is not installed.
    """
    rng = random.Random(f"{seed} {voice} alone")
    texts = [word(rng, VOICES[voice].language) for _ in range(count)]
    yield from filter(None, map(trimmed, _spoken(texts, voice, rng)))


def _spoken(texts: Sequence[str], voice: str, rng: random.Random) -> Iterator[Labelled]:
    """Texts as a voice speaks them; those are left out that it cannot speak as they are."""
    about = VOICES[voice]
    packages = f"install festival and {about.package}, packages of Debian"
    program = shutil.which("festival")
    if program is None:
        raise SystemExit(f"error: {packages}")
    with tempfile.TemporaryDirectory(prefix="ns2-") as scratch:
        folder = Path(scratch)
        said = [
            f'(ns2_say "{folder}/{i}" "{text}" {rng.uniform(*_PACES):.3f})'
            for i, text in enumerate(texts)
        ]
        script = folder / "say.scm"
        lines = "\n".join([f"(voice_{voice})", _SAY, *said])
        script.write_bytes(lines.encode(about.coding, "ignore"))
        done = subprocess.run([program, "-b", str(script)], capture_output=True, check=False)
        told = done.stderr.decode("utf-8", "replace")
        if texts and f"{folder}/0" not in told:
            raise SystemExit(f"error: {packages}; festival says: {told.strip()}")
        failed = _failed(told, folder)
        for i in range(len(texts)):
            stretch = rng.uniform(*_TRACTS) if rng.random() < _OTHER_TRACT else 1.0
            labels = folder / f"{i}.lab"
            if labels.is_file() and i not in failed:
                yield _labelled(folder / f"{i}.wav", labels.read_text("latin-1"), about, stretch)


def _failed(told: str, folder: Path) -> set[int]:
    """The numbers of the texts at which Festival complained.

    It tells what it could not speak, and which pieces it lacks, for which it takes silence.
    """
    found: set[int] = set()
    number = None
    for line in told.splitlines():
        if line.startswith(f"{folder}/"):
            number = int(line.rpartition("/")[2])
        elif number is not None:
            found.add(number)
    return found


def _labelled(audio: Path, labels: str, voice: Voice, stretch: float) -> Labelled:
    """An utterance with Festival's labels: lines of an end in seconds, a number and a phone."""
    wave, rate = read_audio(audio)
    starts: list[float] = []
    phones: list[str] = []
    begin = 0.0
    for row in map(str.split, labels.splitlines()):
        if len(row) != 3:  # the head
            continue
        end, phone = float(row[0]), voice.ipa(row[2])
        # A long consonant may be two phones, and a pause, too; what lasts no time is not heard.
        if end > begin and not (phones and phones[-1] == phone):
            starts.append(begin / stretch)
            phones.append(phone)
        begin = end
    return Labelled(
        language=voice.language,
        wave=soxr.resample(wave.astype(np.float32), rate * stretch, SAMPLE_RATE).astype(np.float32),
        starts=np.array(starts),
        phones=tuple(phones),
    )
