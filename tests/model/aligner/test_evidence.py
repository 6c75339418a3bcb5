"""The network of the aligner: its arithmetic, and what it is good for on speech of known truth.

The voices are none of those that it was trained on.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
import soxr
import torch

from ns2.model.aligner.alignment import align
from ns2.model.aligner.evidence import (
    DEPTH,
    QUIET,
    REACH,
    Evidence,
    FrameNet,
    NetworkOutput,
    network_from_tensors,
)
from ns2.model.aligner.expectation import Pretrained, train_aligner
from ns2.model.aligner.hmm import Aligner, AlignerConfig, aligner_from_tensors, aligner_to_tensors
from ns2.model.log_mel import LogMel, MelConfig
from ns2.pipeline.align.bundled_network import bundled_network, network_digest, pretrained
from ns2.pipeline.corpora.spoken.espeak import SENTENCES, VOICES, speak
from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.pipeline.tools.align_eval.against_truth import report
from ns2.pipeline.tools.align_eval.truth import Truth
from ns2.train.bundled.labelled_speech import VARIANTS, closed
from tests.model.aligner.test_hmm import spelled

TABLE = PhonemeTable.default()
Example = tuple[torch.Tensor, torch.Tensor]


def small_network(seed: int = 0) -> FrameNet:
    torch.manual_seed(seed)
    return FrameNet(mels=80, width=12, features=4, phones=7).requires_grad_(False)


def some_mel(frames: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(80, frames)) - 2).float()


def test_hears_what_its_weights_say_in_float64() -> None:
    network, mel = small_network(), some_mel(9)
    values = np.maximum(mel.double().numpy(), float(mel.max()) - DEPTH)
    values = (values - values.mean(1, keepdims=True)) / 2
    values = np.pad(values, ((0, 0), (REACH, REACH)), mode="edge")
    for layer in network.layers:
        weight, bias = layer.weight.double().numpy(), layer.bias.double().numpy()
        size = weight.shape[2]
        windows = [values[:, t : t + size] for t in range(values.shape[1] - size + 1)]
        values = np.maximum(
            np.stack([(weight * w).sum((1, 2)) + bias for w in windows], axis=1), 0.0
        )

    def linear(layer: torch.nn.Conv1d, below: np.ndarray) -> np.ndarray:
        weight, bias = layer.weight.double().numpy()[:, :, 0], layer.bias.double().numpy()
        return weight @ below + bias[:, None]

    features = linear(network.features, values)
    logits, border = linear(network.phones, features), linear(network.border, values)[0]
    output = network.analyse(mel)
    np.testing.assert_allclose(output.features.numpy(), features.T, atol=1e-5)
    expected = logits - np.log(np.exp(logits).sum(0))
    np.testing.assert_allclose(output.phones.numpy(), expected.T, atol=1e-5)
    np.testing.assert_allclose(output.border.numpy(), -np.log1p(np.exp(-border)), atol=1e-5)


def test_level_and_colour_of_a_recording_make_no_difference() -> None:
    network, mel = small_network(), some_mel(50)
    tilted = mel + torch.linspace(-1, 1, 80)[:, None] + 3
    torch.testing.assert_close(
        network.analyse(mel).features, network.analyse(tilted).features, atol=1e-4, rtol=0
    )


def test_sees_some_frames_on_either_side_and_no_more() -> None:
    network, mel = small_network(), some_mel(60)[None]
    changed = mel.clone()
    changed[0, :, 30] += 1
    moved = (network(mel)[0] - network(changed)[0])[0].abs().sum(0)
    assert torch.nonzero(moved).flatten().tolist() == list(range(30 - 2 * REACH, 31))


def test_weights_that_do_not_fit_are_refused() -> None:
    tensors = dict(small_network().state_dict())
    assert network_from_tensors(tensors).analyse(some_mel(5)).features.shape == (5, 4)
    for wrong in ({}, {**tensors, "border.weight": torch.zeros(3)}):
        with pytest.raises(ValueError, match="not the weights"):
            network_from_tensors(wrong)


def test_silence_and_sound_share_the_probability() -> None:
    network = small_network()
    output = network.analyse(some_mel(20))
    found = Evidence(network, torch.tensor([0, -1, 1])).silence(
        output, torch.tensor([True, False, False])
    )
    quiet = output.phones[:, QUIET].exp()
    torch.testing.assert_close(found.exp()[:, 0], quiet)
    torch.testing.assert_close(found.exp()[:, 1:], (1 - quiet)[:, None].expand(-1, 2))


@pytest.mark.parametrize(("trust", "left"), [(0.2, 1.0), (0.5, 0.6), (0.9, 0.2)])
def test_silence_counts_less_where_phones_are_trusted(trust: float, left: float) -> None:
    """Half of the way from 0.4 to 0.6 is half trusted; a fifth of the weight is left in the end."""
    mel, chosen = some_mel(20), torch.arange(3)

    def scores(weight: float) -> torch.Tensor:
        config = AlignerConfig(silence_weight=weight, trusted_silence=0.2)
        aligner = Aligner(config, 3, 3, small_network())
        assert aligner.evidence is not None
        aligner.evidence.trust = torch.tensor(trust)
        return aligner.scores(torch.zeros(20, 3), aligner.analyse(mel), chosen)

    more = (scores(2.0) - scores(0.0))[:, :3]
    evidence = Evidence(small_network(), torch.zeros(3)).silence(
        small_network().analyse(mel), torch.tensor([True, False, False])
    )
    torch.testing.assert_close(more, 2 * left * evidence, atol=1e-5, rtol=1e-4)


def test_bundled_weights_are_small_and_know_the_table() -> None:
    bundled = bundled_network(TABLE)
    assert sum(value.numel() for value in bundled.network.parameters()) < 400_000
    assert len(network_digest()) == 16
    ids = TABLE.ids(["ɪ", "ˈɪ", "ˌɪ", "s", "<sil>"]).astype(np.int64)
    phones = bundled.phone_of[torch.from_numpy(ids)].tolist()
    assert phones[0] == phones[1] == phones[2] > 0 and phones[3] > 0 and phones[4] == -1


def test_phones_are_known_by_their_symbol_whatever_the_stress() -> None:
    known = pretrained(small_network(), ["", "t", "a"], TABLE).phone_of
    ids = TABLE.ids(["a", "ˈa", "t", "s", "|"]).astype(np.int64)
    assert known[torch.from_numpy(ids)].tolist() == [2, 2, 1, -1, -1]


@dataclass(frozen=True)
class Spoken:
    examples: dict[str, Example]
    tokens: dict[str, list[str]]
    truth: list[Truth]


@cache
def spoken() -> Spoken:
    """40 sentences in seven voices; stops begin with their closure."""
    transform = LogMel(MelConfig())
    examples, tokens, truth = {}, {}, []
    for i, (text, voice) in enumerate(zip(SENTENCES, itertools.cycle(VOICES), strict=False)):
        assert voice.partition("+")[2] not in VARIANTS
        samples, rate, phones = speak(text, voice, 150 + 7 * (i % 7), 40 + 3 * (i % 8))
        wave = soxr.resample(samples.astype(np.float32) / 32768, rate, 24_000)
        tokens[text] = spelled(phones)
        ids = torch.from_numpy(TABLE.ids(tokens[text]).astype(np.int64))
        examples[text] = (transform(torch.from_numpy(wave.astype(np.float32))).half(), ids)
        starts = closed(samples, phones, rate)
        truth.append(Truth.of({"key": text, "sample_rate": rate, "phones": starts}))
    return Spoken(examples=examples, tokens=tokens, truth=truth)


def trained_on(examples: list[Example], network: Pretrained | None) -> Aligner:
    ids = np.arange(len(TABLE))
    return train_aligner(
        examples,
        AlignerConfig(),
        phone_of=torch.from_numpy(TABLE.phone_and_stress(ids)[0]),
        optional=torch.tensor([symbol in TABLE.optional for symbol in TABLE.symbols(ids)]),
        trained=network,
    )


@cache
def aligner(kind: str) -> Aligner:
    """With the network, "without" it, or with one to which no phone is "unknown"."""
    network = None if kind == "without" else bundled_network(TABLE)
    if network is not None and kind == "unknown":
        network = Pretrained(network.network, torch.full_like(network.phone_of, -1))
    return trained_on(list(spoken().examples.values()), network)


def errors(kind: str) -> dict[str, float]:
    corpus = spoken()
    found = {
        key: (corpus.tokens[key], align(aligner(kind), *example).durations.numpy())
        for key, example in corpus.examples.items()
    }
    told = report(corpus.truth, found, TABLE.optional)
    assert told["utterances"]["compared"] == 40
    overall: dict[str, float] = told["overall"]
    return overall


def test_borders_are_much_nearer_with_the_network_than_without() -> None:
    bundled, without = errors("bundled"), errors("without")
    assert bundled["mean"] < 0.7 * without["mean"] and bundled["mean"] < 8
    assert bundled["median"] < 5 and abs(bundled["signed"]) < 2


def test_phones_that_the_network_does_not_know_are_aligned_with_its_features() -> None:
    stranger = aligner("unknown")
    assert stranger.evidence is not None and stranger.evidence.share == 0
    assert errors("unknown")["mean"] < 0.85 * errors("without")["mean"]


def test_it_is_trusted_on_speech_that_it_knows_and_on_nothing_else() -> None:
    known = aligner("bundled").evidence
    assert known is not None and float(known.trust) > 0.6 and known.share == 1
    # The same recordings, turned upside down in frequency: as orderly, but nothing it could know.
    turned = [(mel.flip(0), tokens) for mel, tokens in spoken().examples.values()]
    strange = trained_on(turned, bundled_network(TABLE)).evidence
    assert strange is not None and strange.share == 0


def test_posteriors_are_the_networks_less_half_the_prior() -> None:
    evidence = aligner("bundled").evidence
    assert evidence is not None
    output = NetworkOutput(
        features=torch.zeros(3, 1),
        phones=torch.log_softmax(some_mel(3).T.repeat(1, 2)[:, : len(evidence.prior)], 1),
        border=torch.zeros(3),
    )
    chosen = torch.nonzero(evidence.phone_of >= 0).flatten()[:4]
    phones = evidence.phone_of[chosen]
    expected = output.phones[:, phones] - 0.5 * evidence.prior[phones]
    torch.testing.assert_close(evidence.phones(output, chosen, torch.zeros(3, 4)), expected)
    assert float(evidence.prior.exp().sum()) == pytest.approx(1, abs=0.05)


def test_bits_do_not_depend_on_threads_and_survive_saving() -> None:
    examples = list(spoken().examples.values())[:10]
    before = torch.get_num_threads()
    states = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            states.append(aligner_to_tensors(trained_on(examples, bundled_network(TABLE))))
    finally:
        torch.set_num_threads(before)
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    made = trained_on(examples, bundled_network(TABLE))
    again = aligner_from_tensors(made.config, states[0])
    for example in examples[:3]:
        one, two = align(made, *example), align(again, *example)
        assert torch.equal(one.durations, two.durations) and one.score == two.score
