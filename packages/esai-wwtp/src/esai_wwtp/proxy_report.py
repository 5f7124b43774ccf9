"""The report of a proxy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from esai_core.report import Report
from esai_core.report.plots.style import new_figure, styled
from esai_wwtp.proxy import Proxy
from esai_wwtp.trust import add_loads

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from esai_core.runs import RunFolder
    from esai_wwtp.capacity import CapacityModel

__all__ = ["write_report"]


def write_report(
    made: Proxy,
    scores: dict[str, dict[str, Any]],
    found: dict[str, int],
    population: np.ndarray | None,
    model: CapacityModel | None,
    run: RunFolder,
) -> None:
    """Write ``report.html``: totals, counts, the map, and how concentrated the methane is."""
    total = sum(made.totals.values()) / 1e6
    countries = " and ".join(f"{name} {made.totals[name] / 1e6:.2f} kt" for name in made.countries)
    page = Report("Methane of wastewater plants", "a spatial proxy for GNFR J_Waste (NFR 5D1)", run=run)
    page.headline(
        f"**{total:.2f} kt CH4 per year** on the grid: {countries}. Weights sum to 1 within "
        f"{scores['plants']['weight_sum_error']:.0e}, the totals are conserved within "
        f"{scores['plants']['total_error']:.0e}."
    )
    rows = [
        {"country": name, "CH4 (kt yr-1)": made.totals[name] / 1e6, **made.counts[name]}
        for name in made.countries
    ]
    page.section("Countries").table(
        rows,
        caption="Every plant is assigned to a cell, off the grid, or without a known emission; a country "
        "without a plant on the grid falls back on what the config declares.",
    )
    page.section("Map").figure(
        draw_map(made),
        caption="Methane of each cell; white cells hold no plant.",
        alt="Map of methane emissions",
    )
    page.section("Concentration").figure(
        draw_concentration(made),
        caption="Share of a country's methane that its largest plants emit: missing one of them costs more "
        "than missing a hundred small ones.",
        alt="Cumulative share of the methane by rank of the plant",
    )
    if population is not None:
        page.section("Beside a population proxy").text(
            f"A population proxy puts {scores['population']['overlap']:.0%} of the methane into the same "
            "cells."
        )
    if model is not None:
        add_loads(page, model, "the reported loads of the table, on capacity, treatment and place")
    page.section("Cleaning").keyvalues(found)
    page.write(run.path("report.html"))


@styled
def draw_map(made: Proxy) -> Figure:
    """Draw the methane of each cell, t per year, on a log scale."""
    lat, lon, tonnes = made.grid.latitude_edges, made.grid.longitude_edges, made.ch4 / 1000.0
    tall = (lat[-1] - lat[0]) / max((lon[-1] - lon[0]) * np.cos(np.radians(lat.mean())), 1e-6)
    figure, (axis,) = new_figure(width=8.0, height=float(np.clip(7.0 * tall, 2.5, 8.0)) + 0.4)
    if tonnes.any():
        values = tonnes[tonnes > 0]
        top = float(values.max())
        low = max(float(np.quantile(values, 0.05)), top * 1e-6)
        shown = np.ma.masked_equal(tonnes, 0)
        drawn = axis.pcolormesh(lon, lat, shown, norm="log", vmin=low, vmax=top * 1.0001, cmap="viridis")
        figure.colorbar(drawn, ax=axis, label="t CH4 per cell and year", shrink=0.8)
    axis.set(xlabel="longitude", ylabel="latitude", aspect=1 / np.cos(np.radians(lat.mean())))
    return figure


@styled
def draw_concentration(made: Proxy) -> Figure:
    """Draw the cumulative share of the methane over the rank of the plant, by country."""
    figure, (axis,) = new_figure(width=6.4, height=3.2)
    for country in made.countries:
        own = made.plants.loc[made.plants["country"] == country, "ch4"].fillna(0).to_numpy()
        own = np.sort(own[own > 0])[::-1]
        if len(own):
            axis.plot(np.arange(1, len(own) + 1), np.cumsum(own) / own.sum(), label=f"{country} ({len(own)})")
    axis.set(xlabel="plants, from the largest", ylabel="share of the methane", xscale="log", ylim=(0, 1.02))
    if axis.lines:
        axis.legend(title="country (plants)")
    return figure
