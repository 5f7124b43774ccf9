from __future__ import annotations

import base64
import io

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.image import imread

from esai_core.errors import UsageError
from esai_core.report import plots
from esai_core.report.picture import embed
from esai_core.report.plots.style import INK, PALETTE, PAPER, darken


def field(order: int = 1) -> xr.DataArray:
    latitude, longitude = np.arange(0.0, 5.0)[::order], np.arange(0.0, 8.0)
    values = latitude[:, None] * 10 + longitude
    return xr.DataArray(values, {"latitude": latitude, "longitude": longitude}, ("latitude", "longitude"))


def mesh_of(figure: Figure) -> np.ndarray:
    return np.asarray(figure.axes[0].collections[0].get_array()).reshape(5, 8)


def test_maps_are_north_up_whatever_the_order() -> None:
    expected = field().values
    for given in (field(), field(-1), field().transpose("longitude", "latitude")):
        np.testing.assert_array_equal(mesh_of(plots.map_panel([("a", given)])), expected)


def test_maps_share_one_scale() -> None:
    figure = plots.map_panel([("a", field()), ("b", field() + 100)], limits=(0, 200))
    norms = {(axis.collections[0].norm.vmin, axis.collections[0].norm.vmax) for axis in figure.axes[:2]}
    assert norms == {(0, 200)}
    figure = plots.map_panel([("a", field() - 20)], diverging=True)
    norm = figure.axes[0].collections[0].norm
    assert norm(0) == 0.5


def test_the_coast_is_drawn_from_a_mask() -> None:
    land = (field() > 20).astype(float)
    assert len(plots.map_panel([("a", field())], mask=land).axes[0].collections) == 2
    assert len(plots.map_panel([("a", field())], mask=land * 0).axes[0].collections) == 1


def test_maps_refuse_what_they_cannot_draw() -> None:
    with pytest.raises(UsageError, match="at least one"):
        plots.map_panel([])
    with pytest.raises(UsageError, match="'number'"):
        plots.map_panel([("a", field().expand_dims(number=2))])


def test_maps_of_nothing_but_nan_and_of_one_cell() -> None:
    for odd in (field() * np.nan, field().isel(latitude=[0], longitude=[0]), field() * 0):
        embed(plots.map_panel([("a", odd)], mask=field() * 0))


def test_a_heatmap_writes_its_numbers() -> None:
    figure = plots.heatmap([[0.123, np.nan], [1, 2]], rows=["a", "b"], columns=[1, 2], label="RMSE")
    assert [text.get_text() for text in figure.axes[0].texts] == ["0.12", "1.00", "2.00"]
    with pytest.raises(UsageError, match="2 rows and 3 columns"):
        plots.heatmap(np.zeros((2, 2)), rows=[1, 2], columns=[1, 2, 3])


def test_lines_keep_one_colour_per_method() -> None:
    styles = plots.colours(["raw", "a", "b"], highlight="b")
    assert styles["a"]["color"] == PALETTE[0]
    assert styles["b"]["linewidth"] > styles["a"]["linewidth"]
    assert (
        len({(s["color"], s["linestyle"]) for s in plots.colours([str(i) for i in range(20)]).values()}) == 20
    )
    figure = plots.lines_by(
        [1, 2], {"raw": [1, 2], "a": [2, np.nan]}, reference=0, bands={"a": ([1, 1], [3, 3])}
    )
    assert [line.get_color() for line in figure.axes[0].lines[:2]] == [styles["raw"]["color"], PALETTE[0]]
    with pytest.raises(UsageError, match="3"):
        plots.lines_by([1, 2], {"a": [1, 2, 3]})


def test_lines_by_names() -> None:
    axis = plots.lines_by(["14d", "28d"], {"a": [1, 2]}).axes[0]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["14d", "28d"]


def test_skill_bars_are_ordered_and_cut_the_useless() -> None:
    axis = plots.skill_bars({"a": 0.1, "raw": -5.0, "b": 0.2, "c": np.nan}, intervals={"a": (0.0, 0.2)}).axes[
        0
    ]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["raw", "a", "b"]
    assert min(bar.get_width() for bar in axis.patches) == -1
    assert any("\u22125.000" in text.get_text() for text in axis.texts)


def test_spectra_show_the_ratio_to_the_reference() -> None:
    k = np.arange(5.0)
    figure = plots.spectra(k, {"truth": k + 1, "model": (k + 1) / 2}, reference="truth")
    np.testing.assert_allclose(figure.axes[1].lines[0].get_ydata(), 0.5)
    assert len(plots.spectra(k, {"a": k + 1}).axes) == 1


def test_the_best_epoch_is_marked(tmp_path) -> None:
    path = tmp_path / "history.csv"
    path.write_text("epoch,loss,val_loss\n1,3,3\n2,2,1\n3,1,2\n")
    rows = [{"epoch": 1, "loss": 3, "val_loss": None}, {"epoch": 2, "loss": 2, "val_loss": 1.0}]
    for history in (path, rows, {"loss": [3, 2], "val_loss": [3, 1]}):
        labels = [text.get_text() for text in plots.loss_curve(history).axes[0].get_legend().get_texts()]
        assert labels == ["training", "validation", "best: 1, epoch 2"]
    with pytest.raises(UsageError, match="without a loss"):
        plots.loss_curve({"epoch": [1]})


def test_rank_histograms_show_shares_of_flat() -> None:
    figure = plots.rank_histogram({"a": [10, 10, 10], "b": [30, 0, 0]})
    assert [bar.get_height() for bar in figure.axes[0].patches] == [1, 1, 1]
    assert [bar.get_height() for bar in figure.axes[1].patches] == [3, 0, 0]


def test_reliability_leaves_out_empty_bins() -> None:
    figure = plots.reliability_diagram({"a": ([0.1, 0.5, 0.9], [0.2, np.nan, 0.8], [5, 0, 7])}, base_rate=0.3)
    line = next(line for line in figure.axes[0].lines if line.get_label() == "a")
    np.testing.assert_allclose(line.get_xdata(), [0.1, 0.9])


def test_reliability_draws_intervals_of_the_bins_that_have_cases() -> None:
    curve = ([0.1, 0.5, 0.9], [0.2, np.nan, 0.8], [5, 0, 7])
    ends = ([0.1, np.nan, 0.7], [0.3, np.nan, 0.9])
    figure = plots.reliability_diagram({"a": curve, "b": curve}, intervals={"a": ends})
    (bars,) = figure.axes[0].collections
    found = [segment.tolist() for segment in bars.get_segments()]
    assert found == [[[0.1, 0.1], [0.1, 0.3]], [[0.9, 0.7], [0.9, 0.9]]]


def test_scatter_leaves_out_pairs_with_nan() -> None:
    line = plots.scatter([1, 2, np.nan], [1, np.nan, 3]).axes[0].lines[0]
    assert list(line.get_xdata()) == [1]
    many = np.linspace(0, 1, 5000)
    assert plots.scatter(many, {"a": many, "b": many}).axes[0].collections
    with pytest.raises(UsageError, match="2 predictions for 1"):
        plots.scatter([1], [1, 2])
    with pytest.raises(UsageError, match="no pair"):
        plots.scatter([np.nan], [1])


def pixels(address: str) -> np.ndarray:
    assert address.startswith("data:image/png;base64,")
    return imread(io.BytesIO(base64.b64decode(address.split(",")[1])))[..., :3]


def test_pictures_come_in_light_and_dark() -> None:
    light, dark, width = embed(plots.map_panel([("a", xr.concat([field()] * 100, "latitude").assign_coords(
        latitude=np.arange(500) / 100))]))  # fmt: skip
    assert width == round(8.6 * 96)
    np.testing.assert_allclose(pixels(light)[0, 0], 1)
    assert pixels(dark)[0, 0].max() < 0.2
    light, dark, _ = embed(plots.lines_by([1, 2], {"a": [1, 2]}))
    assert light.startswith("data:image/svg+xml;base64,")
    assert PALETTE[0] in base64.b64decode(dark.split(",")[1]).decode()
    assert INK not in base64.b64decode(dark.split(",")[1]).decode()


def test_darkening_swaps_ink_and_leaves_data() -> None:
    figure, (axis,) = plots.new_figure()
    line = axis.plot([0, 1], color=PALETTE[1])[0]
    text = axis.text(0, 0, "x", color="black")
    darken(figure)
    assert line.get_color() == PALETTE[1]
    assert mpl.colors.to_hex(text.get_color()) == "#e6eaee"
    assert mpl.colors.to_hex(figure.get_facecolor()) != PAPER


def test_no_global_state_is_touched() -> None:
    before = dict(mpl.rcParams)
    embed(plots.scatter([1, 2], [1, 2]))
    assert dict(mpl.rcParams) == before
    import matplotlib.pyplot as plt

    assert plt.get_fignums() == []
