"""Imports that documents have shown stay valid, and load nothing before they are used."""

from __future__ import annotations

import pytest

from tests.support import warm
from tests.support.processes import loaded

SHOWN = (
    "from ns2.model.batch import Example, collate",
    "from ns2.model.codec import load_codec",
    "from ns2.model.presets import preset",
    "from ns2.pipeline.dataset import Dataset, open_card",
    "from ns2.pipeline.phone_classifier import load_phone_classifier, phone_errors",
    "from ns2.pipeline.text import pronounce; assert callable(pronounce)",
    "import ns2.pipeline.text.pronunciation; from ns2.pipeline.text import pronounce; pronounce",
    "from ns2.train.build import border_ids, build_model",
    "from ns2.train.data import open_data",
    "from ns2.train.reader import Reader",
    "from ns2.train.synthesis import Synthesizer",
    "import ns2.train.synthesis as s; s.Synthesizer",
)


@pytest.mark.parametrize("code", SHOWN)
def test_it_still_works(code: str) -> None:
    done = warm.run(exec, code, {})
    assert done.returncode == 0, done.stderr


def test_names_that_are_not_there_are_import_errors() -> None:
    with pytest.raises(ImportError):
        from ns2.train.synthesis import Nothing  # type: ignore[attr-defined]  # noqa: F401


def test_nothing_is_loaded_before_it_is_used() -> None:
    assert not loaded("import ns2.train.synthesis", "torch", "numpy")
