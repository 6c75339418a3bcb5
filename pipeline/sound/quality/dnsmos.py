"""How good speech sounds, as listeners would judge it: DNSMOS (Reddy, Gopal and Cutler 2022).

The package speechmos (MIT licence, by Microsoft) comes with the weights of two networks. One
predicts the scores of ITU-T P.835: of the speech signal, of the background and of both together.
The other one predicts the single score of ITU-T P.808. All are mean opinion scores, 1 (bad) to 5.

Letters for shapes: S samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.sound.decode import resample

RATE = 16_000
"""The sampling rate of the networks, in Hz."""
_PRIMARY, _P808 = "sig_bak_ovr.onnx", "model_v8.onnx"


@dataclass(frozen=True, kw_only=True)
class MosScores:
    """The mean opinion scores that are predicted for a recording, from 1 (bad) to 5 (excellent).

    Attributes:
        signal: how natural and undistorted the speech is (P.835).
        background: how little the background disturbs (P.835).
        overall: both together (P.835).
        p808: the single score of another network (P.808).
    """

    signal: float
    background: float
    overall: float
    p808: float


class Dnsmos:
    """The networks of DNSMOS."""

    def __init__(self, threads: int = 1) -> None:
        """Load the networks.

        Args:
            threads: the number of threads that each network computes on.

        Raises:
            UserError: speechmos or what it needs is not installed.
        """
        try:
            import onnxruntime
            from speechmos import dnsmos
        except ImportError as error:
            raise UserError(
                f"DNSMOS needs the module {error.name}, which is not installed: "
                "pip install 'ns2[eval]'"
            ) from error
        folder = Path(dnsmos.__file__).parent / "dnsmos_models"
        primary, p808 = str(folder / _PRIMARY), str(folder / _P808)
        self._judge: Any = dnsmos.DNSMOS(primary, p808)

        # speechmos asks for all cores, and its idle threads spin.
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = threads
        cpu = ["CPUExecutionProvider"]
        self._judge.onnx_sess = onnxruntime.InferenceSession(primary, options, cpu)
        self._judge.p808_onnx_sess = onnxruntime.InferenceSession(p808, options, cpu)

    def scores(self, wave: np.ndarray, rate: int) -> MosScores:
        """The scores of a wave (S,) of a sampling rate in Hz.

        What lies outside -1 to 1 is clipped, as in a file. As in the reference implementation, a
        wave below 9.01 s is doubled until it is long enough, and scores are the means over windows
        of 9.01 s that begin one second apart.
        """
        samples = np.clip(resample(wave, rate, RATE), -1, 1).astype(np.float32)
        if not len(samples):
            samples = np.zeros(RATE, np.float32)  # doubling it would never end
        found = self._judge(samples, RATE, is_personalized_MOS=False)
        return MosScores(
            signal=float(found["sig_mos"]),
            background=float(found["bak_mos"]),
            overall=float(found["ovrl_mos"]),
            p808=float(found["p808_mos"]),
        )
