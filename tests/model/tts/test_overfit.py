"""Eight utterances learned by heart, by each objective: the whole model at work on real speech.

The latents are those of the bundled codec on espeak-ng's speech. With true durations and pitch the
model has to give them back; the latents' own mean is what a model that learned nothing would say.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ns2.model.diffusion.objectives import OBJECTIVES
from ns2.model.diffusion.sampler_config import SamplerConfig
from ns2.model.tts.batch import Batch, Example, collate
from ns2.model.tts.choices import Choices
from ns2.model.tts.generation import Request, generate
from ns2.model.tts.ns2 import NS2
from ns2.model.tts.ns2_config import DiffusionConfig, NS2Config
from ns2.model.tts.presets import preset
from ns2.model.tts.prompts import PromptConfig
from ns2.pipeline.dataset.reader import Dataset
from ns2.train.step.build import border_ids, build_model
from tests.support.preprocessing import run_inline

FRAMES = 60
PROMPTS = PromptConfig(shortest=15, longest=30, whole_below=40)


@pytest.fixture(scope="module")
def speech(spoken: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    out = tmp_path_factory.mktemp("overfit") / "shards"
    run_inline(spoken, out, None, codec="mini")
    return Dataset(out)


def beginning(utterance: dict[str, np.ndarray], seed: int) -> Example:
    """The first tokens of an utterance, some 60 frames."""
    ends = np.cumsum(utterance["durations"], dtype=np.int64)
    tokens = int(np.searchsorted(ends, FRAMES))
    frames = int(ends[tokens - 1])
    return Example(
        codes=utterance["codes"][:, :frames],
        phonemes=utterance["phonemes"][:tokens],
        durations=utterance["durations"][:tokens],
        f0=utterance["f0"][:frames],
        seed=seed,
    )


def learn(
    config: NS2Config, speech: Dataset, steps: int
) -> tuple[NS2, Batch, dict[str, list[float]]]:
    model = build_model(speech, config)
    examples = [beginning(speech[i], i) for i in range(8)]
    batch = collate(examples, border_ids(speech.phoneme_table), config.prompt)
    optimizer = torch.optim.AdamW(model.parameters(), 4e-3, betas=(0.9, 0.99), weight_decay=0)
    log: dict[str, list[float]] = {}
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 4e-3 * min(1.0, (step + 1) / 40) * (1 - step / steps)
        seeds = replace(batch, seeds=batch.seeds * 100_003 + step)
        losses = model(batch, model.draw(seeds, self_condition=step % 2 == 1))
        optimizer.zero_grad()
        model.total(losses).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        for name, loss in losses.items():
            log.setdefault(name, []).append(loss.item())
    return model, batch, log


@pytest.mark.parametrize(
    ("objective", "steps"),
    [("x0", 160), *(pytest.param(o, 320, marks=pytest.mark.large) for o in OBJECTIVES)],
)
def test_eight_utterances_are_learned_by_heart(objective: str, steps: int, speech: Dataset) -> None:
    config = replace(
        preset("tiny"),
        prompt=PROMPTS,
        diffusion=DiffusionConfig(objective=objective, drop_prompt=0.05, drop_content=0.05),
    )
    model, batch, log = learn(config, speech, steps)
    assert (batch.prompt_frames > 0).sum() >= 6
    for name in ("diffusion", "duration", "pitch", "voicing"):
        assert np.mean(log[name][-20:]) < np.mean(log[name][:20]) / 2, name
    request = Request(
        phonemes=batch.phonemes,
        tokens=batch.tokens,
        seeds=batch.seeds + 1,
        prompt_codes=batch.prompt_codes,
        prompt_frames=batch.prompt_frames,
        durations=batch.durations,
        f0=batch.f0,
    )
    sampler = SamplerConfig(kind="dpm++", steps=20, temperature=1.0)
    made = model.normalised(generate(model, request, Choices(sampler=sampler)).latents)
    true, mask = model.latents_of(batch.codes), batch.frame_mask[:, None]
    mean = (true * mask).sum((0, 2), keepdim=True) / mask.sum()
    error = ((made - true).square() * mask).sum()
    error_of_mean = ((mean - true).square() * mask).sum()
    assert error_of_mean > 5 * error
