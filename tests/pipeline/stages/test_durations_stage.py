"""The durations stage and the file of its aligner."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from ns2.pipeline.align.aligner_file import aligner_config, load_aligner, train_and_save
from ns2.pipeline.align.bundled_network import bundled_network, network_digest, refiner_digest
from ns2.pipeline.core.errors import UserError, UtteranceError
from ns2.pipeline.core.schema import Reason, check_array, check_durations
from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.pipeline.stages.durations import DurationsStage
from ns2.pipeline.stages.stage import Item

PHONES = ["<sil>", "ˈa", "t", "|", "a", "n", ",", "s", "<sil>"]

TABLE = PhonemeTable.default()


def examples(count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Spectra that differ by phone, in the order of `PHONES`."""
    rng = np.random.default_rng(0)
    spectra = {phone: rng.normal(size=80) * 2 for phone in "atns"} | {"": rng.normal(size=80) - 6}
    made = []
    for _ in range(count):
        sounds = [spectra.get(token.lstrip("ˈ"), spectra[""]) for token in PHONES]
        frames = np.repeat(np.array(sounds), rng.integers(3, 15, len(PHONES)), axis=0)
        mel = (frames + rng.normal(size=frames.shape) * 0.3).T.astype(np.float16)
        mel.flags.writeable = False
        made.append((mel, TABLE.ids(PHONES)))
    return made


def item(mel: np.ndarray, ids: np.ndarray) -> Item:
    return Item(key="u1", record={}, inputs={"mel": mel, "phonemes": ids})


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("aligner") / "assets" / "aligner-1.safetensors"
    train_and_save(examples(20), path, table=TABLE, init="none")
    return path


def test_durations_keep_the_contract(weights: Path) -> None:
    stage = DurationsStage(TABLE, weights)
    stage.setup()
    for mel, ids in examples(5):
        product = stage.compute(item(mel, ids))
        frames = mel.shape[1]
        assert stage.column is not None
        check_array(stage.column, "u1", product.value, frames=frames, tokens=len(ids))
        optional = TABLE.optional
        check_durations("u1", product.value, PHONES, frames=frames, optional=optional)
        assert product.scalars["align_score"] <= 0
        assert (product.value >= 3).all()  # as they were made


def test_equal_input_makes_equal_bytes(weights: Path, tmp_path: Path) -> None:
    seen: list[int] = []
    again = tmp_path / "again.safetensors"
    train_and_save(
        examples(20),
        again,
        table=TABLE,
        init="none",
        progress=lambda step, steps, loss: seen.append(step),
    )
    assert again.read_bytes() == weights.read_bytes()
    assert seen == list(range(1, len(seen) + 1)) and seen


def test_a_worker_gets_the_name_and_loads_the_file(weights: Path) -> None:
    stage = DurationsStage(TABLE, weights)
    stage.setup()
    sent = pickle.dumps(stage)
    assert len(sent) < 1000 + len(pickle.dumps(TABLE))
    mel, ids = examples(1)[0]
    one, two = (s.compute(item(mel, ids)) for s in (stage, pickle.loads(sent)))
    assert one.value.tolist() == two.value.tolist() and one.scalars == two.scalars


def test_more_phones_than_frames_cost_the_utterance(weights: Path) -> None:
    mel, ids = examples(1)[0]
    with pytest.raises(UtteranceError) as caught:
        DurationsStage(TABLE, weights).compute(item(mel[:, :3], ids))
    assert caught.value.reason is Reason.MORE_PHONES_THAN_FRAMES


def test_files_that_are_no_aligner_are_named(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is missing"):
        DurationsStage(TABLE, tmp_path / "none.safetensors").setup()
    broken = tmp_path / "broken.safetensors"
    for data in (b"", weights.read_bytes()[:-10], b"\0" * 100):
        broken.write_bytes(data)
        with pytest.raises(UserError, match=r"not a complete aligner.*delete it"):
            DurationsStage(TABLE, broken).setup()


def test_planning_needs_no_weights() -> None:
    stage = DurationsStage(TABLE)
    assert stage.config == {} and stage.assets == ("aligner",)
    assert set(stage.library_versions()) == {"torch", "numpy"}
    assert aligner_config()["passes"] > 0 and aligner_config()["libraries"]["torch"]
    with pytest.raises(RuntimeError, match="not settled"):
        stage.setup()


def test_the_network_of_the_package_is_part_of_the_aligner(weights: Path, tmp_path: Path) -> None:
    table, paths = TABLE, [tmp_path / "a", tmp_path / "b"]
    for path in paths:
        train_and_save(examples(20), path, table=table)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert paths[0].stat().st_size > weights.stat().st_size + 500_000
    aligner = load_aligner(paths[0])  # whole without the package's file
    assert aligner.evidence is not None and load_aligner(weights).evidence is None
    bundled = bundled_network(table).network.state_dict()
    kept = aligner.evidence.network.state_dict()
    assert all(torch.equal(kept[name], value) for name, value in bundled.items())
    assert aligner.refiner is not None and load_aligner(weights).refiner is None
    assert DurationsStage(TABLE, paths[0]).compute(item(*examples(1)[0])).value.sum() > 0


def test_the_network_counts_in_the_fingerprint() -> None:
    assert aligner_config(init="none")["network"] is None
    assert aligner_config()["network"] == network_digest()
    assert aligner_config()["silence_weight"] > 0 == aligner_config()["trusted_silence"]
    assert aligner_config()["refiner"] == refiner_digest("bundled") is not None
    assert aligner_config()["inner_moves"] == 1


def test_aligners_of_before_keep_their_configuration() -> None:
    """A value more, even 0, would give datasets of before another fingerprint."""
    first, none = aligner_config(init="bundled-1"), aligner_config(init="none")
    assert first["network"] == network_digest("bundled-1") == "b39472a817b22a7e"
    assert {**first, "network": None} == none
    second = aligner_config(init="bundled-2")
    assert second["network"] == network_digest("bundled-2") == "e6ad218347a33839"
    assert second == {
        **first,
        "network": second["network"],
        "silence_weight": 5,
        "trusted_silence": 0,
    }
    assert set(none) == {
        "version", "libraries", "network", "mels", "cepstra", "passes", "early_passes",
        "early_frames", "temper", "covariance_prior", "mean_prior", "noise_floor", "phone_states",
        "short_cost", "start_passes", "trust_passes", "border_weight", "phone_weight",
        "trusted_gaussians",
    }  # fmt: skip
