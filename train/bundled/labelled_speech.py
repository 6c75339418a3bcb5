"""Speech whose phones are known to the sample, in many voices and languages, clean and spoilt.

espeak-ng reads random sentences of short word lists; `spoil` then adds what real recordings have:
reverberation, noise, a coloured spectrum, a limited band. The bundled networks of the aligner and
of the phone classifier are trained on such speech.

Letters for shapes: S samples, P phones.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import soxr

from ns2.pipeline.corpora.spoken.espeak import SENTENCES, WORD, speak

SAMPLE_RATE, HOP = 24_000, 320
PAUSE = ""
"""The phone of a pause."""

VARIANTS = (
    "m2", "m4", "m5", "m6", "m8", "f3", "f4", "Alex", "Alicia", "Andrea", "Andy", "Annie",
    "AnxiousAndy", "Denis", "Diogo", "Gene", "Gene2", "Henrique", "Hugo", "Jacky", "Lee", "Marco",
    "Mario", "Michael", "Mike", "Mr serious", "Nguyen", "Reed", "RicishayMax", "RicishayMax2",
    "Storm", "Tweaky", "adam", "anika", "announcer", "antonio", "aunty", "belinda", "benjamin",
    "boris", "caleb", "david", "ed", "edward", "edward2", "grandpa", "gustave", "ian", "iven2",
    "john", "kaukovalta", "klatt3", "klatt5", "linda", "marcelo", "max", "michel", "miguel",
    "mike2", "norbert", "pablo", "paul", "pedro", "quincy", "rob", "robert", "sandro", "shelby",
    "steph2", "travis", "victor", "whisperf", "zac",
)  # fmt: skip
"""The variants of espeak-ng's voices that speak here. The plain voice, m1, m3, m7, f1, f2, f5,
croak, grandma, iven, klatt, klatt2, klatt4, klatt6, steph and whisper never do: networks are
measured on those."""

ECHOING = ("m2", "f3", "f4", "announcer", "Alicia", "Marco", "pablo")
"""Variants with an echo, which fills the closures of stops, so that these are hard to find."""

_COMMON = """
the of and to in a is that it was for on are as with his they at be this from have or by
one had not but what all were when we there can an your which their said if do will each
about how up out them then she many some so these would other into has more her two like
him see time could no make than first been its who now people my made over did down only
way find use may water long little very after words called just where most know get through
back much before go good new write our used me man too any day same right look think also
around another came come work three word must because does part even place well such here
take why things help put years different away again off went old number great tell men say
small every found still between name should home big give air line set own under read last
never us left end along while might next sound below saw something thought both few those
always looked show large often together asked house don't world going want school important
until form food keep children feet land side without boy once animals life enough took four
head above kind began almost live page got earth need far hand high year mother light parts
country father let night following picture being study second eyes soon times story boys
since white days ever paper hard near sentence better best across during today others
however sure means knew it's try told young miles sun ways thing whole hear example heard
several change answer room sea against top turned learn point city play toward five using
himself usually money seen didn't car morning given judge prisoner government officer
committee murder evidence purpose general president character building century printing
letters engraved beautiful action pleasure vision measure church nature future question
""".split()  # noqa: SIM905

_ONSETS = "b bl br d dr f fl fr g gl gr h j k kl kr l m n p pl pr r s sk sp st t tr v w z".split()  # noqa: SIM905
_FOREIGN = {
    "en": "", "en-us": "", "en-gb-scotland": "", "en-gb-x-rp": "",
    "de": "ich nicht und die Straße schön zwischen über Mädchen Kirche Pfeffer Zeit heute Bäume",
    "fr": "je vous le monde bien un enfant chaque jour soleil fleur lune rouge peu gagner huit",
    "es": "el niño perro calle lluvia guerra jamón hacer ciudad llave queso mañana zapato",
    "it": "gli uomini che bene scuola giorno acqua zucchero figlio bagno chiesa cielo",
    "pt": "não coração menino filha velho trabalho ontem manhã chuva homem irmã",
    "pt-br": "não gente dia noite tarde filha coração verde rio bom",
    "nl": "het goed huis schip water uur neus deur vrouw geluid zeggen mooi",
    "sv": "och inte sjö stjärna flicka kött skön hus djur göra",
    "nb": "og ikke sjø kjøre skje gutt hus øye",
    "pl": "nie że szczęście dziękuję rzeka życie świat chleb źle dźwięk",
    "cs": "řeka čtyři děti že dům kůň světlo hodně",
    "hu": "és nem gyerek szép könyv ház nyár egy tyúk",
    "fi": "ja ei hyvä yö talo sää pöytä minä kissa",
    "tr": "ve bir güneş çocuk dağ şehir kız gün ağaç",
    "ro": "și este școală mână frumos pâine țară ghid",
    "id": "dan yang tidak orang rumah banyak nyamuk",
    "sw": "na ni mtu maji nyumba ng'ombe chakula",
    "ca": "i els nois casa llum platja pluja",
    "sq": "dhe një shtëpi qytet gjuhë ujë",
    "eo": "kaj la ĝardeno ŝipo ĉevalo ĵaŭdo",
    "ru": "я не дом вода человек хорошо жизнь щенок мышь чёрный люди день цветок рыба снег",
    "uk": "я не дім вода людина добре життя щастя миша чорний день квітка їжак ґанок",
    "el": "και το σπίτι νερό άνθρωπος καλός ζωή ψάρι χέρι γάτα θάλασσα δέντρο ήλιος",
    "hi": "और नहीं पानी घर आदमी अच्छा जीवन फूल मछली काला भारत धन ठंडा बड़ा",
    "ja": "みず ひと いえ ねこ さかな やま つき はな ふゆ きょう がっこう でんわ",
    "ko": "물 사람 집 고양이 나무 하늘 꽃 학교 밥 친구 바람 겨울",
    "ar": "ماء بيت رجل كتاب شمس قمر باب مدرسة خبز طريق",
}  # fmt: skip
"""Some words of each language, for its own letters; pseudo-words of Latin letters join them."""

LANGUAGES = tuple(language for language in _FOREIGN if language != "en-us")
"""The voices that speak beside "en-us"."""

_LATIN_FREE = {"ru", "uk", "el", "hi", "ja", "ko", "ar"}


def sentence(rng: random.Random, language: str) -> str:
    """A random sentence of words of a language and pseudo-words."""
    own = _FOREIGN[language].split()
    english = language.startswith("en")
    words = []
    for _ in range(rng.randint(4, 14)):
        if english and rng.random() < 0.75:
            word = rng.choice(_COMMON)
        elif own and (language in _LATIN_FREE or rng.random() < 0.3):
            word = rng.choice(own)
        elif english and rng.random() < 0.5:
            word = rng.choice(rng.choice(SENTENCES).rstrip(".!?").split())
        else:
            word = "".join(
                rng.choice(_ONSETS) + rng.choice("aeiou") + rng.choice(["", "", "n", "r", "s", "l"])
                for _ in range(rng.randint(1, 3))
            )
        words.append(word + ("," if rng.random() < 0.08 else ""))
    return " ".join(words).rstrip(",") + rng.choice("....?!")


def word(rng: random.Random, language: str) -> str:
    """A random word of a language, or a pseudo-word."""
    return rng.choice(sentence(rng, language).rstrip(".?!").split()).rstrip(",")


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """An utterance whose phones and their times are known.

    Attributes:
        language: the espeak-ng voice.
        wave: (S,) float32 at `SAMPLE_RATE`.
        starts: (P,) float64, the seconds at which each phone or pause begins, in ascending order.
        phones: P strings of IPA without stress, `PAUSE` for a pause.
    """

    language: str
    wave: np.ndarray
    starts: np.ndarray
    phones: tuple[str, ...]


def closed(
    samples: np.ndarray, phones: list[tuple[int, str]], sample_rate: int
) -> list[tuple[int, str]]:
    """Move the starts of stops from their burst to their closure, and leave out word marks.

    espeak-ng writes the closure of a stop as digital silence, and counts it to the phone before.

    Args:
        samples: (S,) int16, and `phones` as `speak` returns them: (first sample, IPA).
    """
    shortest = round(0.006 * sample_rate)  # a shorter silence is no closure
    sounding = np.flatnonzero(samples)
    found: list[tuple[int, str]] = []
    for start, ipa in phones:
        if ipa == WORD:
            continue
        if ipa and found and found[-1][1]:
            place = int(np.searchsorted(sounding, start))
            last = int(sounding[place - 1]) + 1 if place else 0
            last = max(last, found[-1][0])
            start = last if start - last >= shortest else start
        found.append((start, ipa))
    return found


def labelled_speech(count: int, seed: int) -> Iterator[Labelled]:
    """Utterances of random text, language, variant, speaking rate, pitch and vocal tract length."""
    rng = random.Random(seed)
    made = 0
    while made < count:
        # The order of the draws is part of what a seed means.
        language = "en-us" if rng.random() < 0.35 else rng.choice(LANGUAGES)
        variants = ECHOING if rng.random() < 0.3 else VARIANTS
        voice = f"{language}+{rng.choice(variants)}"
        text = sentence(rng, language)
        pace, pitch = rng.randint(120, 220), rng.randint(25, 75)
        stretch = rng.uniform(0.85, 1.18) if rng.random() < 0.5 else 1.0

        found = labelled(text, language, voice, pace, pitch, stretch)
        if found is not None:
            made += 1
            yield found


def labelled(
    text: str, language: str, voice: str, pace: int, pitch: int, stretch: float
) -> Labelled | None:
    """A text as espeak-ng speaks it; None if it has no phone, or a word of another language.

    Args:
        stretch: played by so much faster, the voice has other formants and another rate.
    """
    samples, rate, phones = speak(text, voice, pace, pitch)
    truth = closed(samples, phones, rate)
    if not truth or any("(" in ipa for _, ipa in truth):
        return None
    wave = soxr.resample(samples.astype(np.float32) / 32768, rate * stretch, SAMPLE_RATE)
    return Labelled(
        language=language,
        wave=wave.astype(np.float32),
        starts=np.array([start for start, _ in truth]) / (rate * stretch),
        phones=tuple(ipa.lstrip("ˈˌ") for _, ipa in truth),
    )


def spoil(wave: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Make a wave (S,) sound like a recording; its length and all times stay the same."""
    size = 1 << (len(wave) + SAMPLE_RATE // 2 - 1).bit_length()
    spectrum = np.fft.rfft(wave, size)
    hertz = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)

    # Room, microphone and a limited band, as filters.
    if rng.random() < 0.4:
        spectrum = spectrum * np.fft.rfft(_room(rng), size)
    if rng.random() < 0.7:
        spectrum = spectrum * _colour(hertz, rng)
    if rng.random() < 0.25:
        spectrum = spectrum / (1 + (hertz / rng.uniform(3500, 9000)) ** 12)
    spoilt = np.fft.irfft(spectrum, size)[: len(wave)]

    # Level, saturation and noise, in the order of a recording.
    spoilt *= 10 ** (rng.uniform(-2.0, -0.3)) / max(np.abs(spoilt).max(), 1e-9)
    if rng.random() < 0.3:
        drive = rng.uniform(1, 4) / np.abs(spoilt).max()
        spoilt = np.tanh(drive * spoilt) / drive
    if rng.random() < 0.8:
        level = float(np.sqrt(np.mean(spoilt**2)))
        ratio = rng.uniform(5, 65)
        spoilt = spoilt + _noise(size, hertz, rng)[: len(wave)] * level * 10 ** (-ratio / 20)
    return spoilt.astype(np.float32)


def _room(rng: np.random.Generator) -> np.ndarray:
    """An impulse response (S,): the direct sound, and noise that decays after it."""
    seconds = np.arange(int(0.4 * SAMPLE_RATE)) / SAMPLE_RATE
    tail = rng.normal(size=len(seconds)) * np.exp(-6.9 * seconds / rng.uniform(0.1, 0.6))
    tail[: int(rng.uniform(0.001, 0.01) * SAMPLE_RATE)] = 0
    tail *= 10 ** (rng.uniform(-25, -3) / 20) / max(float(np.sqrt(np.sum(tail**2))), 1e-9)
    tail[0] = 1.0
    return tail


def _colour(hertz: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A smooth random frequency response within about 10 dB."""
    places = np.linspace(0, np.log1p(SAMPLE_RATE / 2 / 500), 8)
    decibels = np.interp(np.log1p(hertz / 500), places, np.cumsum(rng.normal(size=8) * 4))
    return 10 ** ((decibels - decibels.mean()) / 20)


def _noise(size: int, hertz: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Noise of unit power, between white and brown, sometimes with hum."""
    spectrum = np.fft.rfft(rng.normal(size=size)) / np.maximum(hertz, 60) ** rng.uniform(0, 1.2)
    noise = np.fft.irfft(spectrum, size)
    noise /= float(np.sqrt(np.mean(noise**2)))
    if rng.random() < 0.2:
        noise += np.sin(2 * np.pi * rng.choice([50.0, 60.0]) * np.arange(size) / SAMPLE_RATE)
    return noise
