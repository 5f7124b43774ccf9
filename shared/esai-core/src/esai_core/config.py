"""Configs: frozen pydantic models, read from TOML, with errors that name file, key, value and remedy.

A package subclasses `Config` for its file and `Section` for the tables in it::

    class Data(Section):
        hindcast: DataPath
        variable: str = "t2m"


    class SeasonalConfig(Config):
        data: Data

`load_config` reads a file, lays ``--set key.path=value`` over it and validates; `dump_toml` writes a config
such that reading it gives an equal one. Nothing is interpolated. Relative paths of `DataPath` keys are looked
for beside the config file, then under the folder named by the environment variable ``ESAI_DATA`` (and those
given with ``--set`` in the working directory first), and may climb (``../data``). The config of a run folder,
which a run writes with its paths in full and which may come from a stranger, does not climb out of it.
Whether a path exists is asked when it is used (or by ``config check``): see `missing_path` and `input_paths`.
"""

from __future__ import annotations

import os
import tomllib
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, ValidationInfo

from esai_core import toml
from esai_core._explain import Typed, explain
from esai_core.errors import EsaiError, InputError, UsageError

__all__ = [
    "Config",
    "DataPath",
    "Section",
    "apply_overrides",
    "data_root",
    "dump_toml",
    "input_paths",
    "json_schema",
    "load_config",
    "missing_path",
    "validate_config",
]

_LOOKED: dict[Path, tuple[Path, ...]] = {}  # DataPaths that were not found, and where they were looked for


class Section(BaseModel):
    """A table of a config: frozen, refuses unknown keys and numbers that are not finite."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True, use_attribute_docstrings=True
    )


class Config(Section):
    """A whole config file.

    Attributes
    ----------
    schema_version : int
        Version of the layout of the file.
    schema_versions : tuple of int
        Versions that this class reads.
    """

    schema_versions: ClassVar[tuple[int, ...]] = (1,)

    schema_version: int = 1


C = TypeVar("C", bound=Config)


def data_root() -> Path | None:
    """Give the folder that ``ESAI_DATA`` names, if it is set."""
    text = os.environ.get("ESAI_DATA", "").strip()
    return Path(text).expanduser().absolute() if text else None


def _locate(value: Any, info: ValidationInfo) -> Any:
    """Resolve a relative path against the config's folder, else ``ESAI_DATA``."""
    if not isinstance(value, (str, os.PathLike)):
        return value
    text = os.fspath(value)
    if not text:
        raise ValueError("the path is empty")
    path = Path(text).expanduser()
    if path.is_absolute():
        return path
    folder = (info.context or {}).get("folder", Path.cwd())
    climbs = Path(os.path.normpath(path)).parts[:1] == ("..",)
    if climbs and not isinstance(value, Typed) and (folder / "manifest.json").exists():
        raise ValueError(
            f"{text} leads out of the run folder, which names its inputs in full; type it with --set if meant"
        )
    roots = [Path.cwd(), folder] if isinstance(value, Typed) else [folder]
    roots += [root] if (root := data_root()) else []
    places = tuple(dict.fromkeys(Path(os.path.normpath(root / path)) for root in roots))
    for place in places:
        if place.exists():
            return place
    _LOOKED[places[0]] = places
    return places[0]


DataPath = Annotated[Path, BeforeValidator(_locate)]
"""A file or folder to read: relative to the config file's folder, else to ``ESAI_DATA``."""


def missing_path(path: str | Path, *, key: str | None = None) -> InputError:
    """Make the error for an input that does not exist, telling every place it was looked for.

    Parameters
    ----------
    path : path
        As it stands in the config (resolved).
    key : str, optional
        The config key that holds it.

    Returns
    -------
    InputError
        To be raised by the caller.
    """
    places = _LOOKED.get(Path(path), (Path(path),))
    also = [str(place) for place in places[1:]]
    remedy = f"also looked for {' and '.join(also)}" if also else None
    if Path(path) in _LOOKED and data_root() is None:
        remedy = "relative paths are looked for beside the config, then under ESAI_DATA, which is not set"
    where = f"{key} = {places[0]}" if key else places[0]
    return InputError("no such file", where=where, remedy=remedy)


def input_paths(config: BaseModel) -> dict[str, Path]:
    """List the `DataPath` values of a config.

    Parameters
    ----------
    config : BaseModel
        A validated config or section.

    Returns
    -------
    dict of str to Path
        Dotted key to resolved path, for the keys that are set; whether they exist is not asked.
    """
    found: dict[str, Path] = {}

    def walk(value: Any, is_input: bool, key: str) -> None:
        if isinstance(value, BaseModel):
            for name, field in type(value).model_fields.items():
                marked = _holds_data_path(field.annotation) or any(
                    isinstance(mark, BeforeValidator) and mark.func is _locate for mark in field.metadata
                )
                walk(getattr(value, name), marked, f"{key}.{name}" if key else name)
        elif isinstance(value, Mapping):
            for name, item in value.items():
                walk(item, is_input, f"{key}.{name}")
        elif isinstance(value, (list, tuple, set, frozenset)):
            for number, item in enumerate(value):
                walk(item, is_input, f"{key}.{number}")
        elif isinstance(value, Path) and is_input:
            found[key] = value

    walk(config, False, "")
    return found


def _holds_data_path(annotation: Any) -> bool:
    return annotation is DataPath or any(map(_holds_data_path, typing.get_args(annotation)))


def load_config(path: str | Path, model: type[C], *, overrides: Sequence[str] = ()) -> C:
    """Read and validate a config file.

    Parameters
    ----------
    path : path
        A TOML file, or a run folder (its ``config.toml`` is read).
    model : type
        The package's subclass of `Config`.
    overrides : sequence of str
        ``key.path=value``, laid over the file in this order; the value is TOML, else a plain string.

    Returns
    -------
    Config
        An instance of `model`.

    Raises
    ------
    UsageError
        If the file is missing or no TOML, if a key is unknown or missing, or a value is refused.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "config.toml"
    data = apply_overrides(_read_toml(path), overrides)
    return validate_config(data, model, folder=path.absolute().parent, where=path, overrides=overrides)


def validate_config(
    data: Mapping[str, Any],
    model: type[C],
    *,
    folder: Path | None = None,
    where: object = None,
    overrides: Sequence[str] = (),
) -> C:
    """Validate the tables of a config that is already in memory.

    Parameters
    ----------
    data : mapping
        Nested tables, as ``tomllib`` gives them.
    model : type
        The package's subclass of `Config`.
    folder : Path, optional
        Where relative paths start; the working directory by default.
    where : object, optional
        Named in errors.
    overrides : sequence of str
        Already laid over `data`; errors in these keys name ``--set`` instead of `where`.

    Returns
    -------
    Config
        An instance of `model`.

    Raises
    ------
    UsageError
        If a key is unknown or missing, or a value is refused.
    """
    version = data.get("schema_version", 1)
    if type(version) is int and version not in model.schema_versions:
        read = ", ".join(map(str, model.schema_versions))
        raise UsageError(
            f"config has schema_version {version}",
            where=where,
            remedy=f"this version reads {read}: adapt the config, or install the release it was written for",
        )
    try:
        return model.model_validate(data, context={"folder": folder or Path.cwd()})
    except ValidationError as error:
        set_keys = [text.partition("=")[0].strip() for text in overrides]
        raise explain(error, model, where, set_keys) from None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8"))
    except FileNotFoundError:
        raise UsageError("no such config", where=path, remedy="write one with the verb init") from None
    except IsADirectoryError:
        raise UsageError("this is a folder, not a config", where=path) from None
    except UnicodeDecodeError:
        raise UsageError("the config is not UTF-8 text", where=path, remedy="name a TOML file") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"not valid TOML: {error}", where=path) from None
    except OSError as error:
        raise UsageError(f"cannot read the config: {error.strerror}", where=path) from None


def apply_overrides(data: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Lay ``key.path=value`` texts over the tables of a config.

    Parameters
    ----------
    data : mapping
        Nested tables; not changed.
    overrides : sequence of str
        Each ``key.path=value``. The value is read as TOML (``3``, ``true``, ``[1981, 1999]``), and is a
        plain string where it is none (``tas.nc``).

    Returns
    -------
    dict
        New nested tables.

    Raises
    ------
    UsageError
        If a text has no ``=`` or its path runs through a value that is no table.
    """
    result = dict(data)
    for text in overrides:
        key, equals, value = text.partition("=")
        parts = [part.strip() for part in key.split(".")]
        if not equals or not all(parts):
            raise UsageError(
                "cannot read an override", where=f"--set {text}", remedy="write --set key.path=value"
            )
        table = result
        for part in parts[:-1]:
            inner = table.get(part, {})
            if not isinstance(inner, Mapping):
                raise UsageError(f"{part!r} is a value, not a table", where=f"--set {text}")
            table[part] = dict(inner)
            table = table[part]
        table[parts[-1]] = _parse_value(value.strip())
    return result


def _parse_value(text: str) -> Any:
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return Typed(text)
    return _typed(parsed["value"]) if set(parsed) == {"value"} else Typed(text)


def _typed(value: Any) -> Any:
    if isinstance(value, str):
        return Typed(value)
    if isinstance(value, list):
        return [_typed(item) for item in value]
    if isinstance(value, dict):
        return {key: _typed(item) for key, item in value.items()}
    return value


def dump_toml(config: BaseModel, *, comments: bool = False) -> str:
    """Write a config as TOML, defaults included and paths as they were resolved.

    Parameters
    ----------
    config : BaseModel
        A validated config.
    comments : bool, default False
        Put the description of each key, where it has one, on the line above it.

    Returns
    -------
    str
        Text that gives an equal config when read.

    Raises
    ------
    EsaiError
        If reading the text would not give an equal config (a key whose value is None and whose default is
        not: TOML has no null).
    """
    text = toml.dumps(config.model_dump(mode="python"), describe=_descriptions(config) if comments else None)
    again = type(config).model_validate(tomllib.loads(text))
    if again != config:
        lost = [name for name in type(config).model_fields if getattr(again, name) != getattr(config, name)]
        raise EsaiError("a config that cannot be written as TOML", where=", ".join(lost))
    return text


def _descriptions(config: BaseModel, prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for name, field in type(config).model_fields.items():
        if field.description:
            found[prefix + name] = field.description
        value = getattr(config, name)
        if isinstance(value, BaseModel):
            found |= _descriptions(value, f"{prefix}{name}.")
    return found


def json_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Give the JSON schema of a config class (for editors and the docs)."""
    return model.model_json_schema()
