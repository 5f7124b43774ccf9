"""Curves from counts against those of the core, and their intervals."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from esai_core.verify import auc as exact_auc
from esai_core.verify import reliability
from esai_s2s.curves import drawn_blocks, reliability_curve, roc_curve
from esai_s2s.tally import _curves


def cases(seed: int = 0, winters: int = 12) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return probabilities (n, cells, 3), categories and blocks of a forecast that is reliable."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet([2, 2, 2], (30 * winters, 2))
    codes = (rng.random(shares.shape[:2])[..., None] > shares.cumsum(-1)).sum(-1).astype(float)
    codes[::13, 1] = np.nan
    return shares, codes, np.repeat(np.arange(winters), 30)


def counted(seed: int = 0, category: int = 0) -> xr.Dataset:
    shares, codes, blocks = cases(seed)
    found = _curves(codes, shares, np.ones(2), blocks, 12)
    names = ("known", "chance", "happened", "number")
    return xr.Dataset({n: (("block_label", "bin"), v[category]) for n, v in zip(names, found, strict=True)})


def test_reliability_and_roc_are_those_of_single_cases() -> None:
    shares, codes, _ = cases()
    dims = ("start", "cell")
    p = xr.DataArray(shares[..., 0], dims=dims)
    event = xr.DataArray((codes == 0).astype(float), dims=dims).where(
        xr.DataArray(~np.isnan(codes), dims=dims)
    )
    draws = drawn_blocks(12, samples=50)
    ours, theirs = reliability_curve(counted(), draws), reliability(p, event)
    for name in ("forecast", "observed", "count"):
        np.testing.assert_allclose(ours[name], theirs[name], atol=1e-12)
    assert float(roc_curve(counted(), draws)["auc"]) == pytest.approx(float(exact_auc(p, event)), abs=5e-4)


def test_roc_of_two_steps_by_hand() -> None:
    """Of 4 events 3 are warned of, of 8 others 2: the area is (3 * 6 + (3 * 2 + 1 * 6) / 2) / 32."""
    known, happened = np.zeros((1, 200)), np.zeros((1, 200))
    known[0, 150], happened[0, 150] = 5, 3
    known[0, 20], happened[0, 20] = 7, 1
    counts = xr.Dataset(
        {n: (("block_label", "bin"), v) for n, v in {"known": known, "happened": happened}.items()}
    )
    curve = roc_curve(counts, drawn_blocks(1, samples=3))
    assert float(curve["auc"]) == pytest.approx((18 + 6) / 32)
    at = curve["hits"].values[np.isclose(curve["false_alarms"], 0.26)]
    assert at == pytest.approx(0.75 + 0.25 * 0.01 / 0.75, abs=1e-9)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """A reliable forecast has observed = forecast: 90 % intervals of whole blocks cover it in most bins."""
    draws = drawn_blocks(12, samples=300)
    inside, of = 0, 0
    for seed in range(12):
        curve = reliability_curve(counted(seed), draws)
        some = (curve["count"] > 40) & curve["lower"].notnull()
        hit = (curve["lower"] <= curve["forecast"]) & (curve["forecast"] <= curve["upper"])
        inside += int((hit & some).sum())
        of += int(some.sum())
        rate = roc_curve(counted(seed), draws)
        assert float(rate["auc_lower"]) < float(rate["auc"]) < float(rate["auc_upper"])
    assert of > 50
    assert 0.75 < inside / of < 0.99


def test_blocks_that_agree_leave_no_interval() -> None:
    shares, codes, _ = cases()
    one = _curves(codes[:30], shares[:30], np.ones(2), np.zeros(30, dtype=int), 1)
    names = ("known", "chance", "happened", "number")
    same = xr.Dataset(
        {n: (("block_label", "bin"), np.repeat(v[0], 4, axis=0)) for n, v in zip(names, one, strict=True)}
    )
    curve = reliability_curve(same, drawn_blocks(4, samples=40))
    np.testing.assert_allclose(curve["lower"].dropna("bin"), curve["upper"].dropna("bin"), atol=1e-12)
