"""espeak-ng, the one inside espeakng-loader, through phonemizer: its voices, words and phones."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import re
import shutil
import tempfile
import threading
import weakref
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

from ns2.pipeline.core.errors import UtteranceError
from ns2.pipeline.core.schema import Reason
from ns2.pipeline.text.clauses import base_language
from ns2.pipeline.text.phoneme_data import phonemes_of
from ns2.pipeline.text.tones import Tones, full

Phones = tuple[str, ...]

STRESSES = "ˈˌ"
_STRESS = re.compile(f"[{STRESSES}]")
_NO_PHONE = re.compile(r"\(.*?\)|[\x00-\x1f%|]")  # flags of a language, control characters
_FLAG = re.compile(r"\((.+?)\)")  # the language that espeak-ng changes to
_BETWEEN = "\x1f"  # between two phonemes: no name of a phoneme has it
_IPA, _NAMES = (kind | ord(_BETWEEN) << 8 for kind in (2, 0))
_UTF8 = 1
_COPIES = "ns2-espeak-"
_COPYING = threading.Lock()
_UNSAFE = frozenset({"kl"})  # espeak-ng 1.52 ends the process at the digit 0 of this voice


def languages() -> tuple[str, ...]:
    """The espeak-ng voices that can be used, sorted by name."""
    return tuple(sorted(_voices()))


@cache
def engine_of(language: str, tones: bool = True) -> Engine:
    """The engine of a voice; the same object for every call.

    Args:
        language: the name of the voice.
        tones: whether phones have all digits of their tones, or the first alone as in ns2 0.1.

    Raises:
        UtteranceError: UNKNOWN_LANGUAGE, espeak-ng has no such voice.
    """
    if language not in _voices():
        near = get_close_matches(language.lower().replace("_", "-"), languages(), n=4, cutoff=0.5)
        near += [v for v in languages() if base_language(v) == base_language(language.lower())]
        hint = f"near names: {', '.join(dict.fromkeys(near))}" if near else "such as en-us, de, es"
        raise UtteranceError(
            Reason.UNKNOWN_LANGUAGE, f"espeak-ng has no voice {language!r} ({hint})"
        )
    return Engine(language, tones)


class Engine:
    """One voice of espeak-ng; it keeps no state from one call to the next.

    Attributes:
        language: the name of the voice.
        backend: phonemizer's backend for the voice.
        tones: the tones that espeak-ng's IPA does not tell apart; none where they are not wanted.
    """

    def __init__(self, language: str, tones: bool = True) -> None:
        wrapper_class()
        from phonemizer.backend import EspeakBackend
        from phonemizer.separator import Separator

        quiet = logging.getLogger("ns2.phonemizer")
        quiet.setLevel(logging.CRITICAL)  # phonemizer warns of every foreign word
        self.language = language
        self._lock = threading.Lock()
        self._separator = Separator(phone="_", word=" ")
        with _copies():
            self.backend = EspeakBackend(
                language,
                # Nothing is split and nothing removed here: `clauses` has done so before.
                preserve_punctuation=False,
                punctuation_marks=re.compile(r"(?!)"),
                language_switch="remove-flags",
                with_stress=True,
                logger=quiet,
            )
        self.tones = Tones(phonemes_of(language, self.identifier) if tones else {})
        self.alone = lru_cache(maxsize=50_000)(self._alone)
        self.foreign = lru_cache(maxsize=50_000)(self._foreign)

    @property
    def identifier(self) -> str:
        """The voice's file below `lang/` of espeak-ng's data."""
        return str(self.backend._espeak.voice.identifier)

    def speak(self, text: str) -> list[Phones]:
        """The spoken words of one clause, each with its phones as espeak-ng writes them.

        Phones have their tones in full, see `tones`.
        """
        with self._lock:
            spoken = self._with_tones(text) if self.tones.names else self._as_ipa(text)
        return [phones for phones in spoken if bare_phones(phones)]

    def _as_ipa(self, text: str) -> list[Phones]:
        """The spoken words in espeak-ng's IPA."""
        lines = self.backend.phonemize([text], separator=self._separator, strip=True)
        assert len(lines) == 1, f"{len(lines)} lines for {text!r}"
        return [tuple(phone for phone in w.split("_") if phone) for w in lines[0].split(" ")]

    def _with_tones(self, text: str) -> list[Phones]:
        """Like `_as_ipa`, with all digits of tones, which espeak-ng's own names have."""
        said = self._raw(text, _IPA), self._raw(text, _NAMES)
        if [word.count(_BETWEEN) for word in said[0]] != [w.count(_BETWEEN) for w in said[1]]:
            return self._as_ipa(text)  # rubbish that espeak-ng reads differently each time
        spoken: list[Phones] = []
        home = True  # the phonemes of another voice have other names
        for ipa, names in zip(*said, strict=True):
            phones: list[str] = []
            for phone, name in zip(ipa.split(_BETWEEN), names.split(_BETWEEN), strict=True):
                for flag in _FLAG.findall(phone):
                    home = flag == base_language(self.language)
                phone, name = _FLAG.sub("", phone), _FLAG.sub("", name)
                if phone:
                    phones.append(full(phone, self.tones.of(name)) if home else phone)
            spoken.append(tuple(phones))
        return spoken

    def _raw(self, text: str, mode: int) -> list[str]:
        """The spoken words as espeak-ng gives them, with `_BETWEEN` between phonemes."""
        rest = ctypes.pointer(ctypes.c_char_p(text.encode()))
        words: list[str] = []
        while rest.contents.value is not None:
            clause = self.backend._espeak._espeak.text_to_phonemes(rest, _UTF8, mode)
            words += clause.decode().split(" ") if clause else []
        return words

    @cached_property
    def spells(self) -> bool:
        """Whether it spells words in Latin letters, by the names of letters in another language."""
        with self._lock:
            said = self._raw("windows", _IPA)
        return len(said) > 4 and any(map(_FLAG.search, said))

    def _foreign(self, text: str) -> str:
        """What espeak-ng says for a word, in IPA, if the voice of another language says it."""
        with self._lock:
            said = "".join(self._raw(text, _IPA)).replace(_BETWEEN, "")
        return _FLAG.sub("", said) if _FLAG.search(said) else ""

    def _alone(self, text: str) -> Phones:
        """Phones without stress of one written word that is spoken alone."""
        return tuple(phone for phones in self.speak(text) for phone in bare_phones(phones))


def bare(phone: str) -> str:
    """A phone of espeak-ng without its stress; "" for a symbol that is not a phone.

    The "?" is a glottal stop in Danish and Oromo; in our tokens it is the question mark.
    """
    return _NO_PHONE.sub("", _STRESS.sub("", phone)).replace("?", "ʔ")


def bare_phones(phones: Sequence[str]) -> Phones:
    """Phones of espeak-ng without their stress, less the symbols that are not phones."""
    return tuple(b for phone in phones if (b := bare(phone)))


@contextlib.contextmanager
def _copies() -> Iterator[None]:
    """A place for phonemizer's copies of the library, which a killed process would leave behind.

    A copy that is loaded is not needed on the disk, and the next run removes the folders of
    processes that are gone.
    """
    with _COPYING:
        before = tempfile.tempdir
        place = Path(tempfile.gettempdir())
        for old in place.glob(f"{_COPIES}*"):
            process = old.name.removeprefix(_COPIES).partition("-")[0]
            if process.isdigit() and not Path("/proc", process).exists():
                _remove(old)
        folder = Path(tempfile.mkdtemp(prefix=f"{_COPIES}{os.getpid()}-"))
        weakref.finalize(Engine, _remove, folder)  # at exit, behind those that are made later
        tempfile.tempdir = str(folder)
        try:
            yield
        finally:
            tempfile.tempdir = before
            for copy in folder.glob("*/*"):
                copy.unlink()


def _remove(folder: Path) -> None:
    """Delete a folder of copies of our own user; a link is deleted, and not what it leads to."""
    with contextlib.suppress(OSError):
        if folder.is_symlink() or folder.stat().st_uid != os.getuid():
            return
        shutil.rmtree(folder)


@cache
def wrapper_class() -> Any:
    """phonemizer's wrapper of espeak-ng, after it was given the library and the data."""
    import espeakng_loader
    from phonemizer.backend.espeak.wrapper import EspeakWrapper

    # Both are needed: without the data path espeak-ng ends the process.
    EspeakWrapper.set_library(espeakng_loader.get_library_path())
    EspeakWrapper.set_data_path(espeakng_loader.get_data_path())
    return EspeakWrapper


@cache
def _voices() -> frozenset[str]:
    import espeakng_loader

    data = Path(espeakng_loader.get_data_path())
    found = set()
    with _copies():
        wrapper = wrapper_class()()
    for voice in wrapper.available_voices():
        file = data / "lang" / voice.identifier
        if not file.is_file():  # mbrola voices need programs that espeakng-loader does not bring
            continue
        named = re.search(r"^\s*dictionary\s+(\w+)", file.read_text("utf-8", "replace"), re.M)
        dictionary = named[1] if named else base_language(voice.language)
        if (data / f"{dictionary}_dict").is_file():  # three voices come without a dictionary
            found.add(voice.language)
    return frozenset(found - _UNSAFE)
