"""Plots of several versions: what is drawn where."""

from __future__ import annotations

import io

import numpy as np

from ns2.pipeline.core.schema import FrameGrid
from ns2.train.speak.plot_versions import Version, as_png, draw_versions


def version(name: str, frames: int, hertz: float) -> Version:
    f0 = np.full(frames, hertz, np.float32)
    f0[::3] = 0
    rng = np.random.default_rng(frames)
    return Version(name=name, mel=rng.normal(size=(80, frames)).astype(np.float32), f0=f0)


def test_each_has_its_mel_and_all_share_time_and_pitch() -> None:
    versions = [version("recording", 150, 120), version("spoken", 120, 180)]
    figure = draw_versions(versions, FrameGrid())
    axes = {axis.get_label(): axis for axis in figure.axes}
    assert list(axes) == ["recording", "spoken", "f0"]
    assert axes["spoken"].get_xlim() == (0, 2)
    assert axes["spoken"].images[0].get_extent()[1] == 120 / 75
    lines = {line.get_label(): line for line in axes["f0"].lines}
    assert set(lines["spoken"].get_ydata()) == {180}
    assert len(lines["recording"].get_ydata()) == 100  # voiced frames alone
    assert axes["f0"].get_ylim()[1] > 180


def test_plots_are_pictures_and_the_same_again() -> None:
    import matplotlib.image

    versions = [version("a", 40, 100)]
    one, two = (as_png(draw_versions(versions, FrameGrid())) for _ in range(2))
    assert one == two
    assert matplotlib.image.imread(io.BytesIO(one)).shape[2] == 4
