"""The time to generate speech: the real-time factor, and the share of each part.

    python -m benchmarks.speak [--preset base paper] [--sampler euler:150 dpm++:log_snr:4]
        [--batch 1] [--rounds 1] [--device cpu|cuda] [--json FILE]

The models have their true sizes and random weights, which take as long as trained ones. Each
generates a sentence with a prompt of 3 s, and the bundled codec decodes it. Random weights would
predict arbitrary durations, so the bias of the duration predictor is set such that the sentence
lasts about 4 s. The real-time factor is the seconds of computing per second of speech; on a CPU one
thread computes, and its CPU time is measured.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

import torch

from benchmarks.support.clock import now
from benchmarks.support.command import add_json, arguments, write_json
from benchmarks.support.machine import machine, show_machine
from ns2.model.codec.interface import Codec
from ns2.model.codec.loading import load_codec
from ns2.model.diffusion.sampler_config import SamplerConfig, SamplerKind, Spacing
from ns2.model.tts.choices import Choices
from ns2.model.tts.generation import Request, generate
from ns2.model.tts.ns2 import NS2
from ns2.model.tts.ns2_config import Sizes
from ns2.model.tts.presets import PRESETS, preset
from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.pipeline.text.pronunciation import pronounce
from ns2.train.speak.loading import pack

TEXT = "The boy was there when the sun rose, and he looked for a boat on the shore."
SECONDS, PROMPT_SECONDS = 4.0, 3.0
PARTS = ("encoders", "predictors", "sampler", "decoder")


@dataclass(frozen=True)
class Speaker:
    """A model, a codec and a sentence; `spent` has the seconds of each part in the last call."""

    model: NS2
    codec: Codec
    request: Request
    device: str
    spent: dict[str, float]

    def speak(self, sampler: SamplerConfig) -> float:
        """Generate speech once; return its seconds."""
        self.spent.update(dict.fromkeys(PARTS, 0.0))
        began = now(self.device)
        made = generate(self.model, self.request, Choices(sampler=sampler))
        generated = now(self.device)
        before = self.spent["encoders"] + self.spent["predictors"]
        self.spent["sampler"] = generated - began - before
        for latents, frames in zip(made.latents, made.frames.tolist(), strict=True):
            self.codec.decode_latents(latents[:, :frames])
        self.spent["decoder"] = now(self.device) - generated
        spec = self.codec.spec
        return float(made.frames.sum()) * spec.hop_length / spec.sample_rate


def speaker(name: str, batch: int, device: str) -> Speaker:
    """Return a preset's model with random weights, and a batch of one sentence."""
    codec, table = load_codec("mini"), PhonemeTable.default()
    spec = codec.spec
    rate = spec.sample_rate / spec.hop_length
    torch.manual_seed(0)
    sizes = Sizes(
        latent_dim=spec.latent_dim,
        quantizers=spec.quantizers,
        entries=spec.entries,
        phonemes=len(table),
        phones=table.phone_count,
    )
    model = NS2(preset(name), sizes)
    books = codec.codebooks
    model.fit_to(
        codebooks=books,
        latent_mean=books.mean(1).sum(0),
        latent_std=books.var(1, correction=0).sum(0).sqrt(),
    )
    ids = torch.from_numpy(table.ids(pronounce(TEXT, "en-us").tokens).astype("int64"))
    each = SECONDS * rate / len(ids)
    with torch.no_grad():
        model.duration_predictor.head.weight.mul_(0.01)
        model.duration_predictor.head.bias.fill_(math.log1p(each))
    model.to(device).eval()
    pack(model)
    codec.to(device)
    prompt = round(PROMPT_SECONDS * rate)
    request = Request(
        phonemes=ids.repeat(batch, 1).to(device),
        tokens=torch.full((batch,), len(ids), device=device),
        seeds=torch.arange(batch),
        prompt_codes=torch.randint(
            0, spec.entries, (batch, spec.quantizers, prompt), dtype=torch.int32
        ).to(device),
        prompt_frames=torch.full((batch,), prompt, device=device),
    )
    spent: dict[str, float] = {}
    for owner, attribute, part in (
        (model, "voice", "encoders"),
        (model, "text", "encoders"),
        (model.duration_predictor, "forward", "predictors"),
        (model.pitch_predictor, "forward", "predictors"),
    ):
        setattr(owner, attribute, _noting(getattr(owner, attribute), part, spent, device))
    return Speaker(model, codec, request, device, spent)


def _noting(
    function: Callable[..., Any], part: str, spent: dict[str, float], device: str
) -> Callable[..., Any]:
    def noted(*given: Any, **named: Any) -> Any:
        began = now(device)
        found = function(*given, **named)
        spent[part] += now(device) - began
        return found

    return noted


def sampler_of(text: str) -> SamplerConfig:
    """Parse a sampler, its spacing and its steps, such as "dpm++:log_snr:4" or "euler:150"."""
    kind, _, rest = text.partition(":")
    spacing, _, steps = rest.rpartition(":")
    spacing = spacing or SamplerConfig.spacing
    if kind not in get_args(SamplerKind) or spacing not in get_args(Spacing) or not steps.isdigit():
        raise SystemExit(
            f"--sampler takes KIND:SPACING:STEPS, such as dpm++:log_snr:4, got {text!r}"
        )
    return SamplerConfig(kind=kind, spacing=spacing, steps=int(steps))  # type: ignore[arg-type]


def parsed() -> argparse.Namespace:
    """Parse the command line."""
    parser = arguments("benchmarks.speak", __doc__)
    add = parser.add_argument
    add(
        "--preset",
        nargs="+",
        choices=list(PRESETS),
        default=["base", "paper"],
        help="The presets that are measured.  [default: base paper]",
    )
    add(
        "--sampler",
        nargs="+",
        default=["euler:150", "dpm++:20", "dpm++:log_snr:4"],
        metavar="KIND:SPACING:STEPS",
        help="The samplers with their steps, evenly spaced in time unless SPACING is log_snr.  "
        "[default: euler:150 dpm++:20 dpm++:log_snr:4]",
    )
    add(
        "--batch",
        type=int,
        nargs="+",
        default=[1],
        help="The numbers of sentences in a batch.  [default: 1]",
    )
    add(
        "--rounds",
        type=int,
        default=1,
        help="The rounds, whose median counts.  [default: %(default)s]",
    )
    add(
        "--device",
        choices=("cpu", "cuda"),
        default="cpu",
        help="The torch device that computes.  [default: %(default)s]",
    )
    add_json(parser)
    return parser.parse_args()


def main() -> None:
    args = parsed()
    if args.device == "cpu":
        torch.set_num_threads(1)
    samplers = {text: sampler_of(text) for text in args.sampler}
    figures: dict[str, Any] = {"machine": machine(), "rows": []}
    show_machine(figures["machine"], 1)
    head = "".join(f"{part:>12}" for part in PARTS)
    print(f"{'preset':<8}{'sampler':<16}{'batch':>6}{'speech':>9}{head}{'all':>12}{'RTF':>9}")
    for name in args.preset:
        for batch in args.batch:
            measured = speaker(name, batch, args.device)
            measured.speak(SamplerConfig(steps=2))  # warms up
            for text, sampler in samplers.items():
                rounds = []
                for _ in range(args.rounds):
                    speech = measured.speak(sampler)
                    rounds.append(dict(measured.spent))
                spent = {part: statistics.median(r[part] for r in rounds) for part in PARTS}
                whole = sum(spent.values())
                row = {"preset": name, "sampler": text, "batch": batch, "speech": speech, **spent}
                figures["rows"].append({**row, "factor": whole / speech})
                each = "".join(f"{spent[part]:>10.2f} s" for part in PARTS)
                print(
                    f"{name:<8}{text:<16}{batch:>6}{speech:>7.2f} s{each}{whole:>10.2f} s"
                    f"{whole / speech:>9.3f}",
                    flush=True,
                )
            del measured
    write_json(args.json, figures)


if __name__ == "__main__":
    main()
