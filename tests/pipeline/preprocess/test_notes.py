"""What a run says of its texts."""

from __future__ import annotations

from pathlib import Path

from ns2.pipeline.core.progress import Progress
from ns2.pipeline.preprocess.executors.inline import InlineExecutor
from ns2.pipeline.preprocess.options import Options
from ns2.pipeline.preprocess.run import preprocess


class Heard(Progress):
    """Keeps what a run says."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


def said(corpus: Path, out: Path, language: str) -> list[str]:
    options = Options(codec="mini", columns=("phonemes",), language=language)
    heard = Heard()
    preprocess(corpus, out, options, InlineExecutor(), heard)
    return [note for note in heard.notes if "by its own rules" in note]


def test_numbers_that_are_left_alone_are_named_once(corpus: Path, tmp_path: Path) -> None:
    table = corpus / "metadata.csv"
    keys = [line.split("|")[0] for line in table.read_text("utf-8").splitlines()]
    texts = ["Ni 5 km.", "Ya 10 km.", *["Hapana."] * (len(keys) - 2)]
    rows = [f"{key}|{text}|{text}" for key, text in zip(keys, texts, strict=True)]
    table.write_text("\n".join(rows), "utf-8")
    (note,) = said(corpus, tmp_path / "sw", "sw")
    assert "2 units (such as '5 km')" in note
    assert said(corpus, tmp_path / "de", "de") == []
