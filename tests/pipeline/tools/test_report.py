"""`ns2 report`: what its page says against the dataset's arrays, and that it stands alone."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from html import escape
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from ns2.cli import main
from ns2.pipeline.core.progress import Progress
from ns2.pipeline.dataset.reader import Dataset
from ns2.pipeline.tools.reporting.charts import chart, number
from ns2.pipeline.tools.reporting.findings.distributions import distribution, round_step
from ns2.pipeline.tools.reporting.findings.groups import groups_by
from ns2.pipeline.tools.reporting.findings.ledger import left_out
from ns2.pipeline.tools.reporting.findings.measures import HIGHEST, LOWEST, Measure, measures_of
from ns2.pipeline.tools.reporting.findings.phone_counts import count_phones
from ns2.pipeline.tools.reporting.findings.worst import in_turn, outliers
from ns2.pipeline.tools.reporting.pictures import LEFT, MEL, picture_of
from ns2.pipeline.tools.reporting.write_report import write_report
from ns2.pipeline.tools.tool_options import ReportOptions
from tests.support.browser import BrowserPage, browser
from tests.support.dataset_factories import Recipe, make_dataset


class Page(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def of(self, tag: str) -> list[dict[str, str]]:
        return [attrs for name, attrs in self.tags if name == tag]


def report(shards: Path, out: Path, *words: str) -> str:
    done = CliRunner().invoke(main, ["report", str(shards), "-o", str(out), *words])
    assert done.exit_code == 0, done.output
    return done.stderr


@pytest.fixture(scope="module")
def page(speech: Path, tmp_path_factory: pytest.TempPathFactory) -> Page:
    out = tmp_path_factory.mktemp("report") / "report.html"
    report(speech, out, "--where", "seconds < 3", "--audio", "2")
    return Page(out.read_text("utf-8"))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return Dataset(make_dataset(tmp_path_factory.mktemp("made") / "shards", Recipe()))


def test_the_page_needs_nothing_else(page: Page) -> None:
    assert not page.of("script") and not page.of("iframe")
    for _, attrs in page.tags:
        for name in ("src", "href"):
            assert attrs.get(name, "#").startswith(("#", "data:"))
        assert not any(name.startswith("on") for name in attrs)
        assert "url(" not in attrs.get("style", "")
    rule = next(a["content"] for a in page.of("meta") if "http-equiv" in a)
    assert "default-src 'none'" in rule


def test_everything_has_a_name_for_those_who_do_not_see_it(page: Page) -> None:
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    drawn = page.of("svg")
    assert len(drawn) > 10
    assert all(svg["role"] == "img" and svg["aria-labelledby"] in ids for svg in drawn)
    assert all(attrs["href"][1:] in ids for attrs in page.of("a"))
    assert all(attrs["aria-label"] for attrs in page.of("audio"))
    scrolled = [a for _, a in page.tags if a.get("class") == "wide"]
    assert scrolled and all(a["tabindex"] == "0" and a["aria-label"] for a in scrolled)


def test_the_page_says_what_the_dataset_is(page: Page, speech: Path) -> None:
    opened = Dataset(speech)
    kept = int((opened.numbers("seconds") < 3).sum())
    assert 0 < kept < len(opened)
    assert f"keeps {kept} of {len(opened)} utterances" in page.text
    for row in opened.index.to_pylist():
        assert row["text"] in page.text and row["key"] in page.text
    assert "mini, 4 quantizers" in page.text and opened.card.digest[:16] in page.text


def test_players_hold_copies_by_the_codec(page: Page, speech: Path) -> None:
    import base64

    from ns2.model.codec.loading import load_codec

    players = page.of("audio")
    assert len(players) == 2
    key = players[0]["aria-label"].removeprefix("Codec copy of ")
    data = players[0]["src"].removeprefix("data:audio/mpeg;base64,")
    wave, rate = soundfile.read(BytesIO(base64.b64decode(data)))
    import torch

    codes = Dataset(speech).read("codes", key).astype(np.int64)
    copy = load_codec("mini", quantizers=4).decode(torch.from_numpy(codes)).numpy()
    assert rate == 24_000 and abs(len(wave) - len(copy)) < 2500
    best = max(np.corrcoef(wave[lag : lag + 20_000], copy[:20_000])[0, 1] for lag in range(0, 2400))
    assert best > 0.9


def test_numbers_of_the_index_are_those_of_arrays(dataset: Dataset) -> None:
    counts: Counter[str] = Counter()
    for one in dataset:
        counts.update(t.lstrip("ˈˌ") for t in one["meta"]["phonemes"] if t not in ("<sil>", "|"))
    found = count_phones(dataset, Progress())
    assert found is not None and found.utterances == len(dataset)
    assert {one.phone: one.count for one in found.phones} == counts
    assert [one.count for one in found.phones] == sorted(counts.values(), reverse=True)
    some = count_phones(dataset, Progress(), most=4)
    assert some is not None and some.utterances == 4 and some.total < found.total
    assert some.total == sum(
        t not in ("<sil>", "|") for i in (0, 2, 5, 8) for t in dataset[i]["meta"]["phonemes"]
    )


def test_hours_by_speaker_and_what_a_condition_keeps(dataset: Dataset) -> None:
    seconds = dataset.numbers("seconds")
    kept = np.arange(len(dataset)) < 4
    found = groups_by(dataset, "speaker", seconds, kept)
    speakers = np.array(dataset.index["speaker"].to_pylist())
    assert found.count == 2 and found.rest is None
    for group in found.listed:
        own = speakers == group.name
        assert group.hours == pytest.approx(seconds[own].sum() / 3600)
        assert group.kept_hours == pytest.approx(seconds[own & kept].sum() / 3600)
        assert (group.utterances, group.kept_utterances) == (own.sum(), (own & kept).sum())


def test_the_ledger_is_counted_by_reason(dataset: Dataset) -> None:
    found = {one.reason: one for one in left_out(dataset.root)}
    assert {name: one.count for name, one in found.items()} == dataset.card.counts.reasons
    assert all(1 <= len(one.examples) <= 3 for one in found.values())


VALUES = np.array([3.0, np.nan, 1.0, 2.0, 2.0, 9.0])


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ((LOWEST,), {LOWEST: (2,)}),
        ((HIGHEST,), {HIGHEST: (5, 0)}),
        ((LOWEST, HIGHEST), {LOWEST: (2,), HIGHEST: (5, 0)}),
    ],
)
def test_only_what_is_beyond_the_median_is_far_out(
    ends: tuple[str, ...], expected: dict[str, tuple[int, ...]]
) -> None:
    found = outliers(VALUES, Measure("a", "a", ends=ends), 2)
    assert {one.end: one.positions for one in found} == expected
    assert outliers(np.full(5, 0.0), Measure("a", "a"), 2) == []
    assert outliers(np.full(5, np.nan), Measure("a", "a"), 2) == []


def test_each_list_has_its_turn() -> None:
    assert in_turn([[1, 2, 3], [], [4, 2], [5]]) == [1, 4, 5, 2, 3]


def test_a_distribution_counts_each_utterance() -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(50, 5, 5000), [np.nan, 1e6]])
    kept = values < 50
    found = distribution(values, kept)
    assert found is not None and found.kept is not None
    assert (found.count, found.missing, found.outside) == (5001, 1, 5001 - sum(found.counts))
    assert 1 <= found.outside < 20 and found.edges[-1] < 100
    assert 20 < len(found.counts) < 60
    assert found.quantiles["median"] == pytest.approx(np.nanmedian(values))
    for i, count in enumerate(found.counts):
        low, high = found.edges[i : i + 2]
        assert count == ((values >= low) & (values < high)).sum()
        assert found.kept[i] == ((values >= low) & (values < high) & kept).sum()
    drawn = chart(found, "Hz")
    tallest = max(drawn.bars, key=lambda bar: drawn.base - bar.y)
    assert f": {drawn.most}" in tallest.about


@pytest.mark.parametrize(
    "values",
    [[4.0], [0.0, 0.0], [-3.0, 5e-9], [np.nan, 2.0], [1e99, -1e99], [3e15, 3e15 + 1], [np.inf, 1]],
)
def test_few_values_have_a_distribution(values: list[float]) -> None:
    found = distribution(np.array(values), None)
    assert found is not None and sum(found.counts) == found.count
    assert chart(found, "").bars
    assert distribution(np.full(2, np.nan), None) is None


def test_round_numbers() -> None:
    assert [round_step(x) for x in (0.3, 1, 1.1, 30, 60)] == [0.5, 1, 2, 50, 100]
    assert [number(x) for x in (0.12345, 1234.5, -6.789, 0, 1e-7)] == [
        "0.123", "1,234", "-6.79", "0", "1e-07",
    ]  # fmt: skip


def test_the_drawing_lies_on_one_time_axis(dataset: Dataset) -> None:
    one = dataset[0]
    frames = one["mel"].shape[1]
    drawn = picture_of(dataset, 0, frames)
    assert drawn is not None and drawn.mel is not None
    second = (drawn.right - LEFT) * 75 / frames
    places = [float(x) for x in re.findall(r"M([\d.]+) ", drawn.f0)]
    voiced = np.flatnonzero(one["f0"] > 0)
    assert places == pytest.approx(LEFT + second * (voiced + 0.5) / 75, abs=0.1)
    begins = np.cumsum(one["durations"]) - one["durations"]
    lasting = begins[one["durations"] > 0]
    assert drawn.borders == pytest.approx((LEFT + second * lasting / 75).tolist(), abs=0.1)
    heights = [float(y) for y in re.findall(r" ([\d.]+)h0", drawn.f0)]
    assert np.corrcoef(heights, one["f0"][voiced])[0, 1] < -0.99
    assert drawn.tops["mel"] + MEL <= drawn.tops["tokens"] < drawn.tops["f0"]


@pytest.mark.parametrize("columns", [("f0",), ("mel",), ("codes",), ("phonemes", "meta")])
def test_a_dataset_of_few_columns_has_a_page(columns: tuple[str, ...], tmp_path: Path) -> None:
    shards = make_dataset(tmp_path / "shards", Recipe(shards=1, columns=columns))
    notes = write_report(Dataset(shards), tmp_path / "a.html", ReportOptions(), Progress())
    assert any("nothing to listen to" in note for note in notes)
    page = Page((tmp_path / "a.html").read_text("utf-8"))
    assert f"Histogram of length: {len(Dataset(shards))}" in page.text


def test_texts_of_strangers_stay_texts(tmp_path: Path) -> None:
    bad = "<script>alert(1)</script><img src=x onerror=alert(1)>"

    def renamed(row: dict[str, Any]) -> list[dict[str, Any]]:
        return [{**row, "speaker": bad, "text": bad, "id": bad}]

    shards = make_dataset(tmp_path / "shards", Recipe(shards=1, change_row=renamed))
    write_report(Dataset(shards), tmp_path / "a.html", ReportOptions(audio=0), Progress())
    text = (tmp_path / "a.html").read_text("utf-8")
    assert bad not in text and escape(bad) in text
    page = Page(text)
    assert not page.of("script") and not page.of("img")


def test_wrong_conditions_and_codecs_are_said(speech: Path, tmp_path: Path) -> None:
    def refused(*words: str) -> str:
        out = ["-o", str(tmp_path / "a.html")]
        done = CliRunner().invoke(main, ["report", str(speech), *out, *words])
        assert done.exit_code and not (tmp_path / "a.html").exists()
        return done.output

    assert "the index has no column second" in refused("--where", "second < 3")
    assert "name the codec's file" in refused("--codec", "mini-1")


def test_measures_of_others_are_shown_at_both_ends(dataset: Dataset) -> None:
    names = [one.name for one in measures_of(dataset)]
    assert names[0] == "seconds" and "align_score" in names and "snr" not in names


in_chromium = pytest.mark.skipif(shutil.which("chromium") is None, reason="there is no chromium")


@pytest.mark.large
@in_chromium
def test_a_browser_has_nothing_to_complain_of(speech: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    report(speech, out, "--audio", "1")
    command = [
        "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
        f"--user-data-dir={tmp_path / 'browser'}", "--dump-dom", out.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert "</main>" in done.stdout
    assert "CONSOLE" not in done.stderr and "Refused" not in done.stderr


STOPS = "[...document.querySelectorAll('a[href], audio[controls], [tabindex]')]"
FOCUSED = f"{STOPS}.indexOf(document.activeElement)"
SEEN = """(() => {
    const one = document.activeElement, style = getComputedStyle(one);
    const box = one.getBoundingClientRect();
    return parseFloat(style.outlineWidth) >= 2 && style.outlineStyle == 'solid'
        && box.bottom > 0 && box.top < innerHeight && box.left >= 0 && box.right <= innerWidth;
})()"""
UNREACHED = """[...document.querySelectorAll('*')].filter(one => one.scrollWidth > one.clientWidth
    && /auto|scroll/.test(getComputedStyle(one).overflowX) && one.tabIndex < 0).length"""


def tabbed(page: BrowserPage, most: int) -> list[int]:
    """The places where Tab leads, by their order in the page; each shows that it has the focus."""
    found: list[int] = []
    for _ in range(most):
        page.press("Tab", 9)
        at = page.ask(FOCUSED)
        if at < 0:
            break
        assert page.ask(SEEN), page.ask("document.activeElement.outerHTML.slice(0, 200)")
        if at not in found[-1:]:  # the buttons of a player are stops of their own
            found.append(at)
    return found


@pytest.mark.large
@in_chromium
@pytest.mark.parametrize("width", [1280, 400])
def test_tab_reaches_everything_in_order(width: int, speech: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    report(speech, out, "--audio", "2")
    with browser(tmp_path / "browser") as page:
        page.open(out, width)
        assert page.ask("document.querySelectorAll('audio').length") == 2
        assert page.ask(UNREACHED) == 0
        assert page.ask("document.documentElement.scrollWidth") <= width
        count = page.ask(f"{STOPS}.length")
        assert tabbed(page, 4 * count) == list(range(count))
        # Enter leads to an utterance, and Tab goes on from there
        page.ask("document.querySelector('#far-out a').focus()")
        page.press("Enter", 13, "\r")
        page.press("Tab", 9)
        reached = "document.activeElement.closest('article').id"
        assert page.ask(f"'#' + {reached} == location.hash && location.hash.length > 1")
