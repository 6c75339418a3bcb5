"""What `ns2 inspect` shows and draws, compared with arrays that are read by hand."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from ns2.cli import main
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.dataset.reader import Dataset
from ns2.pipeline.sound.draw import mel_bin, slaney_mel
from ns2.pipeline.tools.inspection.one_utterance import describe, find, render_utterance
from ns2.pipeline.tools.inspection.overview import render, summarise
from ns2.pipeline.tools.inspection.plot import draw_utterance, plot_utterance
from tests.support.dataset_factories import Recipe, make_dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return Dataset(make_dataset(tmp_path_factory.mktemp("inspect") / "shards", Recipe()))


def shown(dataset: Dataset) -> str:
    return render(summarise(dataset), dataset.root)


def test_the_summary_adds_up(dataset: Dataset) -> None:
    found = summarise(dataset)
    json.dumps(found, allow_nan=False)
    utterances = list(dataset)
    seconds = [u["meta"]["samples"] / 24_000 for u in utterances]
    assert found["utterances"] == 9 and found["found"] == 12
    assert found["hours"] == pytest.approx(sum(seconds) / 3600)
    assert found["seconds"]["min"] == min(seconds) and found["seconds"]["max"] == max(seconds)
    assert found["seconds"]["median"] == sorted(seconds)[4]
    assert found["frames"] == sum(u["mel"].shape[1] for u in utterances)
    assert found["reasons"] == {"audio_silent": 1, "nothing_speakable": 1, "too_long": 1}
    assert {name: one["utterances"] for name, one in found["splits"].items()} == {
        "train": 7, "val": 2,
    }  # fmt: skip
    by_speaker: dict[str, float] = {}
    for u, s in zip(utterances, seconds, strict=True):
        speaker = u["meta"]["speaker"]
        by_speaker[speaker] = by_speaker.get(speaker, 0.0) + s / 3600
    top = found["speakers"]["top"]
    assert found["speakers"]["count"] == 2
    assert {one["speaker"]: one["hours"] for one in top} == pytest.approx(by_speaker)
    assert top[0]["hours"] >= top[1]["hours"]
    for name, column in found["columns"].items():
        tars = dataset.tars(name)
        assert column["tars"] == len(tars) == 3
        assert column["bytes"] == sum(path.stat().st_size for path in tars)
        assert f"{name}-{column['fingerprint']}" == tars[0].parent.name
    assert found["columns"]["codes"]["dims"] == [4, "T"]


def test_the_table_shows_it(dataset: Dataset) -> None:
    text = shown(dataset)
    for part in (
        "9 utterances", "rejected 2", "filtered 1", "nothing_speakable: 1", "24,000 Hz",
        "4 quantizers", "speaker0", "en-us", "uint16", "4 x T",
        dataset.tars("f0")[0].parent.name.removeprefix("f0-"),
    ):  # fmt: skip
        assert part in text
    assert max(map(len, text.splitlines())) <= 100 + len(str(dataset.root))


def test_names_that_look_like_markup_are_shown_as_they_are(tmp_path: Path) -> None:
    def renamed(row: dict[str, Any]) -> list[dict[str, Any]]:
        return [{**row, "speaker": "[red]:smile:[/red]"}]

    root = make_dataset(tmp_path / "shards", Recipe(shards=1, change_row=renamed))
    assert "[red]:smile:[/red]" in shown(Dataset(root))


def test_an_empty_dataset_can_be_looked_at(tmp_path: Path) -> None:
    dataset = Dataset(make_dataset(tmp_path / "shards", Recipe(shards=0)))
    assert summarise(dataset)["seconds"]["median"] is None
    assert "0 utterances" in shown(dataset)
    assert dataset.tars("mel") == []


def test_one_utterance_in_time(dataset: Dataset) -> None:
    for key in ("utt0000", "utt0004"):
        found = describe(dataset, key)
        json.dumps(found, allow_nan=False)
        arrays = dataset[key]
        durations = [int(d) for d in arrays["durations"]]
        begins = [sum(durations[:i]) / 75 for i in range(len(durations))]
        assert [p["token"] for p in found["phonemes"]] == arrays["meta"]["phonemes"]
        assert [p["frames"] for p in found["phonemes"]] == durations
        assert [p["begin"] for p in found["phonemes"]] == pytest.approx(begins)
        assert [p["seconds"] for p in found["phonemes"]] == pytest.approx(
            [d / 75 for d in durations]
        )
        (word, first, end) = arrays["meta"]["words"][1]
        assert found["words"][1]["word"] == word
        assert found["words"][1]["begin"] == pytest.approx(begins[first])
        assert found["words"][1]["seconds"] == pytest.approx(sum(durations[first:end]) / 75)
        voiced = arrays["f0"][arrays["f0"] > 0]
        assert found["f0_median"] == pytest.approx(float(np.median(voiced)))
        assert found["shapes"]["mel"] == list(arrays["mel"].shape)
        text = render_utterance(found)
        assert "so much light" in text and arrays["meta"]["phonemes"][1] in text
        assert f"{1000 * durations[1] / 75:.0f}" in text


def test_utterances_are_found_by_id_and_near_ones_are_named(tmp_path: Path) -> None:
    def other_id(row: dict[str, Any]) -> list[dict[str, Any]]:
        return [{**row, "id": f"the/{row['key']}.wav"}]

    dataset = Dataset(make_dataset(tmp_path / "shards", Recipe(shards=1, change_row=other_id)))
    assert find(dataset, "the/utt0001.wav") == "utt0001"
    assert find(dataset, "utt0001") == "utt0001"
    with pytest.raises(UserError, match=r"no utterance 'ut0001'; near it: .*utt0001"):
        describe(dataset, "ut0001")


def test_few_columns_are_enough(tmp_path: Path) -> None:
    for columns in (("mel", "f0"), ("phonemes", "meta")):
        root = make_dataset(tmp_path / columns[0], Recipe(shards=1, columns=columns))
        dataset = Dataset(root)
        assert shown(dataset) and render_utterance(describe(dataset, "utt0001"))
        assert set(describe(dataset, "utt0001")["files"]) == set(columns)


def test_files_are_the_current_tars_in_order(dataset: Dataset) -> None:
    command = ["inspect", str(dataset.root), "--files"]
    done = CliRunner().invoke(main, [*command, "mel"])
    files = done.output.splitlines()
    assert [Path(file).name[:5] for file in files] == ["00000", "00001", "00002"]
    assert all(Path(file).is_file() for file in files)
    assert json.loads(CliRunner().invoke(main, [*command, "mel", "--json"]).output) == files
    done = CliRunner().invoke(main, [*command, "video"])
    assert done.exit_code == 1 and "no column video" in done.output


def test_the_plot_shares_one_time_axis(dataset: Dataset) -> None:
    arrays = dataset["utt0002"]
    frames = arrays["mel"].shape[1]
    figure = draw_utterance(dataset, "utt0002")
    mel, phonemes, f0 = figure.axes
    assert [axis.get_label() for axis in figure.axes] == ["mel", "phonemes", "f0"]
    for axis in figure.axes:
        assert axis.get_xlim() == pytest.approx((0, frames / 75))
    (image,) = mel.images
    np.testing.assert_array_equal(image.get_array(), arrays["mel"].astype(np.float32))
    assert tuple(image.get_extent()[:2]) == pytest.approx((0, frames / 75))
    (points,) = [line for line in f0.lines if line.get_marker() == "."]
    voiced = np.flatnonzero(arrays["f0"])
    np.testing.assert_allclose(points.get_xdata(), (voiced + 0.5) / 75)
    np.testing.assert_array_equal(points.get_ydata(), arrays["f0"][voiced])
    begins = (np.cumsum(arrays["durations"]) - arrays["durations"])[arrays["durations"] > 0] / 75
    for axis in (mel, f0):
        borders = [line.get_xdata()[0] for line in axis.lines if len(set(line.get_xdata())) == 1
                   and line.get_marker() != "."]  # fmt: skip
        np.testing.assert_allclose(borders, begins)
    shown = {text.get_text(): text.get_position()[0] for text in phonemes.texts}
    tokens = arrays["meta"]["phonemes"]
    ends = np.cumsum(arrays["durations"]) / 75
    assert set(tokens) - {"|", "<sil>"} <= set(shown)
    assert {"so", "much", "light"} <= set(shown)
    single = next(i for i in range(len(tokens)) if tokens.count(tokens[i]) == 1
                  and arrays["durations"][i])  # fmt: skip
    assert ends[single] - arrays["durations"][single] / 75 < shown[tokens[single]] < ends[single]


def test_the_plot_is_a_png(dataset: Dataset, tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        assert plot_utterance(dataset, "utt0002", tmp_path / name) == "utt0002"
    data = (tmp_path / "a.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n" and data[12:16] == b"IHDR"
    width, height = struct.unpack(">II", data[16:24])
    assert 800 <= width <= 2000 and 500 <= height <= 1200
    assert data == (tmp_path / "b.png").read_bytes()
    with pytest.raises(UserError, match="can't write"):
        plot_utterance(dataset, None, tmp_path / "nowhere" / "c.png")
    assert plot_utterance(dataset, None, tmp_path / "first.png") == dataset.keys[0]


def test_a_long_utterance_gets_a_wide_plot(tmp_path: Path) -> None:
    root = make_dataset(tmp_path / "s", Recipe(shards=1, per_shard=1, frames=(750, 750)))
    figure = draw_utterance(Dataset(root), "utt0000")
    assert figure.get_figwidth() > 24


def test_what_is_missing_is_left_out_of_the_plot(tmp_path: Path) -> None:
    for columns, labels in (
        (("f0",), ["f0"]),
        (("mel", "meta"), ["mel"]),
        (("durations", "meta"), ["phonemes"]),
    ):
        root = make_dataset(tmp_path / columns[0], Recipe(shards=1, columns=columns))
        axes = draw_utterance(Dataset(root), "utt0000").axes
        assert [axis.get_label() for axis in axes] == labels
    root = make_dataset(tmp_path / "codes", Recipe(shards=1, columns=("codes",)))
    with pytest.raises(UserError, match="nothing to plot"):
        draw_utterance(Dataset(root), "utt0000")


def test_frequencies_lie_in_their_mel_bins() -> None:
    from torchaudio.functional import melscale_fbanks

    filters = melscale_fbanks(
        n_freqs=12_001, f_min=0.0, f_max=12_000.0, n_mels=80, sample_rate=24_000,
        norm=None, mel_scale="slaney",
    ).numpy()  # fmt: skip
    peaks = filters.argmax(axis=0)  # Hz, one row a Hz
    for i, hz in enumerate(peaks):
        assert mel_bin(float(hz), 80, 0.0, 12_000.0) == pytest.approx(i + 0.5, abs=0.05)
    assert slaney_mel(1000.0) == 15
