from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy import stats
from sklearn.metrics import average_precision_score, f1_score, jaccard_score

from esai_core import verify
from esai_core.errors import InputError, UsageError


class TestRanks:
    def test_counts_members_below(self) -> None:
        rng = np.random.default_rng(0)
        forecast = xr.DataArray(rng.normal(size=(300, 2, 7)), dims=("case", "cell", "number"))
        observed = xr.DataArray(rng.normal(size=(300, 2)), dims=("case", "cell"))
        rank = (forecast < observed).sum("number")
        expected = [(rank == k).sum("case").values for k in range(8)]
        np.testing.assert_array_equal(verify.rank_histogram(forecast, observed, dim="case"), expected)

    def test_ties_are_broken_evenly_and_repeatably(self) -> None:
        forecast = xr.zeros_like(xr.DataArray(np.empty((20_000, 4)), dims=("case", "number")))
        observed = xr.zeros_like(forecast.isel(number=0))
        counts = verify.rank_histogram(forecast, observed, seed=1)
        assert stats.chisquare(counts).pvalue > 0.001
        np.testing.assert_array_equal(counts, verify.rank_histogram(forecast, observed, seed=1))
        assert (counts != verify.rank_histogram(forecast, observed, seed=2)).any()

    def test_unequal_members_stay_flat_and_chunks_do_not_matter(self) -> None:
        rng = np.random.default_rng(2)
        forecast = xr.DataArray(rng.normal(size=(100, 300, 9)), dims=("start", "cell", "number"))
        observed = xr.DataArray(rng.normal(size=(100, 300)), dims=("start", "cell"))
        forecast[:60, :, 4:] = np.nan
        observed[5] = np.nan
        counts = verify.rank_histogram(forecast, observed)
        assert counts.sum() == 99 * 300
        assert stats.chisquare(counts).pvalue > 0.001
        lazy = verify.rank_histogram(forecast.chunk(start=7, number=3), observed.chunk(cell=11))
        np.testing.assert_array_equal(lazy, counts)

    def test_pit_is_uniform_and_keeps_what_is_missing(self) -> None:
        rng = np.random.default_rng(3)
        forecast = xr.DataArray(rng.normal(size=(5000, 6)), dims=("case", "number"))
        observed = xr.DataArray(rng.normal(size=5000), dims="case")
        observed[:4] = np.nan
        values = verify.pit(forecast, observed)
        assert values[:4].isnull().all()
        assert stats.kstest(values[4:], "uniform").pvalue > 0.001
        assert stats.kstest(verify.pit(forecast + 0.3, observed)[4:], "uniform").pvalue < 1e-6


class TestSpectrum:
    def test_the_variance_is_kept(self) -> None:
        data = np.random.default_rng(0).normal(3, 2, (5, 16, 24))
        field = xr.DataArray(data, dims=("time", "latitude", "longitude"))
        density = np.abs(np.fft.fft2(data - data.mean((1, 2), keepdims=True))) ** 2 / (16 * 24) ** 2
        np.testing.assert_allclose(density.sum((1, 2)), data.var((1, 2)))
        zonal = verify.power_spectrum(field, kind="zonal", window=None)
        np.testing.assert_allclose(zonal.sum("wavenumber"), data.var(2).mean(1), rtol=1e-12)

    @pytest.mark.parametrize("window", ["hann", None])
    @pytest.mark.parametrize(("ky", "kx"), [(0, 5), (3, 4), (5, 0)])
    def test_a_wave_peaks_at_its_wavenumber(self, window: str | None, ky: int, kx: int) -> None:
        y, x = np.mgrid[:40, :60]
        wave = xr.DataArray(np.cos(2 * np.pi * (ky * y / 40 + kx * x / 60)), dims=("latitude", "longitude"))
        spectrum = verify.power_spectrum(wave, window=window)
        expected = np.hypot(ky / 40, kx / 60)
        width = 1 / 60
        assert abs(spectrum.wavenumber.values[np.argmax(spectrum.values)] - expected) <= width

    def test_rings_of_a_small_oblong_grid_are_the_brute_force_ones(self) -> None:
        data = np.random.default_rng(1).normal(size=(13, 17))
        ours = verify.power_spectrum(
            xr.DataArray(data, dims=("latitude", "longitude")), window=None, spacing=(2.0, 1.5)
        )
        power = np.abs(np.fft.fft2(data - data.mean())) ** 2 / data.size**2
        size = np.hypot(np.fft.fftfreq(13, 2.0)[:, None], np.fft.fftfreq(17, 1.5))
        highest = min(np.abs(np.fft.fftfreq(13, 2.0)).max(), np.abs(np.fft.fftfreq(17, 1.5)).max())
        width = 1 / max(13 * 2.0, 17 * 1.5)
        rings: dict[int, list[float]] = {}
        for value, k in zip(power.ravel(), size.ravel(), strict=True):
            if 0 < k <= highest and round(k / width) > 0:
                rings.setdefault(round(k / width), []).append(value)
        np.testing.assert_allclose(ours, [np.mean(rings[k]) for k in sorted(rings)], rtol=1e-10)

    def test_white_noise_is_flat_whatever_the_window(self) -> None:
        data = np.random.default_rng(0).normal(size=(400, 20, 30))
        field = xr.DataArray(data, dims=("time", "latitude", "longitude"))
        for window in ("hann", None):
            spectrum = verify.power_spectrum(field, window=window).mean("time")
            np.testing.assert_allclose(spectrum[1:], 1 / 600, rtol=0.06)

    def test_missing_fields_and_chunks(self) -> None:
        field = xr.DataArray(
            np.random.default_rng(0).normal(size=(6, 8, 9)), dims=("time", "latitude", "longitude")
        )
        field[2] = np.nan
        spectrum = verify.power_spectrum(field)
        assert spectrum.isnull().any("wavenumber").values.tolist() == [
            False,
            False,
            True,
            False,
            False,
            False,
        ]
        np.testing.assert_allclose(verify.power_spectrum(field.chunk(time=1, latitude=3)), spectrum)
        field[1, 0, 0] = np.nan
        with pytest.raises(InputError, match="fill or crop"):
            verify.power_spectrum(field)
        with pytest.raises(InputError, match="3 x 9"):
            verify.power_spectrum(field[:, :3])
        with pytest.raises(UsageError, match="unknown kind"):
            verify.power_spectrum(field, kind="meridional")
        with pytest.raises(UsageError, match="spacing"):
            verify.power_spectrum(field, spacing=(0, 1))


class TestInference:
    def test_interval_of_a_mean_is_scipys(self) -> None:
        values = np.random.default_rng(0).normal(size=80)
        ours = verify.block_bootstrap(xr.DataArray(values, dims="start"), dim="start", samples=8000)
        expected = stats.bootstrap(
            (values,), np.mean, confidence_level=0.9, n_resamples=8000, method="percentile", rng=1
        ).confidence_interval
        np.testing.assert_allclose(ours["estimate"], values.mean(), rtol=1e-12)
        np.testing.assert_allclose([ours["lower"], ours["upper"]], expected, atol=0.012)

    def test_blocks_widen_the_interval_of_repeated_values(self) -> None:
        rng = np.random.default_rng(0)
        values = xr.DataArray(np.repeat(rng.normal(size=20), 12), dims="start")
        years = np.repeat(np.arange(20), 12)
        free = verify.block_bootstrap(values, dim="start")
        for blocks in (years, 12):
            held = verify.block_bootstrap(values, dim="start", blocks=blocks)
            ratio = (held["upper"] - held["lower"]) / (free["upper"] - free["lower"])
            np.testing.assert_allclose(ratio, np.sqrt(12), rtol=0.2)

    def test_skill_of_paired_cases_keeps_what_is_missing(self) -> None:
        rng = np.random.default_rng(0)
        noise = xr.DataArray(rng.gamma(2, 1, (60, 3)), dims=("start", "cell"))
        cases = xr.Dataset({"model": 0.8 * noise, "reference": noise})
        cases["model"][:10, 0] = np.nan
        cases["model"][:, 2] = np.nan

        def skill(means: xr.Dataset) -> xr.DataArray:
            return 1 - means["model"] / means["reference"]

        out = verify.block_bootstrap(cases, dim="start", blocks=6, combine=skill)
        np.testing.assert_allclose(out["estimate"][:2], 0.2, rtol=1e-12)
        np.testing.assert_allclose(out["lower"][:2], 0.2, rtol=1e-12)
        assert out.to_array()[:, 2].isnull().all()
        lazy = verify.block_bootstrap(cases.chunk(start=7), dim="start", blocks=6, combine=skill)
        xr.testing.assert_allclose(lazy.compute(), out)

    def test_coverage_of_the_interval_and_size_of_the_test(self) -> None:
        rng = np.random.default_rng(1)
        blocks = np.repeat(np.arange(30), 4)
        cells = xr.DataArray(np.repeat(rng.normal(size=(30, 600)), 4, axis=0), dims=("start", "cell"))
        cells = cells + 0.3 * rng.normal(size=cells.shape)
        out = verify.block_bootstrap(cells, dim="start", blocks=blocks, samples=400)
        covered = ((out["lower"] <= 0) & (out["upper"] >= 0)).mean()
        assert 0.85 < covered < 0.92
        test = verify.paired_test(cells, xr.zeros_like(cells), dim="start", blocks=blocks)
        assert 0.07 < (test["p_value"] < 0.1).mean() < 0.13
        naive = verify.paired_test(cells, xr.zeros_like(cells), dim="start")
        assert (naive["p_value"] < 0.1).mean() > 0.3

    def test_paired_test_is_the_t_test_of_block_means(self) -> None:
        rng = np.random.default_rng(2)
        first, second = (xr.DataArray(rng.normal(size=(60, 2)), dims=("start", "cell")) for _ in range(2))
        first[:5, 1] = np.nan
        ours = verify.paired_test(first, second, dim="start", blocks=5)
        means = (first - second).values.reshape(12, 5, 2).mean(1)
        for cell, held in ((0, means[:, 0]), (1, means[1:, 1])):
            expected = stats.ttest_1samp(held, 0)
            np.testing.assert_allclose(ours["statistic"][cell], expected.statistic, rtol=1e-10)
            np.testing.assert_allclose(ours["p_value"][cell], expected.pvalue, rtol=1e-10)
        assert verify.paired_test(first, first, dim="start")["p_value"].isnull().all()

    def test_false_discovery_is_scipys_and_leaves_out_nan(self) -> None:
        rng = np.random.default_rng(0)
        p = np.concatenate([rng.random(200), rng.random(30) * 1e-3])
        expected = stats.false_discovery_control(p) <= 0.1
        field = xr.DataArray(
            np.concatenate([p, [np.nan] * 10]).reshape(12, 20), dims=("latitude", "longitude")
        )
        ours = verify.false_discovery(field, alpha=0.1).values.ravel()
        np.testing.assert_array_equal(ours[:230], expected)
        assert not ours[230:].any()
        assert not verify.false_discovery(field * 0 + 0.9).any()
        with pytest.raises(UsageError, match="alpha"):
            verify.false_discovery(field + 1)

    def test_arguments_are_checked(self) -> None:
        cases = xr.DataArray(np.arange(6.0), dims="start")
        with pytest.raises(UsageError, match="1 blocks"):
            verify.block_bootstrap(cases, dim="start", blocks=6)
        with pytest.raises(UsageError, match="5 block labels for 6 cases"):
            verify.block_bootstrap(cases, dim="start", blocks=np.arange(5))
        with pytest.raises(UsageError, match="combine"):
            verify.block_bootstrap(cases.to_dataset(name="a"), dim="start")
        with pytest.raises(UsageError, match="level"):
            verify.block_bootstrap(cases, dim="start", level=1.0)


class TestObjects:
    def test_pixel_scores_are_scikit_learns(self) -> None:
        rng = np.random.default_rng(0)
        score = np.round(rng.random((20, 30)), 2)
        truth = rng.random((20, 30)) < score**3
        said = score > 0.7
        np.testing.assert_allclose(verify.iou(said, truth), jaccard_score(truth.ravel(), said.ravel()))
        np.testing.assert_allclose(verify.f1(said, truth), f1_score(truth.ravel(), said.ravel()))
        np.testing.assert_allclose(
            verify.pr_auc(score, truth), average_precision_score(truth.ravel(), score.ravel()), rtol=1e-12
        )
        empty = np.zeros_like(truth)
        assert np.isnan(verify.iou(empty, empty))
        assert np.isnan(verify.pr_auc(score, empty))
        assert verify.iou(said, empty) == verify.f1(said, empty) == 0

    def test_masks_are_checked(self) -> None:
        with pytest.raises(InputError, match="different shapes"):
            verify.iou(np.zeros((2, 3)), np.zeros((3, 2)))
        with pytest.raises(InputError, match="forecast"):
            verify.f1(np.full((2, 2), 0.3), np.zeros((2, 2)))
        with pytest.raises(InputError, match="NaN"):
            verify.pr_auc(np.full((2, 2), np.nan), np.ones((2, 2)))

    def test_objects_match_once_from_the_best_overlap_on(self) -> None:
        said, done = np.zeros((20, 20), bool), np.zeros((20, 20), bool)
        done[2:6, 2:6] = True  # found exactly
        said[2:6, 2:6] = True
        done[10:14, 2:6] = True  # found half
        said[10:14, 4:8] = True
        said[15:19, 15:19] = True  # false alarm
        done[2:4, 12:16] = True  # missed
        match = verify.match_objects(said, done, threshold=0.3)
        assert (match.forecast, match.observed) == (3, 3)
        assert match.pairs.tolist() == [[0, 0], [1, 2]]
        np.testing.assert_allclose([match.precision, match.recall, match.f1], 2 / 3)
        np.testing.assert_allclose(match.weighted_recall([5, 3, 2]), 0.7)
        assert len(verify.match_objects(said, done, threshold=0.34).pairs) == 1
        with pytest.raises(UsageError, match="one weight"):
            match.weighted_recall([1.0])

    def test_two_forecasts_on_one_object_count_once(self) -> None:
        done = np.ones((4, 9), bool)
        said = done.copy()
        said[:, 6] = False
        match = verify.match_objects(said, done, threshold=0.1)
        assert match.pairs.tolist() == [[0, 0]]
        np.testing.assert_allclose(match.precision, 0.5)

    def test_points_match_from_the_closest_pair_on(self) -> None:
        ours, theirs = [[0.0, 0], [150, 0], [900, 0]], [[100.0, 0], [0, 0], [500, 500]]
        match = verify.match_points(ours, theirs, distance=200)
        assert match.pairs.tolist() == [[0, 1], [1, 0]]
        assert verify.match_points(np.empty((0, 2)), theirs, distance=200).recall == 0
        with pytest.raises(InputError, match="no coordinates"):
            verify.match_points([[np.nan, 0]], theirs, distance=200)
