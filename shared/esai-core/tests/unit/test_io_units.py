from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from esai_core.errors import InputError
from esai_core.io import check_plausible, check_units, convert_units, standard_units
from esai_core.io.units import conversion, normalise_units


def field(values, units=None, name="t2m"):
    attrs = {} if units is None else {"units": units}
    return xr.DataArray(np.asarray(values, dtype="float32"), dims="x", attrs=attrs, name=name)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("celsius", "degC"),
        ("°C", "degC"),
        ("Kelvin", "K"),
        ("W m**-2", "W m-2"),
        ("kg m**-2 s**-1", "kg m-2 s-1"),
        ("kg m-2 s-1", "kg m-2 s-1"),
        ("m**2 s**-2", "m2 s-2"),
        ("mm/day", "mm day-1"),
        ("(0 - 1)", "1"),
        ("m of water equivalent", "m"),
        ("degrees_north", "degrees_north"),
        ("days since 1970-01-01", "days since 1970-01-01"),
    ],
)
def test_one_spelling(given, expected):
    assert normalise_units(given) == expected
    assert normalise_units(expected) == expected


@pytest.mark.parametrize(
    ("source", "target", "value", "expected"),
    [
        ("degC", "K", 20.0, 293.15),
        ("K", "degC", 300.0, 26.85),
        ("degF", "degC", 212.0, 100.0),
        ("m", "mm", 0.002, 2.0),
        ("hPa", "Pa", 1013.25, 101325.0),
        ("kg m-2 s-1", "mm day-1", 1.0, 86400.0),
        ("mm day-1", "kg m-2 s-1", 86400.0, 1.0),
        ("kg m-2", "m", 5.0, 0.005),
        ("J m**-2", "kJ m-2", 2000.0, 2.0),
        ("%", "1", 40.0, 0.4),
        ("ug m-3", "kg m-3", 1e9, 1.0),
    ],
)
def test_conversions_known_by_hand(source, target, value, expected):
    factor, offset = conversion(source, target)
    assert factor * value + offset == pytest.approx(expected, rel=1e-12)


def test_conversion_keeps_dtype_lazy_arrays_and_attributes():
    da = field([0.0, 10.0], "celsius").assign_attrs(long_name="x").chunk({"x": 1})
    out = convert_units(da, "K")
    assert out.chunks == da.chunks
    assert out.dtype == "float32"
    assert out.attrs == {"units": "K", "long_name": "x"}
    np.testing.assert_allclose(out, [273.15, 283.15], rtol=1e-6)


def test_units_that_do_not_convert_are_refused_with_the_variable():
    with pytest.raises(InputError, match="t2m: cannot convert units 'Pa' to 'K'"):
        convert_units(field([1.0], "Pa"), "K")
    with pytest.raises(InputError, match="'furlongs/fortnightt' are not understood"):
        conversion("furlongs/fortnightt", "m")


def test_missing_units_show_the_evidence():
    with pytest.raises(InputError, match=r"t2m has no units \(its values run from 271.5 to 300\)"):
        convert_units(field([271.5, 300.0]), "K")


def test_grib_units_stand_in():
    da = field([280.0, 290.0]).assign_attrs(GRIB_units="K", units="unknown")
    assert check_units(da.assign_attrs(units=None), "temperature") == "K"
    with pytest.raises(InputError, match="no units"):
        check_units(field([280.0]).assign_attrs(units="unknown"), "temperature")


@pytest.mark.parametrize(
    ("values", "units", "kind", "looks"),
    [
        ([-5.0, 31.0], "K", "temperature", "degC"),
        ([271.0, 305.0], "degC", "temperature", "K"),
        ([990.0, 1030.0], "Pa", "pressure", "hPa"),
        ([0.0, 55.0], "m", "precipitation", "mm"),
        ([0.0, 95.0], "1", "fraction", "%"),
    ],
)
def test_values_that_cannot_be_in_their_units(values, units, kind, looks):
    with pytest.raises(InputError, match=f"wrong units.*which look like {looks}.*set its attribute"):
        check_plausible(field(values, units, name="v"), kind)


@pytest.mark.parametrize(
    ("values", "units", "kind"),
    [
        ([-5.0, 31.0], "degC", "temperature"),
        ([200.0, 310.0], "K", "temperature"),
        ([0.0, 3e-3], "kg m-2 s-1", "precipitation"),
        ([0.0, 80.0], "mm day-1", "precipitation"),
        ([0.0, 0.4], "m", "precipitation"),
        ([np.nan, 0.3], "1", "fraction"),
    ],
)
def test_plausible_values_pass(values, units, kind):
    check_plausible(field(values, units, name="v"), kind)


def test_negative_rain_and_all_missing_are_refused():
    with pytest.raises(InputError, match="wrong units: v has units 'mm' but values from -20 to 5"):
        check_plausible(field([-20.0, 5.0], "mm", name="v"), "precipitation")
    with pytest.raises(InputError, match="all are missing"):
        check_plausible(field([np.nan, np.nan], "K"), "temperature")
    with pytest.raises(InputError, match="'Pa', which is no temperature"):
        check_plausible(field([280.0], "Pa"), "temperature")


def test_a_wrong_block_deep_in_a_large_array_is_in_the_sample():
    values = np.full((400, 60, 60), 285.0, dtype="float32")
    values[200:] -= 273.15
    da = xr.DataArray(values, dims=("time", "y", "x"), attrs={"units": "K"}, name="t2m")
    with pytest.raises(InputError, match="wrong units"):
        check_plausible(da, "temperature")


@pytest.mark.parametrize(
    ("name", "values", "units", "expected", "to"),
    [
        ("tas", [-10.0, 30.0], "celsius", [263.15, 303.15], "K"),
        ("psl", [990.0, 1020.0], "hPa", [99000.0, 102000.0], "Pa"),
        ("pr", [0.0, 1e-4], "kg m-2 s-1", [0.0, 8.64], "mm day-1"),
        ("tp", [0.0, 0.02], "m", [0.0, 20.0], "mm"),
        ("unheard_of", [1.0, 2.0], "furlong", [1.0, 2.0], "furlong"),
    ],
)
def test_the_units_of_the_suite(name, values, units, expected, to):
    out = standard_units(field(values, units, name=name))
    np.testing.assert_allclose(out, expected, rtol=1e-6)
    assert out.attrs["units"] == to


def test_the_units_of_the_suite_are_not_given_to_implausible_values():
    with pytest.raises(InputError, match="wrong units"):
        standard_units(field([-10.0, 30.0], "K"), "t2m")
