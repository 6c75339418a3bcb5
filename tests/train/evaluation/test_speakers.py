"""Models of speakers: the same voice is more alike than another one."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.corpora.spoken.espeak import Espeak
from ns2.train.evaluation.speakers import open_speaker_model, similarity
