"""`ns2 codec eval` and `ns2 codec copy`: what a codec loses of recordings, in figures and to hear.

Letters for shapes: S samples, T frames, Q quantizers, E entries.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ns2.pipeline.core.errors import OptionError, UserError, UtteranceError
from ns2.pipeline.core.progress import Progress
from ns2.pipeline.core.schema import Piece
from ns2.pipeline.corpora.corpus import recording_of
from ns2.pipeline.corpora.reading import read_corpus
from ns2.pipeline.sound.decode import read_audio, resample
from ns2.pipeline.sound.held.recordings import Place
from ns2.pipeline.sound.measures import PitchErrors, log_mel, mel_distance
from ns2.pipeline.sound.pitch import PitchConfig, extract_f0
from ns2.pipeline.sound.wav import save_wav

if TYPE_CHECKING:
    from ns2.model.codec.interface import Codec


PESQ_RATE = 16_000
CODES_AN_ENTRY = 50
"""With fewer codes for each entry the entropy of their use is estimated too low."""
EXTRA = "pip install 'ns2[eval]'"


@dataclass
class Figures:
    """Sums over recordings; the lists have one value for each recording.

    Attributes:
        counts: (Q, E) how often each entry was chosen.
        seconds: of audio.
        encode_seconds, decode_seconds: the time that the codec took.
        recordings, left_out: how many were measured, and how many can't be used.
        values: the measures by name.
        pitch: the errors of each copy's F0.
    """

    counts: np.ndarray
    seconds: float = 0.0
    encode_seconds: float = 0.0
    decode_seconds: float = 0.0
    recordings: int = 0
    left_out: int = 0
    values: dict[str, list[float]] = field(default_factory=dict)
    pitch: list[PitchErrors] = field(default_factory=list)

    def add(self, name: str, value: float | None) -> None:
        """Add a measure of one recording; None where it can't be measured."""
        if value is not None:
            self.values.setdefault(name, []).append(value)


def copy_recording(codec: Codec, source: Path, target: Path) -> dict[str, float]:
    """Write a codec's copy of a recording as a 16-bit WAV of the same length.

    Returns:
        `seconds` of audio, and `bit_rate` in bits a second.

    Raises:
        OptionError: the target's name does not end with .wav.
        UserError: the recording can't be used.
    """
    import torch

    if target.suffix.lower() != ".wav":
        raise OptionError(f"{target}: OUT is a WAV file; give it a name that ends with .wav")
    try:
        wave = _decoded(source, codec)
    except UtteranceError as error:
        raise UserError(f"{source}: {error}") from error
    with torch.inference_mode():
        made = codec.decode(codec.encode(torch.from_numpy(wave)))[: len(wave)].numpy()
    save_wav(target, made, codec.spec.sample_rate)
    return {"seconds": len(wave) / codec.spec.sample_rate, "bit_rate": bit_rate(codec)}


def bit_rate(codec: Codec) -> float:
    """The bits a second of a codec with all the quantisers that it uses."""
    spec = codec.spec
    return spec.quantizers * math.log2(spec.entries) * spec.sample_rate / spec.hop_length


def evaluate(
    codec: Codec,
    corpus: Path,
    progress: Progress,
    *,
    layout: str | None = None,
    fields: str | None = None,
    limit: int | None = None,
) -> dict[str, Any]:
    """Encode and decode the recordings of a corpus, and measure how the copies differ.

    It runs on one thread, so that speeds are those of one core.

    Args:
        layout: of the corpus; None recognises it.
        fields: which columns of its tables hold what; None leaves it to the tables.
        limit: the number of recordings, the first by key; None for all.

    Returns:
        the figures by name, see `render`.

    Raises:
        UserError: no recording can be used.
    """
    import torch

    from ns2.model.codec.interface import one_thread

    found = read_corpus(corpus, layout, fields)
    for note in found.notes:
        progress.note(note)
    utterances = sorted(found.utterances, key=lambda u: u.key)[:limit]
    spec = codec.spec
    figures = Figures(counts=np.zeros((spec.quantizers, spec.entries), np.int64))
    progress.phase("measuring", len(utterances))
    with one_thread(), torch.inference_mode():
        for utterance in utterances:
            try:
                place = recording_of(found.root, utterance)
                wave = _decoded(place, codec, utterance.piece)
            except UtteranceError as error:
                progress.note(f"{utterance.source}: left out: {error}")
                figures.left_out += 1
                continue
            _measure(figures, codec, wave)
            progress.advance(utterances=1, seconds=len(wave) / spec.sample_rate)
    if not figures.recordings:
        raise UserError(f"{corpus}: none of its recordings can be used")
    return _summary(figures, codec)


def _decoded(place: Place, codec: Codec, piece: Piece | None = None) -> np.ndarray:
    wave, rate = read_audio(place, piece)
    return resample(wave, rate, codec.spec.sample_rate)


def _measure(figures: Figures, codec: Codec, wave: np.ndarray) -> None:
    import torch

    tensor = torch.from_numpy(wave)
    began = time.perf_counter()
    codes = codec.encode(tensor)
    encoded = time.perf_counter()
    made = codec.decode(codes)[: len(wave)].numpy()
    figures.decode_seconds += time.perf_counter() - encoded
    figures.encode_seconds += encoded - began
    figures.recordings += 1
    figures.seconds += len(wave) / codec.spec.sample_rate
    for counts, row in zip(figures.counts, codes.numpy(), strict=True):
        counts += np.bincount(row, minlength=len(counts))
    figures.add("log_mel_l1", mel_distance(log_mel(made), log_mel(wave)))
    figures.add("stoi", speech_stoi(made, wave, codec.spec.sample_rate))
    figures.add("pesq_wb", speech_pesq(made, wave, codec.spec.sample_rate))
    _compare_f0(figures, made, wave, codec)


def speech_stoi(made: np.ndarray, wave: np.ndarray, rate: int) -> float | None:
    """Short-time objective intelligibility (Taal et al. 2011), 0 to 1."""
    try:
        from pystoi import stoi
    except ImportError:
        return None
    return float(stoi(wave, made, rate))


def speech_pesq(made: np.ndarray, wave: np.ndarray, rate: int) -> float | None:
    """Wide-band PESQ (ITU-T P.862.2), 1 to 4.64; None where it finds no speech."""
    try:
        import pesq
    except ImportError:
        return None
    pair = [resample(w, rate, PESQ_RATE) for w in (wave, made)]
    try:
        return float(pesq.pesq(PESQ_RATE, pair[0], pair[1], "wb"))
    except pesq.PesqError:
        return None


def _compare_f0(figures: Figures, made: np.ndarray, wave: np.ndarray, codec: Codec) -> None:
    config = PitchConfig(
        method="dio",
        sample_rate=codec.spec.sample_rate,
        hop_length=codec.spec.hop_length,
        f0_max=800.0,
    )
    errors = PitchErrors.of(extract_f0(made, config), extract_f0(wave, config))
    figures.add("voicing_error", errors.voicing)
    figures.add("f0_gross_error", errors.gross)
    figures.pitch.append(errors)


def entropy_shares(counts: np.ndarray) -> np.ndarray:
    """(Q,) entropy of each codebook's use as a share of log2(E), from counts (Q, E)."""
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    bits = -np.sum(share * np.log2(np.where(share > 0, share, 1.0)), axis=1)
    return np.asarray(bits / np.log2(counts.shape[1]))


def _summary(figures: Figures, codec: Codec) -> dict[str, Any]:
    spec = codec.spec
    means = {name: float(np.mean(values)) for name, values in figures.values.items()}
    names = ("log_mel_l1", "stoi", "pesq_wb", "voicing_error", "f0_gross_error")
    cents = np.abs(PitchErrors.together(figures.pitch).cents)
    codes = int(figures.counts[0].sum())
    return {
        "codec": spec.name,
        "digest": codec.digest,
        "quantizers": spec.quantizers,
        "entries": spec.entries,
        "bit_rate": bit_rate(codec),
        "recordings": figures.recordings,
        "left_out": figures.left_out,
        "seconds": figures.seconds,
        **{name: means.get(name) for name in names},
        "f0_median_cents": float(np.median(cents)) if len(cents) else None,
        "entropy_shares": [round(float(v), 4) for v in entropy_shares(figures.counts)],
        "entries_used": [float(v) for v in np.mean(figures.counts > 0, axis=1)],
        "codes_an_entry": codes / spec.entries,
        "encode_speed": figures.seconds / figures.encode_seconds,
        "decode_speed": figures.seconds / figures.decode_seconds,
    }


def render(found: dict[str, Any]) -> str:
    """The figures of `evaluate` as text for people."""
    return "\n".join(_lines(found))


def _lines(found: dict[str, Any]) -> Iterator[str]:
    yield (
        f"{found['codec']} ({found['digest'][:12]}), {found['quantizers']} quantizers of "
        f"{found['entries']} entries, {found['bit_rate'] / 1000:g} kbit/s"
    )
    yield f"  recordings       {found['recordings']} ({found['seconds'] / 60:.1f} min)"
    shown = (
        ("log-mel distance", "log_mel_l1", "{:.3f}"),
        ("STOI", "stoi", "{:.3f}"),
        ("PESQ wide-band", "pesq_wb", "{:.2f}"),
        ("F0 error", "f0_median_cents", "{:.1f} cents (median)"),
        ("F0 off by 20 %", "f0_gross_error", "{:.2%} of voiced frames"),
        ("voicing error", "voicing_error", "{:.2%} of frames"),
    )
    for title, name, form in shown:
        value = found[name]
        text = form.format(value) if value is not None else f"not measured ({EXTRA})"
        yield f"  {title:<16} {text}"
    yield f"  entropy          {_span(found['entropy_shares'])} of the most there can be"
    if found["codes_an_entry"] < CODES_AN_ENTRY:
        yield f"    (too low an estimate: only {found['codes_an_entry']:.0f} codes an entry)"
    yield f"  entries used     {_span(found['entries_used'])}"
    yield (
        f"  speed            encodes {found['encode_speed']:.0f}x, decodes "
        f"{found['decode_speed']:.0f}x real time on one core"
    )


def _span(shares: Sequence[float]) -> str:
    return f"{min(shares):.1%} to {max(shares):.1%}"
