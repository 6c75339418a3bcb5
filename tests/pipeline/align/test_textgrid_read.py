"""TextGrids are read as Praat wrote them; a damaged or foreign file is refused with its line."""

from __future__ import annotations

import re
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from ns2.pipeline.align.textgrid.read import parse_textgrid, read_textgrid
from ns2.pipeline.core.errors import UtteranceError
from ns2.pipeline.core.schema import Reason
from tests.support.textgrid_factories import praat_read, praat_save, praat_textgrid, spans

WORDS = spans((0.1, ""), (0.5, "guten Tag"), (0.3, 'sagt "er"'), (0.1, ""))
PHONES = spans((0.1, ""), (0.25, "ɡ"), (0.25, "ˈuː"), (0.3, "ŋ̩"), (0.1, "sil"))
TIERS = {"words": WORDS, "phones": PHONES, "Anna Böll - notes": [(0.0, 1.0, "zwei\nZeilen")]}


HARD = ("", '"', 'er "sagt"', "!b", "1", "-0.5", "<exists>", "xmin = 3", "item [1]:", "a\n\nb")
"""Labels that look like something else in the format."""


def reason_of(data: bytes) -> tuple[Reason, str]:
    with pytest.raises(UtteranceError) as error:
        parse_textgrid(data, "x.TextGrid")
    return error.value.reason, error.value.message


@pytest.fixture(scope="module")
def by_praat(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One TextGrid in each of Praat's forms."""
    folder = tmp_path_factory.mktemp("praat")
    made = praat_textgrid(1.0, TIERS, points=["clicks"])
    forms = ("long", "short", "long-utf16", "short-utf16", "chronological", "binary")
    return {form: praat_save(made, folder / f"{form}.TextGrid", form) for form in forms}


@pytest.mark.parametrize("form", ["long", "short", "long-utf16", "short-utf16"])
def test_praats_forms(by_praat: dict[str, Path], form: str) -> None:
    assert (by_praat[form].read_bytes()[:2] in (b"\xff\xfe", b"\xfe\xff")) == ("16" in form)
    found = read_textgrid(by_praat[form])
    expected = praat_read(by_praat[form])
    assert (found.start, found.end) == (0.0, 1.0)
    assert [tier.name for tier in found.tiers] == [*expected, "clicks"]
    for tier, name in zip(found.tiers, expected, strict=False):
        assert tier.intervals is not None
        read = [(one.start, one.end, one.label) for one in tier.intervals]
        assert read == expected[name]
    assert found.tiers[-1].intervals is None


@pytest.mark.parametrize("form", ["long", "short", "short-utf16"])
def test_any_label_and_any_time(tmp_path: Path, form: str) -> None:
    """Bit for bit what Praat reads, for times of all lengths."""
    ends = np.cumsum(np.random.default_rng(0).uniform(1e-4, 0.3, 200)).tolist()
    labels = [HARD[i % len(HARD)] for i in range(len(ends))]
    tiers = {"5": list(zip([0.0, *ends], ends, labels, strict=False)), 'the "words"': []}
    path = praat_save(praat_textgrid(ends[-1], tiers), tmp_path / "x.TextGrid", form)
    found = read_textgrid(path)
    assert [tier.name for tier in found.tiers] == list(tiers)
    read = [(one.start, one.end, one.label) for one in found.tiers[0].intervals or ()]
    assert read == praat_read(path)["5"] == tiers["5"]
    assert found.end == ends[-1]


@pytest.mark.parametrize("form", ["long", "short"])
def test_every_cut_is_noticed(by_praat: dict[str, Path], form: str) -> None:
    data = by_praat[form].read_bytes()
    whole = len(data.rstrip())
    assert parse_textgrid(data[:whole], "x") == parse_textgrid(data, "x")
    for length in range(whole):
        reason, message = reason_of(data[:length])
        assert reason in (
            Reason.TEXTGRID_UNREADABLE,
            Reason.TEXTGRID_DAMAGED,
            Reason.TEXTGRID_BAD_TIMES,  # cut behind "xmax ="
        ), (length, message)


@pytest.mark.parametrize("form", ["long", "short"])
def test_other_hands(by_praat: dict[str, Path], form: str) -> None:
    """What editors and other tools do to a file does not change what it says."""
    text = by_praat[form].read_text("utf-8")
    whole = parse_textgrid(text.encode(), "x")
    changes = {
        "byte order mark": text.encode("utf-8-sig"),
        "Windows": text.replace("\n", "\r\n").encode(),
        "old Mac": text.replace("\n", "\r").encode(),
        "no last line end": text.rstrip().encode(),
        "no blank line": text.replace("\n\n", "\n").encode(),
        "more blank lines": text.replace('"\n', '"\n\n').encode(),
        "blanks in front": re.sub(r"(?m)^(?=[\dx])", "  ", text).encode(),
        "ELAN's spelling": text.replace("item [", "item[").encode(),
        "old short header": text.replace('"ooTextFile"', '"ooTextFile short"')
        .replace('Object class = "TextGrid"', '"TextGrid"')
        .encode()
        if form == "short"
        else text.encode(),
        "no blanks around =": text.replace(" = ", "=").encode(),
        "comments": re.sub(r'(?<=[\d"]) ?\n(?!Object|\n)', ' ! 0.3 "x"\n', text).encode(),
    }
    for what, data in changes.items():
        assert parse_textgrid(data, "x") == whole, what


@pytest.mark.parametrize("form", ["long", "short"])
@pytest.mark.parametrize(
    ("written", "seconds"), [("1e-05", 1e-5), ("1.5E-1", 0.15), ("-0", 0.0), ("5.5e-17", 5.5e-17)]
)
def test_times_in_any_notation(
    by_praat: dict[str, Path], form: str, written: str, seconds: float
) -> None:
    text = by_praat[form].read_text("utf-8")
    assert len(re.findall(r"\b0\.35\b", text)) == 2  # the end of one phone, the start of another
    found = parse_textgrid(re.sub(r"\b0\.35\b", written, text).encode(), "x")
    phones = found.tiers[1].intervals
    assert phones is not None and phones[1].end == phones[2].start == seconds


@pytest.mark.parametrize("form", ["long", "short"])
@pytest.mark.parametrize(
    "written",
    ["-0.35", "nan", "inf", "--undefined--", "1e999", "0,35", "0x3", "35%", "1/3", "0.3.5", "1_0"],
)
def test_times_that_are_not_seconds(by_praat: dict[str, Path], form: str, written: str) -> None:
    text = re.sub(r"\b0\.35\b", written, by_praat[form].read_text("utf-8"))
    line = next(i for i, one in enumerate(text.split("\n"), 1) if written in one.split())
    reason, message = reason_of(text.encode())
    assert reason is Reason.TEXTGRID_BAD_TIMES
    assert message.startswith(f"x.TextGrid, line {line}: ") and repr(written) in message


def test_other_kinds_of_files(by_praat: dict[str, Path], tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "a.wav"), "wb") as audio:
        audio.setparams((1, 2, 16_000, 0, "NONE", ""))
        audio.writeframes(bytes(range(256)) * 40)
    long = by_praat["long"].read_bytes()
    expected = {
        b"": "is empty",
        b" \n\r\n": "is empty",
        (tmp_path / "a.wav").read_bytes(): "not a text file",
        by_praat["binary"].read_bytes(): "binary form",
        by_praat["chronological"].read_bytes(): "chronological form",
        b'{"start": 0, "end": 1, "tiers": {}}': "does not begin with Praat's header",
        b"0.0 0.5 a\n0.5 1.0 b\n": "does not begin with Praat's header",
        long.replace(b'"TextGrid"', b'"PitchTier"'): "'PitchTier'",
        long.decode()
        .replace("ˈuː", "ü")
        .encode("latin-1", "replace"): "neither valid UTF-8 nor UTF-16",
        long.decode().encode("utf-16")[:-1]: "neither valid UTF-8 nor UTF-16",
    }
    for data, part in expected.items():
        reason, message = reason_of(data)
        assert reason is Reason.TEXTGRID_UNREADABLE, message
        assert message.startswith("x.TextGrid ") and part in message


def test_no_tiers() -> None:
    header = 'File type = "ooTextFile"\nObject class = "TextGrid"\n\n'
    for body in (
        "xmin = 0\nxmax = 1\ntiers? <absent>\n",
        "0\n1\n<absent>\n",
        "0\n1\n<exists>\n0\n",
    ):
        assert reason_of((header + body).encode())[0] is Reason.TEXTGRID_NO_TIER


@pytest.mark.parametrize("form", ["long", "short"])
@pytest.mark.parametrize("declared", [0, 3, 4, 6, 7, 999_999_999])
def test_more_or_fewer_entries_than_declared(
    by_praat: dict[str, Path], form: str, declared: int
) -> None:
    text = by_praat[form].read_text("utf-8")
    count = "size = 5" if form == "long" else "\n5\n"
    assert text.count(count) == 1
    changed = text.replace(count, count.replace("5", str(declared)))
    words, phones, notes = (found.start() for found in re.finditer('"IntervalTier"', changed))
    assert words < phones < notes
    if declared > 5:  # the next tier stands where an entry is missing
        place, fault = notes, f"'phones', entry 6 of {declared}: a number is expected"
    else:  # an entry stands where the next tier is expected
        entry = [found.start() for found in re.finditer(r"\d[\d.]*(?=\s+(?:xmax = )?\d)", changed)]
        place = [at for at in entry if phones < at < notes][-(5 - declared)]
        fault = "tier 3 of 4: a string is expected"
    reason, message = reason_of(changed.encode())
    assert reason is Reason.TEXTGRID_DAMAGED and fault in message
    assert message.startswith(f"x.TextGrid, line {changed.count(chr(10), 0, place) + 1}: ")


@pytest.mark.parametrize("form", ["long", "short"])
def test_more_tiers_or_points_than_declared(by_praat: dict[str, Path], form: str) -> None:
    text = by_praat[form].read_text("utf-8").rstrip()
    tiers = ("size = 4", "size = 3") if form == "long" else ("<exists>\n4", "<exists>\n3")
    for data in (text.replace(*tiers, 1), f'{text}\n0.7\n"y"\n', f"{text}\n1\n"):
        assert data != text
        reason, message = reason_of(data.encode())
        assert reason is Reason.TEXTGRID_DAMAGED and "declares fewer entries" in message


def test_quotes_that_are_not_doubled(by_praat: dict[str, Path]) -> None:
    text = by_praat["long"].read_text("utf-8")
    reason, message = reason_of(text.replace('""er""', '"er"').encode())
    assert reason is Reason.TEXTGRID_DAMAGED and "quote that is not doubled" in message
    reason, message = reason_of(text.replace('"IntervalTier"', '"Interval"', 1).encode())
    assert reason is Reason.TEXTGRID_DAMAGED and "class 'Interval' is unknown" in message


def test_intervals_stay_in_the_order_of_the_file() -> None:
    """Praat sorts them, and drops one of two that begin at the same time."""
    header = 'File type = "ooTextFile"\nObject class = "TextGrid"\n\n'
    rows = [(0.5, 0.6, "b"), (0.1, 0.5, "a"), (0.1, 0.1, ""), (0.6, 0.6, ""), (0.6, 2.0, "c")]
    entries = "".join(f'{start}\n{end}\n"{label}"\n' for start, end, label in rows)
    text = f'{header}0\n1\n<exists>\n1\n"IntervalTier"\n"x"\n0\n1\n{len(rows)}\n{entries}'
    (tier,) = parse_textgrid(text.encode(), "x").tiers
    assert [(one.start, one.end, one.label) for one in tier.intervals or ()] == rows


def test_reading_loads_no_library() -> None:
    code = (
        "import sys, ns2.pipeline.align.textgrid.read; "
        "print([m for m in ('parselmouth', 'praatio') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
