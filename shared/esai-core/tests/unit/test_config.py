from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field

from esai_core.config import (
    Config,
    DataPath,
    Section,
    apply_overrides,
    dump_toml,
    input_paths,
    json_schema,
    load_config,
    missing_path,
)
from esai_core.errors import EsaiError, UsageError


class Linear(Section):
    kind: Literal["linear"]
    slope: float = 1.0


class Forest(Section):
    kind: Literal["forest"]
    trees: int = 100


class Data(Section):
    hindcast: DataPath
    """The forecasts."""
    others: tuple[DataPath, ...] = ()
    by_name: dict[str, DataPath] = Field(default_factory=dict)
    maybe: DataPath | None = None
    note: str = ""


class Example(Config):
    data: Data
    models: tuple[Linear | Forest, ...] = ()
    years: tuple[int, int] = (1981, 1999)


@pytest.fixture
def write(tmp_path: Path):
    def put(text: str) -> Path:
        path = tmp_path / "config.toml"
        path.write_text(text)
        return path

    return put


def error_of(path: Path, *overrides: str) -> str:
    with pytest.raises(UsageError) as caught:
        load_config(path, Example, overrides=overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_mistyped_key_comes_first_with_its_near_match(write) -> None:
    path = write("[data]\nhindcst = 'a.nc'\n")
    assert error_of(path) == f"unknown key 'data.hindcst' (and 1 more) ({path}); did you mean 'hindcast'?"


def test_a_mistyped_key_in_a_list_of_unions(write) -> None:
    text = error_of(write("[data]\nhindcast = 'a'\n[[models]]\nkind = 'forest'\ntres = 5\n"))
    assert "unknown key 'models.0.tres'" in text
    assert "did you mean 'trees'?" in text


def test_no_branch_of_a_union_fits(write) -> None:
    text = error_of(write("[data]\nhindcast = 'a'\n[[models]]\nkind = 'forrest'\ntrees = 5\n"))
    assert "models.0.kind = 'forrest'" in text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[data]\n", "missing key 'data.hindcast'"),
        ("[data]\nhindcast = 3\n", "data.hindcast = 3"),
        ("[data]\nhindcast = ''\n", "the path is empty"),
        ("years = [1981]\n[data]\nhindcast = 'a'\n", "years"),
        ("years = 1e999\n", "years"),
        ("schema_version = 2\n", "schema_version 2"),
        ("schema_version = 'x'\n[data]\nhindcast='a'\n", "schema_version = 'x'"),
        ("[data\n", "not valid TOML"),
    ],
)
def test_what_is_refused(write, text: str, words: str) -> None:
    path = write(text)
    message = error_of(path)
    assert words in message
    assert str(path) in message


def test_not_a_number_is_no_config_value(write) -> None:
    path = write("[data]\nhindcast='a'\n[[models]]\nkind='linear'\nslope = nan\n")
    assert "models.0.slope = nan: input should be a finite number" in error_of(path)


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    assert "no such config" in error_of(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes("note = 'é'".encode("latin-1"))
    assert "not UTF-8" in error_of(tmp_path / "latin.toml")


def test_overrides_are_toml_or_plain_text(write) -> None:
    path = write("[data]\nhindcast = 'a.nc'\n")
    config = load_config(path, Example, overrides=["years=[1990, 2000]", "data.note=two words = ok"])
    assert config.years == (1990, 2000)
    assert config.data.note == "two words = ok"


def test_overrides_do_not_change_what_they_are_laid_over() -> None:
    data = {"a": {"b": 1}}
    assert apply_overrides(data, ["a.b=2", "c.d.e=true"]) == {"a": {"b": 2}, "c": {"d": {"e": True}}}
    assert data == {"a": {"b": 1}}


@pytest.mark.parametrize("text", ["years", "=3", "a..b=3", "data.hindcast.x=3"])
def test_overrides_that_cannot_be_read(write, text: str) -> None:
    assert "--set" in error_of(write("[data]\nhindcast = 'a.nc'\n"), text)


def test_an_error_in_an_override_names_it(write) -> None:
    assert "(--set years.0)" in error_of(write("[data]\nhindcast='a'\n"), "years=['x', 3]")


def test_paths_are_looked_for_beside_the_config_then_under_esai_data(
    write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "sub" / "a.nc").touch()
    path = write("[data]\nhindcast = 'sub/a.nc'\n")
    monkeypatch.setenv("ESAI_DATA", str(root))
    assert load_config(path, Example).data.hindcast == root / "sub" / "a.nc"
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.nc").touch()
    assert load_config(path, Example).data.hindcast == tmp_path / "sub" / "a.nc"


def test_a_missing_input_tells_every_place(write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESAI_DATA", str(tmp_path / "root"))
    config = load_config(write("[data]\nhindcast = 'b.nc'\n"), Example)
    text = str(missing_path(config.data.hindcast, key="data.hindcast"))
    assert f"data.hindcast = {tmp_path / 'b.nc'}" in text
    assert str(tmp_path / "root" / "b.nc") in text
    monkeypatch.delenv("ESAI_DATA")
    assert "ESAI_DATA, which is not set" in str(missing_path(config.data.hindcast))


def test_a_path_on_the_command_line_starts_in_the_working_directory(
    write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    for folder in (here, tmp_path):
        (folder / "new.nc").touch()
    monkeypatch.chdir(here)
    path = write("[data]\nhindcast = 'new.nc'\n")
    assert load_config(path, Example).data.hindcast == tmp_path / "new.nc"
    assert load_config(path, Example, overrides=["data.hindcast=new.nc"]).data.hindcast == here / "new.nc"
    assert load_config(path, Example, overrides=["data.others=['new.nc']"]).data.others == (here / "new.nc",)


def test_input_paths_lists_every_data_path(write, tmp_path: Path) -> None:
    text = "[data]\nhindcast='a'\nothers=['b','c']\nby_name.x='d'\nmaybe='e'\nnote='f'\n"
    found = input_paths(load_config(write(text), Example))
    assert {key: path.name for key, path in found.items()} == {
        "data.hindcast": "a",
        "data.others.0": "b",
        "data.others.1": "c",
        "data.by_name.x": "d",
        "data.maybe": "e",
    }
    assert all(path.is_absolute() for path in found.values())


def test_a_dumped_config_reads_back_equal_from_anywhere(write, tmp_path: Path) -> None:
    config = load_config(write("[data]\nhindcast='a'\n[[models]]\nkind='forest'\n"), Example)
    (tmp_path / "elsewhere").mkdir()
    other = tmp_path / "elsewhere" / "config.toml"
    other.write_text(dump_toml(config, comments=True))
    assert "# The forecasts." in other.read_text()
    assert load_config(other, Example) == config
    assert load_config(other.parent, Example) == config
    assert tomllib.loads(dump_toml(config))["models"] == [{"kind": "forest", "trees": 100}]


def test_a_config_that_toml_cannot_hold_is_refused() -> None:
    class Odd(Config):
        limit: int | None = 5

    with pytest.raises(EsaiError, match="limit"):
        dump_toml(Odd(limit=None))


def test_configs_are_frozen(write) -> None:
    config = load_config(write("[data]\nhindcast='a'\n"), Example)
    with pytest.raises(ValueError, match="frozen"):
        config.years = (1, 2)


def test_the_schema_lists_keys_and_refuses_others() -> None:
    schema = json_schema(Example)
    assert set(schema["properties"]) == {"schema_version", "data", "models", "years"}
    assert schema["additionalProperties"] is False
