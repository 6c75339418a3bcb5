"""Tiny corpora and datasets that all tests share; nothing here is a recording."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("NS2_SHARED", ROOT.parent / "shared"))
LJSPEECH = SHARED / "corpora" / "ljspeech-sample"
TRUTH_TOOL = SHARED / "tools" / "truth_corpus.py"
SENTENCES = SHARED / "corpora" / "sentences.txt"

needs_ljspeech = pytest.mark.skipif(
    not LJSPEECH.is_dir(), reason="needs the LJSpeech sample, which lies outside the project"
)
needs_truth_tool = pytest.mark.skipif(
    not TRUTH_TOOL.is_file(), reason="needs truth_corpus.py, which lies outside the project"
)


def tone(seconds: float, hz: float, rate: int = 24_000, level: float = 0.3) -> np.ndarray:
    """A harmonic tone with a falling spectrum: (S,) float32."""
    t = np.arange(round(seconds * rate)) / rate
    partials = [np.sin(2 * np.pi * hz * k * t) / k for k in range(1, 11) if hz * k < rate / 2]
    wave = np.sum(partials, axis=0)
    return (level * wave / np.abs(wave).max()).astype(np.float32)
