"""The modern encoders beside the paper's: the losses of the same training with either.

    python -m benchmarks.choices DATASET [--steps 300] [--seeds 2] [--preset tiny]

The modern encoders have RMSNorm in front of each part (pre-norm), rotary positions and SiLU; the
paper's have LayerNorm behind the residual sum, sinusoidal positions and ReLU. All else is equal,
also utterances, prompts, times and noise. The means over the last fifth of the steps are printed,
and their ratio.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.support.command import arguments
from ns2.model.blocks.encoder import EncoderConfig
from ns2.model.tts.presets import preset
from ns2.train.data.prefetch import Reader
from ns2.train.data.selection import open_data
from ns2.train.run.settings import TrainConfig
from ns2.train.step.ranks import Ranks
from ns2.train.step.trainer import Trainer

NAMES = ("loss", "diffusion", "ce_rvq", "duration", "pitch", "voicing")


def papers(encoder: EncoderConfig) -> EncoderConfig:
    """Return an encoder of the same sizes with the paper's choices."""
    return replace(encoder, norm="layer", pre_norm=False, positions="sinusoidal", activation="relu")


def losses(dataset: Path, config: TrainConfig) -> dict[str, float]:
    """Train on a dataset; return the mean losses over the last fifth of the steps."""
    trainer = Trainer(config, open_data([dataset], split=""), Ranks("cpu"))
    rows = []
    with Reader(
        trainer.data, trainer.share, seed=config.seed, global_frames=config.global_frames
    ) as reader:
        while trainer.step < config.steps:
            rows.append(trainer.learn(next(reader).batch))
            trainer.step += 1
    late = rows[-config.steps // 5 :]
    return {name: float(np.mean([row[name] for row in late])) for name in NAMES}


def main() -> None:
    parser = arguments("benchmarks.choices", __doc__)
    add = parser.add_argument
    add("dataset", type=Path, help="The folder of a dataset.")
    add("--steps", type=int, default=300, help="The steps of each run.  [default: %(default)s]")
    add("--seeds", type=int, default=2, help="The number of seeds.  [default: %(default)s]")
    add("--preset", default="tiny", help="The preset that is trained.  [default: %(default)s]")
    add("--frames", type=int, default=1500, help="The frames of a step.  [default: %(default)s]")
    args = parser.parse_args()
    torch.set_num_threads(1)
    modern = preset(args.preset)
    plain = replace(
        modern,
        phoneme_encoder=papers(modern.phoneme_encoder),
        prompt_encoder=papers(modern.prompt_encoder),
    )
    print(f"{args.preset}, {args.steps} steps of {args.frames} frames")
    for seed in range(args.seeds):
        found = []
        for model in (plain, modern):
            config = TrainConfig(
                model=model,
                steps=args.steps,
                global_frames=args.frames,
                learning_rate=2e-3,
                warmup=min(50, args.steps),
                precision="fp32",
                seed=seed,
                frame_multiple=16,
            )
            found.append(losses(args.dataset, config))
        for name in NAMES:
            a, b = found[0][name], found[1][name]
            print(f"seed {seed}  {name:<10} paper's {a:7.4f}  modern {b:7.4f}  ratio {b / a:.3f}")


if __name__ == "__main__":
    main()
