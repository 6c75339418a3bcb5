"""A step of training of `naturalspeech2-pytorch`, and where its time goes.

What runs is its own code: the model with its denoiser, phoneme encoder, prompt encoder, predictors
and aligner; mel by its `AudioToMel`; pitch by its function over pyworld; EnCodec by
`EncodecWrapper` of audiolm-pytorch over the package encodec; the averages of ema-pytorch. What does
not, and why:

- audiolm-pytorch as a whole wants fairseq, which Python 3.11 can't load: only its file with the
  wrapper is. EnCodec's published weights are a download: seeded ones of the same layout take
  their place.
- Its trainer hands audio alone to the model, which a conditional model can't be trained with. So
  what one turn of its loop does (loss, backward, clip, Adam, averages) stands in `Peer.step`.
- Its tokenizer asks a program called espeak-ng once a text; the model takes ids only. They are
  given, and so are decoded recordings.

Its prompt encoder and predictors are as wide and deep by default as 270 million parameters. To be
of another size, the predictors get fewer layers (of theirs no one gets a gradient), and then the
prompt encoder's convolutions another width.

Letters for shapes: B batch, S samples, N phonemes.
"""

from __future__ import annotations

import importlib.util
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.support.clock import now

PACKAGES = (
    "naturalspeech2-pytorch==0.1.8 audiolm-pytorch==2.4.0 vector-quantize-pytorch==1.32.0 "
    "ema-pytorch==0.8.3 einx torch-einops-utils frozendict loguru einops beartype tqdm"
)
INSTALL = "pip install --no-deps --target {} " + PACKAGES
EXTRACTION = ("codec", "pitch", "mel", "aligner")
LEARNING = ("forward", "backward", "optimiser, averages")
IDS = 150
"""Phonemes that it knows by default."""
_STUBS = {
    "audiolm_pytorch.data": ("SoundDataset", "get_dataloader"),
    "accelerate": ("Accelerator",),
    "naturalspeech2_pytorch.utils.tokenizer": ("Tokenizer", "ESpeak"),
}
_PREDICTORS_SHARE = 0.3
"""Of all parameters, at most; by default it is 0.37."""


def load(folder: Path, weights: Path) -> tuple[Any, Any, Any]:
    """Its package, its class of averages, and the codec that it takes.

    Args:
        weights: EnCodec's, of the published layout.

    Raises:
        SystemExit: it is not there; says how to get it.
    """
    if not (folder / "naturalspeech2_pytorch").is_dir() or not (folder / "ema_pytorch").is_dir():
        raise SystemExit(f"{folder} holds no peer; {INSTALL.format(folder)}")
    sys.path.append(str(folder))
    from encodec.model import EncodecModel

    make = EncodecModel.encodec_model_24khz
    state = torch.load(weights, weights_only=True)

    def seeded(*_: object, **__: object) -> nn.Module:
        model: nn.Module = make(pretrained=False)
        model.load_state_dict(state)
        return model.eval()

    EncodecModel.encodec_model_24khz = staticmethod(seeded)
    whole = types.ModuleType("audiolm_pytorch")
    whole.__path__ = [str(folder / "audiolm_pytorch")]
    sys.modules["audiolm_pytorch"] = whole
    for name, classes in _STUBS.items():
        module = types.ModuleType(name)
        for one in classes:
            setattr(module, one, type(one, (), {}))
        sys.modules[name] = module
    spec = importlib.util.spec_from_file_location(
        "audiolm_pytorch.encodec", folder / "audiolm_pytorch" / "encodec.py"
    )
    assert spec is not None and spec.loader is not None
    wrapper = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(wrapper)
    whole.EncodecWrapper = wrapper.EncodecWrapper  # type: ignore[attr-defined]
    whole.SoundStream = type("SoundStream", (), {})  # type: ignore[attr-defined]
    import naturalspeech2_pytorch
    from ema_pytorch import EMA

    return naturalspeech2_pytorch, EMA, wrapper.EncodecWrapper(bandwidth=12.0)


class Peer:
    """Its model while it learns.

    Attributes:
        parameters: without the codec.
        spent: seconds of each part in all steps so far.
    """

    def __init__(self, folder: Path, weights: Path, parameters: int, device: str) -> None:
        """Build it.

        Args:
            parameters: how many it should have.
        """
        package, averages, codec = load(folder, weights)
        self._code = sys.modules["naturalspeech2_pytorch.naturalspeech2_pytorch"]
        denoiser = package.Model(
            dim=128, depth=6, dim_prompt=512, cond_drop_prob=0.25, condition_on_prompt=True
        )  # as its README has it
        model = package.NaturalSpeech2(model=denoiser, codec=codec, timesteps=1000)
        predictors: Callable[[int], nn.Module] = lambda depth: self._code.DurationPitchPredictor(  # noqa: E731
            dim=512, depth=depth
        )
        most = _PREDICTORS_SHARE * parameters
        a_layer = _count(predictors(2)) - _count(predictors(1))
        model.duration_pitch = predictors(max(1, min(10, int(most / a_layer))))
        left = parameters - (_count(model) - _count(codec) - _count(model.prompt_enc))
        model.prompt_enc = self._prompt_encoder(left)
        self.model = model.to(device).train()
        self.parameters = _count(model) - _count(codec)
        self.optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, betas=(0.9, 0.99))
        model.codec = None  # it can't be copied, its trainer does so too
        self.ema = averages(model, beta=0.995, update_every=10, ignore_startswith_names={"codec."})
        model.codec = codec
        self._device = device
        self.spent = dict.fromkeys((*EXTRACTION, *LEARNING), 0.0)
        self._watch(codec)

    def _prompt_encoder(self, parameters: int) -> nn.Module:
        def encoder(width: int) -> nn.Module:
            dims = (256, *[width] * 4, 512, 512, 512)
            kind = self._code.SpeechPromptEncoder
            made: nn.Module = kind.__new__(kind)
            # its annotation allows one width only, which beartype holds everyone to but itself
            kind.__init__.__wrapped__(made, 128, dims)
            return made

        with torch.device("meta"):
            counts = {width: _count(encoder(width)) for width in range(64, 4096, 64)}
        return encoder(min(counts, key=lambda width: abs(counts[width] - parameters)))

    def _watch(self, codec: nn.Module) -> None:
        """Have the parts of its forward pass note their time."""
        code, model = self._code, self.model
        for owner, name, part in (
            (codec, "forward", "codec"),
            (code, "compute_pitch_pyworld", "pitch"),
            (model.audio_to_mel, "forward", "mel"),
            (model.aligner, "forward", "aligner"),
            (model.aligner_loss, "forward", "aligner"),
        ):
            setattr(owner, name, self._noting(getattr(owner, name), part))

    def _noting(self, function: Callable[..., Any], part: str) -> Callable[..., Any]:
        def noted(*arguments: Any, **named: Any) -> Any:
            with self._timed(part):
                return function(*arguments, **named)

        return noted

    @contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        began = now(self._device)
        yield
        self.spent[part] += now(self._device) - began

    def step(self, audio: Tensor, prompt: Tensor, text: Tensor, text_lens: Tensor) -> float:
        """One turn of its training loop; returns the loss.

        Args:
            audio: to learn, (B, S).
            prompt: (B, S').
            text: ids, (B, N), -1 behind an utterance's end.
        """
        features = sum(self.spent[part] for part in EXTRACTION)
        began = now(self._device)
        loss = self.model(audio=audio, text=text, text_lens=text_lens, prompt=prompt)
        value = float(loss.item())
        whole = now(self._device) - began
        self.spent["forward"] += whole - sum(self.spent[part] for part in EXTRACTION) + features
        with self._timed("backward"):
            loss.backward()
        with self._timed("optimiser, averages"):
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            self.optimizer.zero_grad()
            self.ema.update()
        return value


def _count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())
