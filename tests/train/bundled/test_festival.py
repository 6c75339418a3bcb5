"""Speech of Festival, whose labels become phones and times that the network learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from ns2.pipeline.align.bundled_network import network_file, network_of
from ns2.train.bundled.aligner_people import festival
from ns2.train.bundled.aligner_people.festival import (
    HEARD,
    UNHEARD,
    VOICES,
    _failed,
    _labelled,
    festival_sentences,
    festival_words,
)
from ns2.train.bundled.labelled_speech import PAUSE, SAMPLE_RATE
from tests.support.festival import needs_festival

LABELS = """#
0.2000 100 pau
0.3000 100 dh
0.3500 100 iy
0.3500 100 ah
0.4500 100 r
0.5500 100 r
0.7000 100 pau
0.9000 100 pau
"""


def test_labels_become_phones_and_the_times_at_which_they_begin(tmp_path: Path) -> None:
    """What lasts no time is no phone; two that are alike are a long one, and so are pauses."""
    soundfile.write(tmp_path / "a.wav", 0.1 * np.sin(np.arange(14_400)), 16_000)
    found = _labelled(tmp_path / "a.wav", LABELS, VOICES["kal_diphone"], 1.0)
    assert found.phones == (PAUSE, "ð", "iː", "ɹ", PAUSE)
    assert found.starts.tolist() == [0.0, 0.2, 0.3, 0.35, 0.55]
    assert found.language == "en-us" and len(found.wave) == round(0.9 * SAMPLE_RATE)
    faster = _labelled(tmp_path / "a.wav", LABELS, VOICES["kal_diphone"], 1.25)
    assert faster.starts.tolist() == [start / 1.25 for start in found.starts]
    assert len(faster.wave) == round(0.9 / 1.25 * SAMPLE_RATE)


def test_texts_at_which_festival_complains_are_known(tmp_path: Path) -> None:
    told = ["warning", f"{tmp_path}/0", f"{tmp_path}/1", "default diphone", f"{tmp_path}/2"]
    assert _failed("\n".join(told), tmp_path) == {1}


def test_the_network_has_a_class_for_the_phones_of_all_voices() -> None:
    _, phones = network_of(network_file("bundled").read_bytes())
    for voice in VOICES.values():
        assert {ipa for ipa in voice.phones.values() if ipa not in phones} == set()
    assert {*HEARD, *UNHEARD} == {*VOICES} and not {*HEARD} & {*UNHEARD}


def test_without_festival_the_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(festival.shutil, "which", lambda _: None)
    with pytest.raises(SystemExit, match="install festival and festvox-kallpc16k"):
        next(festival_sentences(1, 1, "kal_diphone"))


@needs_festival("kal_diphone")
def test_a_voice_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VOICES, "nobody", VOICES["kal_diphone"])
    with pytest.raises(SystemExit, match=r"install festival and festvox-kallpc16k.*nobody"):
        next(festival_sentences(1, 1, "nobody"))


@needs_festival("kal_diphone")
def test_festival_is_silent_where_its_labels_say_so() -> None:
    _, known = network_of(network_file("bundled").read_bytes())
    sentences = [*festival_sentences(6, 1, "kal_diphone")]
    assert len(sentences) == 6
    for one in sentences:
        assert one.phones[0] == one.phones[-1] == PAUSE and {*one.phones} <= {*known}
        ends = np.append(one.starts[1:], len(one.wave) / SAMPLE_RATE)
        levels: dict[bool, list[float]] = {True: [], False: []}
        for phone, begin, end in zip(one.phones, one.starts, ends, strict=True):
            part = one.wave[round(begin * SAMPLE_RATE) : round(end * SAMPLE_RATE)]
            levels[phone == PAUSE].append(float(np.sqrt(np.mean(part**2))))
        assert max(levels[True]) < 0.1 * float(np.mean(levels[False]))


@needs_festival("kal_diphone")
def test_the_same_seed_speaks_the_same() -> None:
    one, same, other = (next(festival_words(3, seed, "kal_diphone")) for seed in (1, 1, 2))
    assert np.array_equal(one.wave, same.wave) and one.phones == same.phones
    assert PAUSE not in one.phones and one.starts[0] == 0
    assert not np.array_equal(one.wave, other.wave)
