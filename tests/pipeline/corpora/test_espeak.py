from __future__ import annotations

import itertools
import json
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from ns2.pipeline.corpora.spoken.espeak import SENTENCES, WORD, main, speak, speak_corpus
from tests.support.factories import ROOT

BOTH_ENGINES = """
import espeakng_loader
from phonemizer.backend import EspeakBackend
from phonemizer.backend.espeak.wrapper import EspeakWrapper
from ns2.pipeline.corpora.spoken.espeak import WORD, speak

EspeakWrapper.set_library(espeakng_loader.get_library_path())
EspeakWrapper.set_data_path(espeakng_loader.get_data_path())
TEXT = "the green wolf watched every pleasure boat"


def phonemes():
    backend = EspeakBackend("en-us", with_stress=True)
    return backend.phonemize([TEXT], strip=True)[0].replace(" ", "")


def spoken():
    samples, _, phones = speak(TEXT, voice="en-us+f2")
    return samples.tobytes(), "".join(ipa for _, ipa in phones if ipa != WORD)


order = [ORDER]
results = [make() for make in order]
same = [result for make, result in zip(order, results) if make is spoken]
assert len({bytes_ for bytes_, _ in same}) == 1, "speech depends on what phonemizer did"
texts = {result for make, result in zip(order, results) if make is phonemes}
assert texts == {ipa for _, ipa in same}, (texts, same[0][1])
print(texts.pop())
"""


@pytest.mark.parametrize(
    "order", ["spoken, phonemes, spoken, phonemes", "phonemes, spoken, phonemes, spoken"]
)
def test_shares_a_process_with_phonemizer_and_agrees_with_it(order: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BOTH_ENGINES.replace("ORDER", order)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    assert "wˈʊlf" in done.stdout


def test_the_same_call_makes_the_same_samples_whatever_came_before() -> None:
    # with noise of breath, and with a flutter that is drawn
    voices = ("en-us+f5", "en-us+m7", "en-us+Reed", "en-us+caleb")
    first = [speak("She sees zebras.", voice) for voice in voices]
    speak("Etwas ganz anderes, und länger.", "de", rate=220, pitch=80)
    again = [speak("She sees zebras.", voice) for voice in reversed(voices)][::-1]
    for (samples, _, phones), (samples_again, _, phones_again) in zip(first, again, strict=True):
        assert np.array_equal(samples, samples_again)
        assert phones == phones_again


def test_phones_lie_where_the_sounds_are() -> None:
    samples, rate, phones = speak("See, a mass of sound.")
    assert samples.dtype == np.int16
    starts = [start for start, _ in phones]
    assert starts == sorted(starts)
    assert starts[0] >= 0 and starts[-1] <= len(samples)
    assert [ipa for _, ipa in phones].count(WORD) == 5

    # hiss has most of its energy in the high half of the spectrum, vowels in the low half,
    # pauses have none
    timed = [(start, ipa) for start, ipa in phones if ipa != WORD]
    heard = {"hiss": 0, "vowel": 0, "pause": 0}
    for (start, ipa), (end, _) in zip(timed, [*timed[1:], (len(samples), "")], strict=True):
        part = samples[start:end].astype(float)
        if len(part) < rate // 50:
            continue
        power = np.abs(np.fft.rfft(part)) ** 2
        high = power[len(power) // 4 :].sum() / max(power.sum(), 1e-9)
        if ipa == "s":
            heard["hiss"] += 1
            assert high > 0.5, start
        elif set(ipa) & set("iæaɐ"):
            heard["vowel"] += 1
            assert high < 0.2, start
        elif not ipa:
            heard["pause"] += 1
            assert np.sqrt(np.mean(part**2)) < 200, start
    assert min(heard.values()) >= 1, heard


def test_a_stop_starts_with_its_closure() -> None:
    samples, rate, phones = speak("A happy cat ate a cake.")
    timed = [(start, ipa) for start, ipa in phones if ipa != WORD]
    closures = [
        start for (_, before), (start, ipa) in itertools.pairwise(timed) if before and ipa == "k"
    ]
    assert len(closures) == 3
    for start in closures:
        assert samples[start - 1] != 0
        assert not samples[start : start + rate * 6 // 1000].any()


def test_pitch_and_rate_are_obeyed() -> None:
    slow, fast = (len(speak("One two three four.", rate=rate)[0]) for rate in (120, 240))
    assert 1.5 < slow / fast < 2.5
    assert not np.array_equal(speak("One.", pitch=20)[0], speak("One.", pitch=80)[0])


def test_unknown_voice_is_refused() -> None:
    with pytest.raises(ValueError, match="no voice 'xx-nowhere'"):
        speak("Hello.", "xx-nowhere")


def test_corpus_is_ljspeech_with_truth_and_the_same_bytes_again(tmp_path: Path) -> None:
    one = speak_corpus(tmp_path / "one", 6, seed=3)
    two = speak_corpus(tmp_path / "two", 6, seed=3)
    other = speak_corpus(tmp_path / "other", 6, seed=4)
    assert _contents(one) == _contents(two)
    assert _contents(one) != _contents(other)

    rows = [line.split("|") for line in (one / "metadata.csv").read_text().splitlines()]
    truths = [json.loads(line) for line in (one / "truth.jsonl").read_text().splitlines()]
    assert len(rows) == len(truths) == len({row[0] for row in rows}) == 6
    for (key, text, normalised), truth in zip(rows, truths, strict=True):
        assert text == normalised and text in SENTENCES
        assert truth["key"] == key
        with wave.open(str(one / "wavs" / f"{key}.wav")) as file:
            assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
            assert (file.getframerate(), file.getnframes()) == (
                truth["sample_rate"],
                truth["samples"],
            )
        words = sum(ipa == WORD for _, ipa in truth["phones"])
        assert words > 0.7 * len(text.split())  # espeak joins "in the" to one


def test_command_line_reads_a_text_file(tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("Hello there.\n\nGood night.\n", encoding="utf-8")
    out = tmp_path / "out"
    main([str(out), "--utterances", "3", "--seed", "5", "--text", str(tmp_path / "lines.txt")])
    rows = (out / "metadata.csv").read_text(encoding="utf-8").splitlines()
    texts = [row.split("|")[1] for row in rows]
    assert len(rows) == 3 and texts[0] == texts[2]
    assert set(texts) == {"Hello there.", "Good night."}


def test_sentences_are_fit_for_a_corpus() -> None:
    assert len(SENTENCES) == len(set(SENTENCES)) == 40
    assert not any(set(text) & set("|\n") for text in SENTENCES)


def _contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
