"""The classical methods against xsdba, ibicus, statistics textbooks and closed forms."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import scoringrules
import xarray as xr
from scipy import stats

from esai_core.errors import InputError, UsageError
from esai_seasonal.methods import METHODS, Correction, emos, linear, quantile
from esai_seasonal.methods import _arrays as arrays

YEARS = np.arange(1981.0, 2003.0)


def _one_cell(seed: int = 0, years: int = 22, members: int = 9) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=years)
    forecast = 284 + 0.6 * signal[:, None] + rng.normal(size=(years, members))
    return forecast[None], (286 + signal + 0.3 * rng.normal(size=years))[None]


@pytest.fixture(scope="module")
def series() -> xr.Dataset:
    """Two cells, 1500 days: what xsdba and ibicus are made for."""
    rng = np.random.default_rng(5)
    time = xr.date_range("1981-01-01", periods=1500, freq="D", use_cftime=False)
    make = {"ref": (285, 5), "hist": (283, 6), "sim": (284, 7)}
    data = {
        k: (("time", "cell"), loc + s * rng.standard_normal((1500, 2)), {"units": "K"})
        for k, (loc, s) in make.items()
    }
    return xr.Dataset(data, coords={"time": time})


@pytest.mark.parametrize("name", ["eqm", "qdm"])
def test_quantile_mappings_are_those_of_xsdba(series: xr.Dataset, name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import xsdba

        cls = xsdba.EmpiricalQuantileMapping if name == "eqm" else xsdba.QuantileDeltaMapping
        trained = cls.train(series.ref, series.hist, nquantiles=quantile.NODES, group="time", kind="+")
        theirs = trained.adjust(series.sim, interp="linear", extrapolation="constant")
        theirs = theirs.transpose("cell", "time").values
    forecast, target, new = (series[k].values.T for k in ("hist", "ref", "sim"))
    years = np.arange(1500.0)
    fitted = METHODS[name].fit(forecast[..., None], target, years, "additive")
    ours = METHODS[name].predict(fitted, new[..., None], years, "additive")[..., 0]
    np.testing.assert_allclose(ours, theirs, atol=1e-6, rtol=0)


def test_multiplicative_quantile_mapping_is_that_of_xsdba_where_all_is_wet(series: xr.Dataset) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import xsdba

        trained = xsdba.EmpiricalQuantileMapping.train(
            series.ref, series.hist, nquantiles=quantile.NODES, group="time", kind="*"
        )
        theirs = trained.adjust(series.sim, interp="linear", extrapolation="constant").transpose(
            "cell", "time"
        )
    forecast, target, new = (series[k].values.T for k in ("hist", "ref", "sim"))
    years = np.arange(1500.0)
    fitted = METHODS["eqm"].fit(forecast[..., None], target, years, "multiplicative")
    ours = METHODS["eqm"].predict(fitted, new[..., None], years, "multiplicative")[..., 0]
    np.testing.assert_allclose(ours, theirs.values, atol=1e-6, rtol=0)


def test_mean_correction_is_the_linear_scaling_of_ibicus(series: xr.Dataset) -> None:
    debias = pytest.importorskip("ibicus.debias")
    forecast, target, new = (series[k].values for k in ("hist", "ref", "sim"))
    years = np.arange(1500.0)
    for kind, delta in (("additive", "additive"), ("multiplicative", "multiplicative")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scaling = debias.LinearScaling.from_variable("tas", delta_type=delta, running_window_mode=False)
            theirs = scaling.apply(target[..., None], forecast[..., None], new[..., None], progressbar=False)
        fitted = METHODS["mean_bias"].fit(forecast.T[..., None], target.T, years, kind)
        ours = METHODS["mean_bias"].predict(fitted, new.T[..., None], years, kind)[..., 0]
        np.testing.assert_allclose(ours, theirs[..., 0].T, atol=1e-6, rtol=0)


def test_mean_and_variance_are_matched_in_the_training_years() -> None:
    forecast, target = _one_cell()
    fitted = linear.fit_mean_variance(forecast, target, YEARS, "additive")
    out = linear.predict_mean_variance(fitted, forecast, YEARS, "additive")
    assert out.mean() == pytest.approx(target.mean(), abs=1e-9)
    assert out.std(ddof=1) == pytest.approx(target.std(ddof=1), abs=1e-9)


def test_regression_is_ordinary_least_squares() -> None:
    forecast, target = _one_cell(1)
    fitted = linear.fit_mlr(forecast, target, YEARS, "additive")
    x = np.column_stack([np.ones(22), forecast[0].mean(-1), YEARS])
    beta, *_ = np.linalg.lstsq(x, target[0], rcond=None)
    out = linear.predict_mlr(fitted, forecast, YEARS + 30, "additive")[0]
    new = np.column_stack([np.ones(22), forecast[0].mean(-1), YEARS + 30])
    np.testing.assert_allclose(out.mean(-1), new @ beta, atol=1e-6)
    residual = target[0] - x @ beta
    climatological = np.sqrt(np.mean(out.var(-1, ddof=1)))
    assert climatological == pytest.approx(np.sqrt((residual**2).sum() / 19), rel=1e-9)


def test_trend_bias_is_the_regression_of_the_bias_on_the_year() -> None:
    forecast, target = _one_cell(2)
    line = stats.linregress(YEARS, forecast[0].mean(-1) - target[0])
    fitted = linear.fit_trend_bias(forecast, target, YEARS, "additive")
    later = np.arange(2003.0, 2009.0)
    out = linear.predict_trend_bias(fitted, forecast[:, :6], later, "additive")
    np.testing.assert_allclose(
        out, forecast[:, :6] - (line.intercept + line.slope * later)[:, None], atol=1e-8
    )


def test_trend_climatology_recovers_an_exact_trend() -> None:
    target = (280 + 0.03 * (YEARS - 1981))[None]
    fitted = linear.fit_trend_climatology(target[..., None], target, YEARS, "additive")
    out = linear.predict_trend_climatology(fitted, target[..., None], np.array([2050.0]), "additive")
    assert out.shape == (1, 1, 22)
    np.testing.assert_allclose(out, 280 + 0.03 * (2050 - 1981), atol=1e-8)


def test_emos_reaches_the_minimum_crps_that_an_optimiser_finds() -> None:
    from scipy.optimize import minimize

    forecast, target = _one_cell(3, years=200)
    years = np.arange(200.0)
    fitted = emos.fit_emos(forecast, target, years, "additive")[0]
    f, s2 = forecast[0].mean(-1), forecast[0].var(-1, ddof=1)

    def crps(theta: np.ndarray) -> float:
        location = theta[0] + theta[1] * (f - f.mean())
        return float(
            scoringrules.crps_normal(target[0], location, np.sqrt(theta[2] ** 2 + theta[3] ** 2 * s2)).mean()
        )

    ours = crps(np.array([fitted[1], fitted[2], np.sqrt(fitted[3]), np.sqrt(fitted[4])]))
    best = minimize(crps, [target.mean(), 1.0, 0.5, 0.5], method="Nelder-Mead", options={"maxiter": 4000})
    assert ours < best.fun * 1.005


def test_emos_members_keep_the_order_of_the_raw_members() -> None:
    forecast, target = _one_cell(4)
    out = emos.predict_emos(emos.fit_emos(forecast, target, YEARS, "additive"), forecast, YEARS, "additive")
    np.testing.assert_array_equal(np.argsort(out, axis=-1), np.argsort(forecast, axis=-1))


def test_qdm_keeps_the_change_of_the_model_and_eqm_does_not() -> None:
    rng = np.random.default_rng(8)
    forecast, target = rng.normal(280, 1, (1, 500, 1)), rng.normal(285, 1, (1, 500))
    years = np.arange(500.0)
    fitted = quantile.fit_quantiles(forecast, target, years, "additive")
    warmer = forecast + 3.0
    qdm = quantile.predict_qdm(fitted, warmer, years, "additive")
    assert qdm.mean() - target.mean() == pytest.approx(3.0, abs=0.02)


def test_interpolation_is_numpys() -> None:
    rng = np.random.default_rng(2)
    nodes = np.sort(rng.normal(size=(4, 11)), axis=-1)
    values, x = rng.normal(size=(4, 11)), rng.normal(scale=2, size=(4, 400))
    ours = arrays.interpolate(x, nodes, values)
    theirs = np.stack([np.interp(x[r], nodes[r], values[r]) for r in range(4)])
    np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_quantiles_are_numpys_with_and_without_gaps() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(5, 40))
    x[1, ::3] = np.nan
    x[2] = np.nan
    p = arrays.plotting_positions(7)
    ours = arrays.quantiles(x, p)
    for r in (0, 1, 3, 4):
        np.testing.assert_allclose(ours[r], np.nanquantile(x[r], p), atol=1e-12)
    assert np.isnan(ours[2]).all()


def test_least_squares_drops_a_regressor_that_does_not_vary() -> None:
    rng = np.random.default_rng(4)
    y = rng.normal(size=(1, 30))
    x = np.stack([np.ones((1, 30)), np.zeros((1, 30)), rng.normal(size=(1, 30))], axis=-1)
    coefficients, residuals, count = arrays.least_squares(x, y)
    beta, *_ = np.linalg.lstsq(x[0], y[0], rcond=None)
    np.testing.assert_allclose(coefficients[0], beta, atol=1e-10)
    assert count[0] == 30
    np.testing.assert_allclose(residuals[0], y[0] - x[0] @ beta, atol=1e-10)


def test_unknown_method_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="mean_bias"):
        Correction("mean_bais")
    with pytest.raises(UsageError, match="additive"):
        Correction("eqm", kind="both")


def test_not_fitted_and_not_a_file(tmp_path: object) -> None:
    with pytest.raises(UsageError, match="not fitted"):
        Correction("eqm").save("x.npz")
    path = f"{tmp_path}/x.npz"
    Path(path).write_text("no archive")
    with pytest.raises(InputError, match="not a saved correction"):
        Correction.load(path)
