"""The reports of both tasks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from esai_core.causality import Causes
from esai_core.explain import Drivers
from esai_core.report import Report, add_causes, add_drivers, add_intervals, key_message, score_rows
from esai_core.report.plots import heatmap, lines_by, map_panel
from esai_core.runs import RunFolder, read_metrics
from esai_fire.config import FireConfig
from esai_fire.emission_steps import SCORED

__all__ = ["tell_burned_area", "tell_emissions", "tell_species"]

_STRONG = 0.6  # |r| that Chen et al. (2016) map


def _open(run: RunFolder, name: str) -> xr.Dataset:
    with xr.open_dataset(run.find(name), engine="netcdf4") as ds:
        return ds.load()


def _on_grid(values: np.ndarray, skill: xr.Dataset, scored: xr.Dataset) -> xr.DataArray:
    latitude, longitude = scored["latitude_of_grid"].values, scored["longitude_of_grid"].values
    made = np.full((latitude.size, longitude.size), np.nan)
    cells = skill["row"].values >= 0
    made[skill["row"].values[cells], skill["column"].values[cells]] = values[cells]
    return xr.DataArray(
        made, coords={"latitude": latitude, "longitude": longitude}, dims=("latitude", "longitude")
    )


def tell_burned_area(config: FireConfig, run: RunFolder) -> None:
    """Write ``report.html`` of the task burned_area.

    Parameters
    ----------
    config : FireConfig
    run : RunFolder
    """
    metrics = read_metrics(run.partial)
    scored, skill, selection = (
        _open(run, name) for name in ("model/scored.nc", "skill.nc", "model/selection.nc")
    )
    split = metrics["split"]
    gridded = bool(scored.sizes["latitude"])
    what = "cells" if gridded else "series"
    page = Report(
        "Burned area from ocean climate indices",
        f"{metrics['cells']} {what}, {split['kind']} over {split['test'][0]}-{split['test'][1]}, "
        f"lead {split['lead_months']} months",
        run=run,
    )
    page.headline(key_message(metrics, score="d2", lower_is_better=False))
    kkt = (
        "" if metrics["kkt_max"] is None else f" Largest KKT residual over lambda: {metrics['kkt_max']:.1e}."
    )
    page.section(
        "Scores",
        f"Medians over the {what}. `d2` is the Poisson deviance explained beyond the climatology of the "
        "training years; `share_significant` the share of series with d2 > 0 and p < 0.05. A left-out-year "
        "climatology correlates at -1 by construction: judge by d2 and crps." + kkt,
    )
    page.table(
        score_rows(metrics, score="d2", lower_is_better=False),
        highlight=metrics["delivered"],
        best={"d2": "max", "crps": "min", "rmse": "min"},
    )
    if metrics["interval"]:
        add_intervals(
            page, metrics["interval"], coverage=config.intervals.level, units=metrics["units"],
            text="Each row's interval comes from how the fits of its own fold, which did not see its year, "
            "did in the years that they left out.",
        )  # fmt: skip
    told = Drivers.load(run.find("model/drivers.json"))
    add_drivers(page, told.attributions, check=told.check, text=told.text)
    _tell_causes(page, run)
    _tell_regions(page, metrics, scored)
    if gridded:
        _tell_maps(page, skill, scored)
    _tell_indices(page, selection, skill, scored, gridded)
    if "emissions" in metrics:
        tell_species(page, metrics, _open(run, SCORED), level=config.intervals.level)
    page.write(run.path("report.html"))


def _tell_causes(page: Report, run: RunFolder) -> None:
    if not run.has("model/causes.json"):
        page.section(
            "Lagged causes", "Not looked for: that needs burned area by month, and 60 seasons of it or more."
        )
        return
    add_causes(
        page, Causes.load(run.find("model/causes.json")),
        text="Steps are seasons of three months of the training years, without cycle and trend.",
    )  # fmt: skip


def _tell_regions(page: Report, metrics: dict, scored: xr.Dataset) -> None:
    names = [str(n) for n, row in zip(scored["series"].values, scored["row"].values, strict=True) if row < 0]
    if not names:
        return
    units = metrics["units"]
    page.section("Regions", f"Totals by region, {units}; the band is the interval of the delivered forecast.")
    rows = [
        {"region": name, **{method: row["d2"] for method, row in metrics["by_region"][name].items()}}
        for name in names
    ]
    page.table(rows, caption="`d2` of each method")
    if "month" in scored.coords:
        when = scored["year"].values + (scored["month"].values - 1) / 12.0
    else:
        when = scored["year"].values
    for name in names[:6]:
        one = scored.isel(series=int(np.flatnonzero(scored["series"].values == name)[0]))
        best = one.sel({"method": metrics["delivered"]})
        figure = lines_by(
            list(when),
            {
                "observed": one["observed"].values,
                "stack": best["forecast"].values,
                "climatology": one["forecast"].sel({"method": "climatology"}).values,
            },
            xlabel="year", ylabel=f"burned area, {units}", title=name, highlight="stack",
            bands={"stack": (best["lower"].values, best["upper"].values)},
        )  # fmt: skip
        page.figure(figure, caption=f"{name}: observed and forecast, each year by fits that did not see it.")


def _tell_maps(page: Report, skill: xr.Dataset, scored: xr.Dataset) -> None:
    page.section("Skill maps", "Grey: no cell, or burned in too few of its years.")
    d2 = [
        (method, _on_grid(skill["d2"].sel({"method": method}).values, skill, scored))
        for method in ("stack", "single", "lasso", "trend")
        if method in skill["method"].values
    ]
    page.figure(
        map_panel(d2, label="deviance explained beyond the climatology", diverging=True, limits=(-0.5, 0.5)),
        caption="Deviance explained (d2) per cell; above 0 is better than the climatology.",
    )
    crpss = _on_grid(skill["crpss"].sel({"method": "stack"}).values, skill, scored)
    peak = _on_grid(scored["peak_month"].values.astype(float), skill, scored)
    page.figure(
        map_panel([("CRPSS of the stack", crpss)], label="CRPSS", diverging=True, limits=(-0.3, 0.3)),
        caption="Skill of the predictive distribution against the climatology's.",
    )
    page.figure(
        map_panel([("peak month", peak)], label="month", limits=(1, 12)),
        caption="Peak month of each cell, on which its twelve months are centred.",
    )


def _tell_indices(
    page: Report, selection: xr.Dataset, skill: xr.Dataset, scored: xr.Dataset, gridded: bool
) -> None:
    page.section(
        "Indices and lags",
        "Correlations with the logarithm of burned area on the training years, to be looked at: every "
        "score above comes from screens made anew inside each fold.",
    )
    shared = selection["of_land"].values == 0
    names = list(dict.fromkeys(selection["index"].values[shared].astype(str)))
    lags = np.unique(selection["lag"].values[shared])
    which = 0

    def table(values: np.ndarray) -> np.ndarray:
        return values[shared].reshape(len(names), lags.size)

    page.figure(
        heatmap(
            table(selection["correlation"].values[which]), rows=names, columns=list(lags), diverging=True,
            column_label="months before the peak", label="correlation",
            title=str(selection["series"].values[which]),
        ),
        caption="Correlation of each index and lag with the first series.",
    )  # fmt: skip
    if "stability" in selection:
        page.figure(
            heatmap(
                table(selection["stability"].values[which]), rows=names, columns=list(lags),
                column_label="months before the peak", label="share of half samples",
                title=str(selection["series"].values[which]),
            ),
            caption="Stability selection: how often the lasso picks a column on half of the years.",
        )  # fmt: skip
    if gridded:
        _tell_correlation_maps(page, selection, skill, scored, names)
    page.table(_chosen_table(selection, scored), caption="What each region's fits to all training years use.")


def _tell_correlation_maps(
    page: Report, selection: xr.Dataset, skill: xr.Dataset, scored: xr.Dataset, names: list[str]
) -> None:
    panels = []
    for name in names:
        own = np.flatnonzero(selection["index"].values == name)
        r = selection["correlation"].values[:, own]
        at = np.abs(r).argmax(axis=1)
        best = np.take_along_axis(r, at[:, None], axis=1)[:, 0]
        panels.append((name, _on_grid(best, skill, scored)))
    strong = [
        float((np.abs(p.values) > _STRONG).sum() / max(np.isfinite(p.values).sum(), 1)) for _, p in panels
    ]
    listed = ", ".join(f"{name} {100 * share:.0f} %" for (name, _), share in zip(panels, strong, strict=True))
    page.figure(
        map_panel(panels, label="correlation at the best lag", diverging=True, limits=(-0.8, 0.8)),
        caption=f"Correlation at each cell's best lag. Cells with |r| > {_STRONG}: {listed}. "
        "Best of many lags: in noise such values occur by chance.",
    )
    most = names[int(np.argmax(strong))]
    own = np.flatnonzero(selection["index"].values == most)
    own = own[np.unique(np.linspace(0, own.size - 1, 6).round().astype(int))]
    page.figure(
        map_panel(
            [
                (
                    f"{most}, {selection['lag'].values[j]} months",
                    _on_grid(selection["correlation"].values[:, j], skill, scored),
                )
                for j in own
            ],
            label="correlation", diverging=True, limits=(-0.8, 0.8),
        ),
        caption=f"Correlation with {most}, the index with most such cells, by months before the peak.",
    )  # fmt: skip
    page.table(
        _used_by_cells(selection, scored),
        caption="What the cells' fits to all training years use: share of cells in which an index has a "
        "coefficient, and the median of its largest one's months before the peak.",
    )


def _used_by_cells(selection: xr.Dataset, scored: xr.Dataset) -> list[dict]:
    """Give a row per index: share of cells that use it and its median lag, for each forecaster."""
    cells = np.flatnonzero(scored["row"].values >= 0)
    rows = []
    for name in dict.fromkeys(selection["index"].values.astype(str)):
        own = np.flatnonzero(selection["index"].values == name)
        row: dict = {"index": name}
        for method in ("single", "pair", "lasso"):
            if f"coef_{method}" not in selection:
                continue
            size = np.abs(selection[f"coef_{method}"].values[np.ix_(cells, own)])
            used = size.max(axis=1) > 0.0
            lags = selection["lag"].values[own][size.argmax(axis=1)][used]
            row[method] = f"{100 * used.mean():.0f} %" + (f", {np.median(lags):g}" if used.any() else "")
        rows.append(row)
    return rows


def tell_species(page: Report, metrics: dict, scored: xr.Dataset, *, level: float) -> None:
    """Tell of the emissions per species that go with forecast burned area.

    Parameters
    ----------
    page : Report
    metrics : dict
        With the key ``emissions``.
    scored : Dataset
        ``model/emission_scored.nc``.
    level : float
        Nominal coverage of the intervals.
    """
    units = metrics["emissions"]["units"]
    page.section(
        "Emissions per species",
        "From the delivered burned area, by conversions fitted on each fold's training rows. `d2` is against "
        "the climatology of the emissions themselves. Files: `emissions.csv`, `emissions.nc`.",
    )
    names = [str(n) for n, row in zip(scored["series"].values, scored["row"].values, strict=True) if row < 0]
    rows = []
    for species, found in metrics["emissions"]["by_species"].items():
        own, base = found["scores"]["stack"], found["scores"]["climatology"]
        row = {"species": species, **{score: own[score] for score in ("d2", "r", "rmse")}}
        row |= {"rmse of climatology": base["rmse"]}
        rows.append(row)
    page.table(rows, caption="Scores of the stack, medians over the cells (of tables: the regions)")
    held = {
        name: one["interval"] for name, one in metrics["emissions"]["by_species"].items() if one["interval"]
    }
    if held:
        add_intervals(
            page, held, coverage=level, units=units, title="How sure are the emissions",
            text="As those of burned area; the error of the emission factors is added, which the observed "
            "emissions share where they come from the same factors: intervals can then be too wide.",
        )  # fmt: skip
    page.text("What drives burned area drives its emissions: see the section above.")
    when = scored["year"].values.astype(float)
    if "month" in scored.coords:
        when = when + (scored["month"].values - 1) / 12.0
    for species in scored["species"].values.astype(str)[:4]:
        for name in [n for n in ("total", "Global") if n in names] or names[:1]:
            one = scored.sel(species=species).isel(
                series=int(np.flatnonzero(scored["series"].values == name)[0])
            )
            best = one.sel({"method": "stack"})
            figure = lines_by(
                list(when),
                {
                    "observed": one["observed"].values,
                    "stack": best["forecast"].values,
                    "climatology": one["forecast"].sel({"method": "climatology"}).values,
                },
                xlabel="year", ylabel=f"{species}, {units}", title=f"{species}: {name}", highlight="stack",
                bands={"stack": (best["lower"].values, best["upper"].values)},
            )  # fmt: skip
            page.figure(figure, caption=f"{species} of {name}: observed and forecast, with the interval.")


def _chosen_table(selection: xr.Dataset, scored: xr.Dataset) -> list[dict]:
    rows = []
    at = [k for k in range(scored.sizes["series"]) if scored["row"].values[k] < 0] or [0]
    for k in at[:15]:
        row = {"series": str(scored["series"].values[k])}
        for name in ("single", "pair", "lasso"):
            if f"coef_{name}" not in selection:
                continue
            coef = selection[f"coef_{name}"].values[k]
            used = np.flatnonzero(coef)
            used = used[np.argsort(-np.abs(coef[used]))][:6]
            row[name] = (
                ", ".join(f"{selection['predictor'].values[j]} ({coef[j]:+.2f})" for j in used) or "none"
            )
        rows.append(row)
    return rows


def tell_emissions(config: FireConfig, run: RunFolder) -> None:
    """Write ``report.html`` of the task emissions.

    Parameters
    ----------
    config : FireConfig
    run : RunFolder
    """
    metrics = read_metrics(run.partial)
    table = pd.read_csv(run.find("emissions.csv"))
    first, last = metrics["split"]["years"]
    page = Report("Fire emissions per species", f"{metrics['cells']} regions, {first}-{last}", run=run)
    if metrics["closure"]:
        for species, row in metrics["closure"].items():
            page.headline(
                f"The chain gives the published global {species} within {row['max_percent']:.2f} % a year; "
                f"one factor for all sources is off by {row['one_factor_percent']:+.0f} %."
            )
    page.section(
        "Closure",
        "Dry matter times emission factor against the published totals (Tg). Nothing is fitted here.",
    )
    page.table(metrics["scores"], highlight=metrics["delivered"], best={"rmse": "min", "d2": "max"})
    if metrics["interval"]:
        add_intervals(
            page, metrics["interval"], coverage=config.intervals.level, units="Tg",
            text="They are worked out from the errors of factors and dry matter that the config states, and "
            "compared with published totals of all regions and years. These come from the same factors: that "
            "they lie inside says little about the true emissions.",
        )  # fmt: skip
    told = Drivers.load(run.find("drivers.json"))
    add_drivers(page, told.attributions, text=told.text)
    page.section("Species", "Global totals with their intervals: factors err alike in all years of a source.")
    whole = table[table.region == "Global"]
    rows = [
        {
            "species": species, "mean Tg per year": part["emission"].mean(),
            "lower": part["lower"].mean(), "upper": part["upper"].mean(),
        }
        for species, part in whole.groupby("species", sort=False)
    ]  # fmt: skip
    page.table(rows)
    for species, part in list(whole.groupby("species", sort=False))[:4]:
        page.figure(
            lines_by(
                list(part["year"]), {str(species): part["emission"].to_numpy()}, xlabel="year",
                ylabel="Tg per year", title=str(species),
                bands={str(species): (part["lower"].to_numpy(), part["upper"].to_numpy())},
            ),
            caption=f"Global {species} from fires, with the {100 * config.intervals.level:.0f} % interval.",
        )  # fmt: skip
    page.section("Regions", "Mean of the years, Tg.")
    wide = table.pivot_table(index="region", columns="species", values="emission", sort=False)
    wide.index.name = "region"
    page.table(wide)
    page.write(run.path("report.html"))
