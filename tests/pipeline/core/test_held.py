"""Where recordings lie: their names and suffixes."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from ns2.pipeline.core.held import Recording


@pytest.mark.parametrize(
    "source",
    ["a.wav", "b/c.WAV", "../d.e/f", ".g", "h.", "i..", "j.k.flac", "l. m", "...", "n/.o.p"],
)
def test_the_suffix_is_that_of_pathlib(source: str) -> None:
    found = Recording.below(Path("/corpus"), source, None)
    assert found.suffix == PurePosixPath(source).suffix.lower()
    assert found == Recording.of(Path("/corpus") / source)
