"""Configs: examples, the template, and what a config may not say."""

from __future__ import annotations

import re
from importlib.metadata import requires
from pathlib import Path

import pytest

from esai_core.config import dump_toml, load_config, validate_config
from esai_core.errors import UsageError
from esai_s2s import S2sConfig

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_examples_are_valid_and_say_the_same_when_written_again(tmp_path: Path) -> None:
    if not EXAMPLES.is_dir():
        pytest.skip("the examples are not beside the tests")
    found = sorted(EXAMPLES.glob("*.toml"))
    assert len(found) >= 4
    for path in found:
        config = load_config(path, S2sConfig)
        (tmp_path / path.name).write_text(dump_toml(config))
        assert load_config(tmp_path / path.name, S2sConfig) == config


def test_one_file_or_a_table_of_models(tmp_path: Path) -> None:
    data = {"observations": "o.nc", "variables": ["x"], "forecast": {"a": "a.nc", "b": "b.nc"}}
    config = validate_config({"data": data}, S2sConfig, folder=tmp_path)
    assert list(config.data.models) == ["a", "b"]
    one = validate_config({"data": {**data, "forecast": "a.nc"}}, S2sConfig, folder=tmp_path)
    assert one.data.models == {"forecast": tmp_path / "a.nc"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"variables": ["x"]}, "give observations, or the table synthetic"),
        ({"variables": ["x"], "observations": "o.nc", "synthetic": {}}, "give observations"),
        ({"variables": ["x"], "synthetic": {}, "forecast": "f.nc"}, "leave out forecast"),
        ({"variables": ["x", "x"], "observations": "o.nc"}, "named twice"),
        ({"variables": ["x"], "observations": "o.nc", "windows": {"a": [9, 2]}}, "no range of days"),
        (
            {"variables": ["x"], "observations": "o.nc", "forecast": {"a": "a.nc"}, "live": {"b": "b.nc"}},
            "models that forecast lacks: it has a",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(data: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        validate_config({"data": data}, S2sConfig)


def test_the_environment_holds_no_library_of_networks() -> None:
    """Neither the package nor what it takes of the core, with any extra, asks for TensorFlow."""
    pattern = re.compile(r"([\w-]+)(?:\[([^]]*)\])?[^;]*(?:.*extra == [\"']([^\"']+))?")
    ours = [match.groups() for text in requires("esai-s2s") or () if (match := pattern.match(text))]
    extras = {extra for name, given, _ in ours if name == "esai-core" for extra in (given or "").split(",")}
    core = [match.groups() for text in requires("esai-core") or () if (match := pattern.match(text))]
    chosen = {name for name, _, extra in core if extra is None or extra in extras}
    assert {"numba", "xarray", "zarr"} <= chosen
    assert not {"tensorflow", "keras", "torch", "jax"} & (chosen | {name for name, *_ in ours})
