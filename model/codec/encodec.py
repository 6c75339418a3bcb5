"""EnCodec at 24 kHz (Défossez et al. 2022, arXiv:2210.13438), on the `encodec` package.

Letters for shapes: B batch, S samples, T frames, Q quantisers.
"""

from __future__ import annotations

import hashlib
import http.client
import socket
import sys
import threading
import urllib.request
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from encodec.model import EncodecModel
from torch import Tensor, nn
from torch.nn.utils import remove_weight_norm

from ns2.model.codec.interface import Codec, CodecError, one_thread
from ns2.model.codec.prepared_encoder import PreparedEncoder, prepare
from ns2.model.codec.registry import codec_spec

WEIGHTS_URL = "https://dl.fbaipublicfiles.com/encodec/v0/encodec_24khz-d7cc33bc.th"
"""The URL of the published weights; the name ends with the first digits of their SHA-256."""

_WRAPPERS = ("state_dict", "best_state", "model")
_ANSWER_SECONDS = 2.0
"""How long to wait for a server's first answer; with torch's import that stays below 5 s."""
_STALL_SECONDS = 10.0
"""How long a download may stall."""


class EncodecCodec(Codec):
    """The `encodec` package's 24 kHz network with loaded weights.

    Any number of its 32 quantisers can be used, not only those of its five bandwidths. Encoding
    takes about 20 MB per second of audio.
    """

    def __init__(self, state: Mapping[str, Tensor], quantizers: int = 16) -> None:
        """Build the network and load its weights, see `load_encodec`.

        Args:
            state: tensors by name, in the published layout.
            quantizers: Q, 1 to 32.

        Raises:
            CodecError: the weights have another layout, or Q is not within 1 and 32.
        """
        spec = codec_spec("encodec_24khz", quantizers)
        self._model = _blank_model()
        _check_layout(state, self._model.state_dict())
        self._model.load_state_dict({name: state[name] for name in self._model.state_dict()})
        for module in self._model.modules():
            if hasattr(module, "weight_g"):  # the same values, but not computed anew in each call
                remove_weight_norm(module)
        self._model.eval().requires_grad_(False)
        layers = self._model.quantizer.vq.layers[:quantizers]
        codebooks = torch.stack([layer.codebook for layer in layers])
        super().__init__(spec, codebooks, _encoding_weights(state, quantizers))
        self._prepared: PreparedEncoder | None = None
        self._may_prepare = True

    def to(self, device: str) -> None:
        """Move the network and its codebooks to a torch device."""
        self._prepared, self._may_prepare = None, True
        self._model.to(device)
        self._codebooks = self._codebooks.to(device)

    def quantise(self, waves: Tensor) -> Tensor:
        """See `Codec.quantise`."""
        embedding = self._model.encoder(waves.to(self._codebooks.device)[:, None])
        codes: Tensor = self._model.quantizer.vq.encode(embedding, n_q=self._spec.quantizers)
        return codes.transpose(0, 1)

    def _encode_padded(self, waves: Sequence[Tensor]) -> list[Tensor]:
        """See `Codec.encode`; one wave on one thread gets the same codes in less time."""
        alone = len(waves) == 1 and torch.get_num_threads() == 1
        prepared = self._prepare() if alone and waves[0].device.type == "cpu" else None
        return super()._encode_padded(waves) if prepared is None else [prepared.encode(waves[0])]

    def _prepare(self) -> PreparedEncoder | None:
        """The encoder as a CPU encodes one utterance fastest, made when it is first needed."""
        if self._may_prepare:
            self._may_prepare = False
            if self._codebooks.device.type == "cpu":
                layers = self._model.quantizer.vq.layers[: self._spec.quantizers]
                books = [layer._codebook for layer in layers]
                with one_thread():
                    self._prepared = prepare(self._model.encoder, books)
        return self._prepared

    def decode_latents(self, latents: Tensor) -> Tensor:
        """Decode latents (128, T) to audio (320 T,) float32."""
        # Without gradients torch uses another LSTM kernel, the one that the package's users get.
        with torch.set_grad_enabled(latents.requires_grad and torch.is_grad_enabled()):
            wave: Tensor = self._model.decoder(latents[None])
        return wave[0, 0]

    def decoder(self) -> nn.Module:
        """See `Codec.decoder`."""
        return _WithoutNoise(self._model.decoder)


class _WithoutNoise(nn.Module):
    """A decoder that needs no noise, which it is given all the same."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, latents: Tensor, noise: Tensor) -> Tensor:
        """Map latents (1, D, T) and noise (1, S) to audio (1, S)."""
        wave: Tensor = self.network(latents)
        return wave[:, 0]


def load_encodec(weights: Path | None, quantizers: int = 16) -> EncodecCodec:
    """Open EnCodec with weights from a file, torch hub's cache, or a download.

    Args:
        weights: a file in the published layout, made by torch.save or safetensors, which may keep
            the state under "state_dict", "best_state" or "model"; None for the published weights:
            torch hub's cached file, or else a download into that cache. Both are checked by hash.
        quantizers: Q, 1 to 32; 16 give 12 kbit/s.

    Raises:
        CodecError: there are no such weights; the message says where they were looked for.
    """
    codec_spec("encodec_24khz", quantizers)  # reports a wrong Q before anything is loaded
    path = Path(weights) if weights is not None else _published_weights()
    try:
        return EncodecCodec(_read_state(path), quantizers)
    except CodecError as error:
        raise CodecError(f"{path}: {error}") from error


def _blank_model() -> EncodecModel:
    """Return the network of the published layout, with random weights that are to be replaced."""
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # The package makes the layout's weight_g and weight_v with torch's deprecated weight_norm.
        warnings.simplefilter("ignore", FutureWarning)
        return EncodecModel.encodec_model_24khz(pretrained=False)


def _encoding_weights(state: Mapping[str, Tensor], quantizers: int) -> dict[str, Tensor]:
    """Return the weights that decide the codes of the first Q quantisers."""
    names = {f"quantizer.vq.layers.{i}._codebook.embed" for i in range(quantizers)}
    return {
        name: value for name, value in state.items() if name.startswith("encoder.") or name in names
    }


def _read_state(path: Path) -> dict[str, Tensor]:
    """Read tensors by name from a file of torch.save or safetensors.

    Raises:
        CodecError: the file cannot be read, or contains something else.
    """
    if not path.is_file():
        found = "is not a file" if path.exists() else "does not exist"
        raise CodecError(f"{found}; name the file with the codec's weights")
    state: Any
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise CodecError(
            "holds more than weights, or no weights at all; "
            "it must be a state dict stored by torch.save, or safetensors"
        ) from error
    except Exception as error:  # readers have no common type of error for a broken file
        line = (str(error).splitlines() or [type(error).__name__])[0]
        raise CodecError(f"can't be read, it may be incomplete: {line[:200]}") from error
    while isinstance(state, Mapping):
        inner = [state[name] for name in _WRAPPERS if isinstance(state.get(name), Mapping)]
        if not inner:
            break
        state = inner[0]
    if not isinstance(state, Mapping) or not any(isinstance(v, Tensor) for v in state.values()):
        raise CodecError("holds no state dict; export the weights as one with torch.save")
    return {name: value for name, value in state.items() if isinstance(value, Tensor)}


def _check_layout(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Raise CodecError, naming the differences, unless names and shapes are as expected."""
    faults = []
    if missing := expected.keys() - state.keys():
        faults.append(f"{len(missing)} of {len(expected)} tensors missing ({_examples(missing)})")
    if unexpected := state.keys() - expected.keys():
        faults.append(f"{len(unexpected)} unexpected ({_examples(unexpected)})")
    for name in expected.keys() & state.keys():
        want, got = tuple(expected[name].shape), tuple(state[name].shape)
        if want != got:
            faults.append(f"{name} has shape {got} instead of {want}")
            break
    if faults:
        raise CodecError(
            f"not of the layout of {WEIGHTS_URL.rsplit('/', 1)[-1]}: {'; '.join(faults)}"
        )


def _examples(names: Iterable[str], limit: int = 2) -> str:
    """Return the first names in alphabetical order, for a message."""
    ordered = sorted(names)
    return ", ".join(ordered[:limit]) + (", ..." if len(ordered) > limit else "")


def _published_weights() -> Path:
    """Return the published file in torch hub's cache, downloading it if necessary.

    Raises:
        CodecError: the cached file is another one, or there is none and the download failed.
    """
    name = WEIGHTS_URL.rsplit("/", 1)[-1]
    prefix = Path(name).stem.rsplit("-", 1)[-1]
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    if not path.exists():
        _download(path, prefix)
        return path
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(prefix):
        raise CodecError(
            f"{path}: its SHA-256 begins with {found[:8]} instead of {prefix}: a broken "
            "download, or another file; delete it, or name a file with --codec-weights"
        )
    return path


def _download(path: Path, prefix: str) -> None:
    """Download the published weights; a failure leaves no file and no folder behind.

    Raises:
        CodecError: the server cannot be reached, or sent another file.
    """
    failure = _unreachable(WEIGHTS_URL)
    made = [folder for folder in path.parents if not folder.exists()]
    before = socket.getdefaulttimeout()
    if failure is None:
        try:
            socket.setdefaulttimeout(_STALL_SECONDS)  # torch.hub sets no timeout
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(
                WEIGHTS_URL, str(path), hash_prefix=prefix, progress=sys.stderr.isatty()
            )
            return
        except (OSError, http.client.HTTPException, RuntimeError) as error:
            failure = str(error) or type(error).__name__
            for folder in made:
                with suppress(OSError):
                    folder.rmdir()
        finally:
            socket.setdefaulttimeout(before)
    raise CodecError(
        f"no weights for encodec_24khz: {path} does not exist, and the download of {WEIGHTS_URL} "
        f"failed: {failure}. With that file at hand, name it with --codec-weights FILE, or put "
        "it at that path; `--codec mini` comes with ns2 and needs neither"
    )


def _unreachable(url: str) -> str | None:
    """Return why a server does not answer, or None if it does; takes at most 2 seconds.

    The request runs in a thread, because looking up a host's name has no time limit.
    """
    result: list[str | None] = []

    def ask() -> None:
        try:
            urllib.request.urlopen(url, timeout=_ANSWER_SECONDS).close()
            result.append(None)
        except (OSError, http.client.HTTPException) as error:
            result.append(str(error) or type(error).__name__)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_ANSWER_SECONDS)
    return result[0] if result else f"no answer within {_ANSWER_SECONDS:g} s"
