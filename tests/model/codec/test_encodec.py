"""The codec against the encodec package itself; weights are seeded, see tests.seeded_encodec."""

import functools
import hashlib
import http.server
import itertools
import socket
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from encodec.model import EncodecModel
from torch import Tensor

from ns2.model.codec import encodec as encodec_module
from ns2.model.codec.encodec import EncodecCodec, load_encodec
from ns2.model.codec.interface import CodecError, codes_to_latents
from ns2.model.codec.loading import load_codec
from ns2.model.codec.registry import codec_spec
from ns2.pipeline.corpora.spoken.espeak import SENTENCES, speak, write_wav
from tests.support.seeded_encodec import (
    ENTRIES,
    QUANTIZERS,
    load_speech,
    seeded_encodec,
    spoken,
    spoken_encodec,
)
from tests.support.seeded_encodec import main as seed_main

Change = Callable[[dict[str, Tensor]], None]


@functools.cache
def codec() -> EncodecCodec:
    return EncodecCodec(spoken_encodec(), 16)


@functools.cache
def package() -> EncodecModel:
    """The package's own model, as it comes, at 12 kbit/s: 16 quantisers."""
    model = EncodecModel.encodec_model_24khz(pretrained=False)
    model.load_state_dict(spoken_encodec(), strict=True)
    model.set_target_bandwidth(12.0)
    return model.eval()


def speech(samples: int, start: int = 4000) -> Tensor:
    return torch.tensor(np.concatenate(spoken())[start : start + samples])


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "seeded.th"
    torch.save(spoken_encodec(), path)
    return path


@pytest.mark.parametrize("samples", [1, 319, 320, 321, 2560, 5000, 24_000, 24_001])
def test_frames_are_the_ceiling_and_codes_the_packages(samples: int) -> None:
    wave = speech(samples)
    frames = -(-samples // 320)
    codes = codec().encode(wave)
    assert codes.shape == (16, frames)
    assert codes.dtype == torch.int64
    padded = torch.zeros(1, 1, 320 * (frames + 8))
    padded[0, 0, :samples] = wave
    with torch.no_grad():
        expected = package().encode(padded)[0][0][0, :, :frames]
    assert torch.equal(codes, expected)


def test_a_longer_recording_begins_with_the_same_codes() -> None:
    wave = speech(320 * 100)
    whole, begin = codec().encode(wave), codec().encode(wave[: 320 * 60])
    assert (whole[:, :60] == begin).float().mean() > 0.99


def test_codes_do_not_depend_on_neighbours_or_order() -> None:
    waves = [speech(n, start) for n, start in ((9000, 0), (3201, 50_000), (16_000, 90_000))]
    alone = [codec().encode(wave) for wave in waves]
    for order in itertools.permutations(range(3)):
        for i, codes in zip(order, codec().encode_many([waves[i] for i in order]), strict=True):
            assert torch.equal(codes, alone[i])


def test_codes_do_not_depend_on_threads() -> None:
    wave, before, used = speech(30_000), torch.get_num_threads(), list[int]()

    class Watched(EncodecCodec):
        def _encode_padded(self, waves: Sequence[Tensor]) -> list[Tensor]:
            used.append(torch.get_num_threads())
            return super()._encode_padded(waves)

    watched = Watched(spoken_encodec(), 16)
    try:
        results = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(watched.encode(wave))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])
    assert used == [1, 1, 1]  # few codes would tip: equal ones alone show little


@pytest.mark.parametrize("quantizers", [1, 3, 16])
def test_latents_and_audio_are_the_packages(quantizers: int) -> None:
    codes = codec().encode(speech(10_000))[:quantizers]
    with torch.no_grad():
        latents = package().quantizer.decode(codes[:, None])[0]
        audio = package().decode([(codes[None], None)])[0, 0]
    assert torch.equal(codec().latents(codes), latents)
    assert torch.equal(codec().latents(codes.to(torch.uint16)), latents)
    decoded = codec().decode(codes)
    assert decoded.shape == (320 * 32,)
    assert torch.equal(decoded, audio)


@pytest.mark.parametrize("frames", [1, 2, 9])
def test_any_number_of_frames_decodes(frames: int) -> None:
    assert codec().decode(torch.zeros(16, frames, dtype=torch.int64)).shape == (320 * frames,)


def test_latents_of_a_batch_are_sums_of_entries() -> None:
    rng = np.random.default_rng(0)
    codebooks = rng.normal(size=(5, 7, 3))
    codes = rng.integers(0, 7, size=(2, 4, 6))
    expected = np.zeros((2, 3, 6))
    for b, k, t in np.ndindex(2, 4, 6):
        expected[b, :, t] += codebooks[k, codes[b, k, t]]
    got = codes_to_latents(torch.tensor(codes), torch.tensor(codebooks))
    assert np.allclose(got.numpy(), expected, atol=1e-12)
    with pytest.raises(ValueError, match="6 quantizers for 5 codebooks"):
        codes_to_latents(torch.zeros(6, 1, dtype=torch.int64), torch.tensor(codebooks))


def test_what_it_returns_can_be_trained_with() -> None:
    codes = codec().encode(speech(3000))
    table = codec().codebooks.clone().requires_grad_()
    codes_to_latents(codes, table).sum().backward()
    assert table.grad is not None
    assert float(table.grad.sum()) == codes.numel() * 128
    latents = codec().latents(codes).requires_grad_()
    codec().decode_latents(latents).square().sum().backward()
    assert latents.grad is not None
    assert latents.grad.abs().sum() > 0
    assert not codec().decode(codes).requires_grad


@pytest.mark.parametrize("quantizers", [1, 5, 32])
def test_any_number_of_quantizers(quantizers: int) -> None:
    some = EncodecCodec(spoken_encodec(), quantizers)
    assert some.spec == codec_spec("encodec_24khz", quantizers)
    assert some.codebooks.shape == (quantizers, 1024, 128)
    codes = some.encode(speech(4000))
    assert codes.shape == (quantizers, 13)
    both = min(quantizers, 16)
    assert torch.equal(codes[:both], codec().encode(speech(4000))[:both])


@pytest.mark.parametrize("shape", [(0,), (1, 320)])
def test_other_than_one_recording_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected audio of shape"):
        codec().encode(torch.zeros(shape))


def test_the_seeded_codebooks_are_used_on_speech() -> None:
    """On sentences that the weights have not seen; a plain seeded network uses 2 to 30."""
    codes = []
    for text in SENTENCES[9:15]:
        samples, rate, _ = speak(text, "en-us+f1")
        assert rate == 22_050
        wave = np.interp(np.arange(0, len(samples), rate / 24_000), range(len(samples)), samples)
        codes.append(codec().encode(torch.tensor(wave / 32768, dtype=torch.float32)))
    used = [len(row.unique()) for row in torch.cat(codes, dim=1)]
    print(f"entries used of {ENTRIES} in {sum(c.shape[1] for c in codes)} frames: {used}")
    assert min(used) >= 200


def test_seeding_is_deterministic_and_needs_little(tmp_path: Path) -> None:
    """Two seconds are fewer frames than a codebook has entries."""
    wave = speech(48_000).numpy()
    write_wav(tmp_path / "a.wav", np.round(wave * 32767).astype(np.int16), 24_000)
    first = seeded_encodec(load_speech([tmp_path], 60), seed=5, quantizers=2)
    args = f"{tmp_path}/out.th --audio {tmp_path} --seed 5 --quantizers 2"
    seed_main(args.split())
    again = torch.load(tmp_path / "out.th", weights_only=True)
    assert first.keys() == again.keys() == spoken_encodec().keys()
    assert all(torch.equal(first[name], again[name]) for name in first)
    books = [first[f"quantizer.vq.layers.{i}._codebook.embed"] for i in range(QUANTIZERS)]
    assert all(len(book.unique(dim=0)) == ENTRIES for book in books)
    other = seeded_encodec(load_speech([tmp_path], 60), seed=6, quantizers=2)
    name = "encoder.model.0.conv.conv.weight_v"
    assert not torch.equal(first[name], other[name])


def test_every_convolution_has_unit_variance_on_the_speech() -> None:
    """Held against the package's own forward pass, whose weights are g * v / |v|."""
    model, variances = package(), {}

    def watch(name: str, output: Tensor) -> None:
        variances[name] = float(output.var(dim=(0, 2)).mean())

    hooks = [
        module.register_forward_hook(lambda _m, _i, output, name=name: watch(name, output))
        for name, module in model.encoder.named_modules()
        if isinstance(module, torch.nn.Conv1d)
    ]
    with torch.no_grad():
        model.encoder(speech(320 * 600, start=0)[None, None])
    for hook in hooks:
        hook.remove()
    assert len(variances) == 18
    assert all(0.9 < v < 1.1 for v in variances.values()), variances


def test_the_digest_is_of_the_weights_not_of_the_file(tmp_path: Path, weights: Path) -> None:
    state = spoken_encodec()
    safetensors.torch.save_file(state, tmp_path / "w.safetensors")
    backwards = dict(reversed(state.items()))
    for name, value in {
        "a": {"state_dict": backwards},
        "b": {"best_state": {"model": state}},
    }.items():
        torch.save(value, tmp_path / f"{name}.th")
    files = [weights, tmp_path / "w.safetensors", tmp_path / "a.th", tmp_path / "b.th"]
    digests = {load_encodec(file, 16).digest for file in files}
    assert digests == {codec().digest}
    assert len(codec().digest) == 64


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("encoder.model.0.conv.conv.weight_g", True),
        ("encoder.model.13.lstm.bias_hh_l1", True),
        ("quantizer.vq.layers.15._codebook.embed", True),
        ("quantizer.vq.layers.16._codebook.embed", False),
        ("quantizer.vq.layers.0._codebook.cluster_size", False),
        ("decoder.model.0.conv.conv.bias", False),
    ],
)
def test_the_digest_changes_with_weights_that_decide_codes(name: str, changes: bool) -> None:
    state = dict(spoken_encodec())
    state[name] = state[name].clone()
    state[name].flatten()[-1] += 1e-3
    assert (EncodecCodec(state, 16).digest != codec().digest) == changes


def test_loading_leaves_the_random_numbers_alone_and_warns_of_nothing() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        EncodecCodec(spoken_encodec(), 4)
    assert torch.equal(torch.rand(3), expected)


# ---- files that are not it


def dropped(state: dict[str, Tensor]) -> None:
    for name in list(state):
        if name.startswith("encoder."):
            del state[name]


def renamed(state: dict[str, Tensor]) -> None:
    state["encoder.layers.0.conv.weight_g"] = state.pop("encoder.model.0.conv.conv.weight_g")


def reshaped(state: dict[str, Tensor]) -> None:
    state["encoder.model.0.conv.conv.weight_v"] = torch.zeros(32, 2, 7)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dropped, r"62 of 252 tensors missing \(encoder\.model\.0\.conv\.conv\.bias, .*\.\.\.\)"),
        (renamed, r"1 of 252 .*conv\.weight_g\); 1 unexpected \(encoder\.layers\.0"),
        (reshaped, r"weight_v has shape \(32, 2, 7\) instead of \(32, 1, 7\)"),
    ],
)
def test_another_layout_is_told(change: Change, message: str, tmp_path: Path) -> None:
    state = dict(spoken_encodec())
    change(state)
    torch.save(state, tmp_path / "other.th")
    with pytest.raises(CodecError, match=message) as caught:
        load_encodec(tmp_path / "other.th")
    assert "other.th" in str(caught.value)
    assert len(str(caught.value)) < 600


class Surprise:
    """A pickle of it would call a function of its own choice."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return (print, ("this must not be printed",))


def test_files_that_hold_no_weights(
    tmp_path: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "noise.th").write_bytes(bytes(range(256)) * 40)
    (tmp_path / "noise.safetensors").write_bytes(bytes(range(256)) * 40)
    (tmp_path / "empty.th").write_bytes(b"")
    (tmp_path / "cut.th").write_bytes(weights.read_bytes()[:1_000_000])
    torch.save({"state_dict": Surprise()}, tmp_path / "pickle.th")
    torch.save({"epoch": 3}, tmp_path / "nothing.th")
    torch.save([torch.zeros(3)], tmp_path / "list.th")
    expected = {
        "missing.th": "does not exist",
        ".": "is not a file",
        "noise.th": "holds more than weights, or no weights at all",
        "noise.safetensors": "can't be read",
        "empty.th": "can't be read",
        "cut.th": "can't be read",
        "pickle.th": "holds more than weights",
        "nothing.th": "holds no state dict",
        "list.th": "holds no state dict",
    }
    for name, message in expected.items():
        with pytest.raises(CodecError, match=message) as caught:
            load_encodec(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("quantizers", [0, -1, 33])
def test_quantizers_that_it_does_not_have(quantizers: int) -> None:
    with pytest.raises(CodecError, match="1 to 32 quantizers"):
        load_encodec(Path("never looked at"), quantizers)


def test_a_codec_that_there_is_not() -> None:
    with pytest.raises(CodecError, match="no codec 'mp3'; choose one of: encodec_24khz"):
        load_codec("mp3")


# ---- weights that are found or fetched


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of torch hub, and no way out but to this machine."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = free.getsockname()[1]
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed}")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr("urllib.request._opener", None)  # it keeps the proxies of its first use
    return tmp_path


class Server(http.server.ThreadingHTTPServer):
    """Answers each path that ends with `.th` with the same bytes, or never if there are none."""

    content = b""
    daemon_threads = True
    released: threading.Event

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        if not self.server.content:
            self.server.released.wait(10)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.content)))
        self.end_headers()
        try:
            self.wfile.write(self.server.content)
        except OSError:  # the client only asked whether anyone is there
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as running:
        running.released = threading.Event()
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.released.set()
        running.shutdown()
        thread.join()


def test_no_network_and_no_weights(hub: Path) -> None:
    with pytest.raises(CodecError) as caught:
        load_encodec(None)
    message = str(caught.value)
    assert str(hub / "torch" / "hub" / "checkpoints" / "encodec_24khz-d7cc33bc.th") in message
    assert "https://dl.fbaipublicfiles.com/encodec/v0/encodec_24khz-d7cc33bc.th" in message
    assert "--codec-weights" in message
    assert list(hub.iterdir()) == []


def test_a_server_that_never_answers(
    hub: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encodec_module, "_ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(encodec_module, "WEIGHTS_URL", f"{server.url}/encodec_24khz-d7cc33bc.th")
    with pytest.raises(CodecError, match=r"timed out|no answer within 0\.2 s"):
        load_encodec(None)
    assert list(hub.iterdir()) == []


def test_a_cached_file_is_checked(hub: Path, weights: Path) -> None:
    folder = hub / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    cached = folder / "encodec_24khz-d7cc33bc.th"
    cached.write_bytes(weights.read_bytes())
    with pytest.raises(CodecError, match="instead of d7cc33bc: a broken download") as caught:
        load_encodec(None)
    assert str(cached) in str(caught.value)


def test_a_download_is_checked_and_kept(
    hub: Path, weights: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    name = f"encodec_24khz-{digest[:8]}.th"
    monkeypatch.setattr(encodec_module, "WEIGHTS_URL", f"{server.url}/{name}")
    server.content = b"another file"
    with pytest.raises(CodecError, match="invalid hash value"):
        load_encodec(None)
    assert list(hub.iterdir()) == []
    server.content = weights.read_bytes()
    assert load_encodec(None, 16).digest == codec().digest
    kept = [path for path in hub.rglob("*") if path.is_file()]
    assert kept == [hub / "torch" / "hub" / "checkpoints" / name]
    server.content = b"the cache is used now"
    assert load_encodec(None, 16).digest == codec().digest
