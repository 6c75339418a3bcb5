"""EnCodec at 24 kHz (Défossez et al. 2022, arXiv:2210.13438), on the `encodec` package.

Letters for shapes: S samples, T frames, Q quantizers, E entries, D latent width.
"""

from __future__ import annotations

import hashlib
import http.client
import socket
import sys
import threading
import urllib.request
import warnings
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from encodec.model import EncodecModel
from torch import Tensor
from torch.nn.utils import remove_weight_norm

from ns2.model.codec.interface import Codec, CodecError
from ns2.model.codec.registry import codec_spec

WEIGHTS_URL = "https://dl.fbaipublicfiles.com/encodec/v0/encodec_24khz-d7cc33bc.th"
"""The published weights; their name ends with the first digits of their SHA-256."""

_WRAPPERS = ("state_dict", "best_state", "model")
_ANSWER_SECONDS = 2.0  # until a server answers at all; with torch's import it stays below 5 s
_STALL_SECONDS = 10.0  # between two parts of a download


class EncodecCodec(Codec):
    """The `encodec` package's 24 kHz network with loaded weights.

    Any number of its 32 quantisers can be used, not only those of its five bandwidths.
    A second of audio takes about 20 MB while it is encoded.
    """

    def __init__(self, state: Mapping[str, Tensor], quantizers: int = 16) -> None:
        """Take weights of the published layout, see `load_encodec`.

        Raises:
            CodecError: the weights are of another layout, or Q is not within 1 and 32.
        """
        spec = codec_spec("encodec_24khz", quantizers)
        self._model = _blank_model()
        _check_layout(state, self._model.state_dict())
        self._model.load_state_dict({name: state[name] for name in self._model.state_dict()})
        for module in self._model.modules():
            if hasattr(module, "weight_g"):  # the same values, not multiplied anew in each call
                remove_weight_norm(module)
        self._model.eval().requires_grad_(False)
        layers = self._model.quantizer.vq.layers[:quantizers]
        codebooks = torch.stack([layer.codebook for layer in layers])
        super().__init__(spec, codebooks, _encoding_weights(state, quantizers))

    def to(self, device: str) -> None:
        """Move network and codebooks."""
        self._model.to(device)
        self._codebooks = self._codebooks.to(device)

    def _quantise(self, waves: Tensor) -> Tensor:
        embedding = self._model.encoder(waves.to(self._codebooks.device)[:, None])
        codes: Tensor = self._model.quantizer.vq.encode(embedding, n_q=self._spec.quantizers)
        return codes.transpose(0, 1)

    def decode_latents(self, latents: Tensor) -> Tensor:
        """Audio (320 T,) float32 of latents (128, T)."""
        # without gradients torch takes another LSTM kernel, the one that the package's users get
        with torch.set_grad_enabled(latents.requires_grad and torch.is_grad_enabled()):
            wave: Tensor = self._model.decoder(latents[None])
        return wave[0, 0]


def load_encodec(weights: Path | None, quantizers: int = 16) -> EncodecCodec:
    """EnCodec with weights from a file, torch hub's cache, or the net.

    Args:
        weights: a file of the published layout, made by torch.save or safetensors, which may
            keep the state under "state_dict", "best_state" or "model"; None for the published
            weights: torch hub's cached file, else a download into that cache. Both are checked
            by hash.
        quantizers: Q, 1 to 32; 16 are 12 kbit/s.

    Raises:
        CodecError: there are no such weights; the message says where they were looked for.
    """
    codec_spec("encodec_24khz", quantizers)  # a wrong Q is found before anything is loaded
    path = Path(weights) if weights is not None else _published_weights()
    try:
        return EncodecCodec(_read_state(path), quantizers)
    except CodecError as error:
        raise CodecError(f"{path}: {error}") from error


def _blank_model() -> EncodecModel:
    """The network of the published layout; its random values are of no use."""
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # the package makes the layout's weight_g and weight_v with torch's older weight_norm
        warnings.simplefilter("ignore", FutureWarning)
        return EncodecModel.encodec_model_24khz(pretrained=False)


def _encoding_weights(state: Mapping[str, Tensor], quantizers: int) -> dict[str, Tensor]:
    """Those weights that decide what the first Q quantisers return."""
    names = {f"quantizer.vq.layers.{i}._codebook.embed" for i in range(quantizers)}
    return {
        name: value for name, value in state.items() if name.startswith("encoder.") or name in names
    }


def _read_state(path: Path) -> dict[str, Tensor]:
    """Tensors by name from a file of torch.save or safetensors.

    Raises:
        CodecError: it can't be read, or holds something else.
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
    except Exception as error:  # what readers raise for a broken file has no common type
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
    """Raise CodecError, naming what differs, unless names and shapes are those expected."""
    faults = []
    if missing := expected.keys() - state.keys():
        faults.append(f"{len(missing)} of {len(expected)} tensors missing ({_some(missing)})")
    if unexpected := state.keys() - expected.keys():
        faults.append(f"{len(unexpected)} unexpected ({_some(unexpected)})")
    for name in expected.keys() & state.keys():
        want, got = tuple(expected[name].shape), tuple(state[name].shape)
        if want != got:
            faults.append(f"{name} has shape {got} instead of {want}")
            break
    if faults:
        raise CodecError(
            f"not of the layout of {WEIGHTS_URL.rsplit('/', 1)[-1]}: {'; '.join(faults)}"
        )


def _some(names: Iterable[str], limit: int = 2) -> str:
    ordered = sorted(names)
    return ", ".join(ordered[:limit]) + (", ..." if len(ordered) > limit else "")


def _published_weights() -> Path:
    """The published file in torch hub's cache, after a download if need be.

    Raises:
        CodecError: it is neither there nor to be had, or is another file.
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
    """Fetch the published weights; whatever fails, no file and no folder is left behind.

    Raises:
        CodecError: the server can't be reached, or sent another file.
    """
    failure = _unreachable(WEIGHTS_URL)
    made = [folder for folder in path.parents if not folder.exists()]
    before = socket.getdefaulttimeout()
    if failure is None:
        try:
            socket.setdefaulttimeout(_STALL_SECONDS)  # torch.hub sets none of its own
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
    """Why a server does not answer, or None if it does; decided within 2 seconds.

    In a thread, because looking up a host's name knows no time limit.
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
