"""The stages that make codes and mel; weights are seeded, see tests.seeded_encodec."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from encodec.model import EncodecModel
from safetensors import safe_open
from safetensors.numpy import load

from ns2.model.codec.encodec import load_encodec
from ns2.model.log_mel import LogMel, MelConfig
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.hashing import canonical_json
from ns2.pipeline.core.schema import check_array
from ns2.pipeline.stages.codes import CodesStage
from ns2.pipeline.stages.mel import MelStage
from ns2.pipeline.stages.stage import Item, Stage
from tests.support.processes import loaded
from tests.support.seeded_encodec import spoken, spoken_encodec


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "seeded.th"
    torch.save(spoken_encodec(), path)
    return path


@pytest.fixture(scope="module")
def stage(weights: Path) -> CodesStage:
    made = CodesStage("encodec_24khz", weights, 16)
    made.setup()
    return made


def speech(samples: int) -> np.ndarray:
    return np.concatenate(spoken())[4000 : 4000 + samples]


def compute(stage: Stage, wave: np.ndarray) -> np.ndarray:
    value = stage.compute(Item(key="a", record={}, inputs={"audio": wave})).value
    assert isinstance(value, np.ndarray)
    return value


@pytest.mark.parametrize("samples", [1, 320, 8000, 8001])
def test_codes_keep_the_contract(stage: CodesStage, samples: int) -> None:
    wave = speech(samples)
    wave.flags.writeable = False
    codes = compute(stage, wave)
    check_array(stage.column, "a", codes, frames=-(-samples // 320), tokens=None)
    assert codes.shape[0] == 16
    assert codes.flags.c_contiguous
    expected = load_encodec(stage._weights, 16).encode(torch.tensor(speech(samples)))
    assert np.array_equal(codes, expected.numpy())


def test_batches_by_length_give_the_canonical_codes_but_for_rounding(stage: CodesStage) -> None:
    """What a GPU would do, on the CPU: padding reaches no frame that is kept."""
    codec = stage._codec
    lengths = [24_000, 8_000, 23_999, 1, 12_345, 24_000, 11_000, 48_001]
    waves = [torch.tensor(speech(60_000)[7 * i : 7 * i + n]) for i, n in enumerate(lengths)]
    groups = list(codec._groups(waves))
    assert sorted(i for group in groups for i in group) == list(range(len(waves)))
    assert [sorted(lengths[i] for i in group) for group in groups] == [
        [48_001], [23_999, 24_000, 24_000], [11_000, 12_345], [8_000], [1],
    ]  # fmt: skip
    found = codec.encode_many(waves)
    alone = [codec.encode(wave) for wave in waves]
    assert [codes.shape for codes in found] == [codes.shape for codes in alone]
    equal = [one == other for one, other in zip(found, alone, strict=True)]
    assert torch.cat([e.flatten() for e in equal]).float().mean() > 0.99


def test_a_gpu_that_torch_can_not_use_is_told(weights: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    made = CodesStage("encodec_24khz", weights, 4)
    made.device = "cuda"
    with pytest.raises(UserError, match="--gpus 0"):
        made.setup()


@pytest.mark.parametrize("name", ["codes", "mel"])
def test_values_do_not_depend_on_threads(stage: CodesStage, name: str) -> None:
    chosen: Stage = stage if name == "codes" else MelStage()
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(compute(chosen, speech(40_000)).tobytes())
    finally:
        torch.set_num_threads(before)
    assert results[0] == results[1]


def test_the_config_is_of_weights_not_of_a_place(
    stage: CodesStage, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save({"state_dict": spoken_encodec()}, tmp_path / "copy.th")
    monkeypatch.chdir(tmp_path)
    copy = CodesStage("encodec_24khz", Path("copy.th"), 16)
    monkeypatch.chdir(weights.parent)
    assert canonical_json(copy.config) == canonical_json(stage.config)
    assert set(stage.config) == {"codec", "weights", "quantizers"}
    assert str(weights.parent) not in canonical_json(stage.config)
    assert CodesStage("encodec_24khz", weights, 8).config != stage.config


def test_a_plan_loads_no_torch_before_it_asks_for_the_config() -> None:
    code = (
        "import pathlib\n"
        "from ns2.pipeline.stages.codes import CodesStage\n"
        "from ns2.pipeline.stages.mel import MelStage\n"
        "s = CodesStage('encodec_24khz', pathlib.Path('w.th'), 16)\n"
        "assert s.spec.sample_rate == 24000 and s.spec.hop_length == 320\n"
        "s.column, s.requires, s.library_versions(), MelStage().config, MelStage().column"
    )
    assert not loaded(code, "torch", "torchaudio", "encodec")


def test_a_worker_gets_no_network_and_checks_its_weights(weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "w.th"
    path.write_bytes(weights.read_bytes())
    planned = CodesStage("encodec_24khz", path, 16)
    _ = planned.config
    packed = pickle.dumps(planned)
    assert len(packed) < 2000
    pickle.loads(packed).setup()
    state = dict(spoken_encodec())
    state["encoder.model.15.conv.conv.bias"] = state["encoder.model.15.conv.conv.bias"] + 0.1
    torch.save(state, path)
    with pytest.raises(UserError, match="weights changed while ns2 ran"):
        pickle.loads(packed).setup()


def test_sums_of_latents(stage: CodesStage) -> None:
    arrays = [compute(stage, speech(n)) for n in (9000, 700, 5000)]
    model = EncodecModel.encodec_model_24khz(pretrained=False)
    model.load_state_dict(spoken_encodec())
    with torch.no_grad():
        latents = np.concatenate(
            [
                model.quantizer.decode(torch.tensor(a.astype(np.int64))[:, None])[0].T.double()
                for a in arrays
            ]
        )
    summary = stage.summarise(arrays)
    assert summary["frames"] == len(latents) == 29 + 3 + 16
    assert np.allclose(summary["sum"], latents.sum(axis=0), rtol=0, atol=1e-4)
    assert np.allclose(summary["sum_squares"], (latents**2).sum(axis=0), rtol=1e-6)
    other = [np.asfortranarray(a) for a in arrays[:2]] + [np.repeat(arrays[2], 2, axis=1)[:, ::2]]
    assert canonical_json(stage.summarise(other)) == canonical_json(summary)
    assert stage.summarise([])["frames"] == 0


def test_the_asset_gives_latents_without_the_codec(stage: CodesStage, tmp_path: Path) -> None:
    file = stage.write_asset(tmp_path, "0123")
    content = file.read_bytes()
    codec = load_encodec(stage._weights, 16)
    assert np.array_equal(load(content)["codebooks"], codec.codebooks.numpy())
    again = CodesStage("encodec_24khz", stage._weights, 16).write_asset(tmp_path, "4567")
    assert file.name == "codebooks-0123.safetensors" and again.read_bytes() == content
    with safe_open(file, "numpy") as opened:
        metadata = opened.metadata()
    assert list(metadata) == ["codec"]  # safetensors writes several fields in any order
    assert json.loads(metadata["codec"]) == {
        "name": "encodec_24khz",
        "sample_rate": 24_000,
        "hop_length": 320,
        "quantizers": 16,
        "entries": 1024,
        "latent_dim": 128,
        "weights": codec.digest,
    }


def test_what_a_user_can_get_wrong(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no codec 'opus'"):
        CodesStage("opus")
    with pytest.raises(UserError, match="1 to 32"):
        CodesStage("encodec_24khz", None, 64)
    absent = CodesStage("encodec_24khz", tmp_path / "absent.th")
    with pytest.raises(UserError, match=r"absent\.th: does not exist"):
        _ = absent.config
    with pytest.raises(UserError, match=r"absent\.th: does not exist"):
        absent.setup()


@pytest.mark.parametrize("samples", [1, 8001])
def test_mel_keeps_the_contract(samples: int) -> None:
    stage = MelStage()
    mel = compute(stage, speech(samples))
    check_array(stage.column, "a", mel, frames=-(-samples // 320), tokens=None)
    exact = LogMel()(torch.tensor(speech(samples))).numpy()
    assert np.abs(mel - exact).max() <= 2**-7 + 1e-6  # half a step of float16 around 11.5 and less
    assert np.array_equal(mel, compute(pickle.loads(pickle.dumps(stage)), speech(samples)))


def test_mel_settings_decide_its_config_and_column() -> None:
    other = MelStage(MelConfig(bins=100))
    assert other.column.dims == (100, "T")
    assert other.config != MelStage().config
    assert MelStage().column.dims == (80, "T")
    json.dumps(other.config)


def test_a_batch_that_memory_has_no_room_for_is_encoded_in_halves(weights: Path) -> None:
    stage = CodesStage("encodec_24khz", weights, 16)
    stage.setup()
    waves = [speech(1000 + 100 * i) for i in range(5)]
    waves[3] = np.broadcast_to(np.float32(0), 10**14)  # 400 TB: no machine has room for it
    items = [Item(key=str(i), record={}, inputs={"audio": wave}) for i, wave in enumerate(waves)]
    stage.device = "cpu:0"  # as on a GPU: all at once
    products = stage.compute_batch(items)
    assert isinstance(products[3], RuntimeError | MemoryError) and "alloc" in str(products[3])
    for i in (0, 1, 2, 4):
        found = products[i]
        assert not isinstance(found, Exception) and isinstance(found.value, np.ndarray)
        expected = stage._codec.encode(torch.tensor(waves[i])).numpy()
        assert found.value.shape == expected.shape
        assert np.mean(found.value != expected) < 0.01
    only = stage.compute_batch(items[3:4])
    assert len(only) == 1 and isinstance(only[0], Exception)
