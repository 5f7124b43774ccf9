"""Models in the ``.keras`` format: written whole or not at all, read in Keras's safe mode."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path, PurePosixPath

from esai_core.errors import InputError, UsageError
from esai_core.io.atomic import atomic_path
from esai_core.nn import (
    backbones,
    blocks,
    conservation,
    discriminators,
    inpainting,
    layers,
    members,
    recurrent,
)
from esai_core.nn._keras import keras

__all__ = ["load", "save"]

_LAYERS = (
    backbones,
    blocks,
    conservation,
    discriminators,
    inpainting,
    layers,
    members,
    recurrent,
)  # imported so that their layers are registered


def save(model: keras.Model, path: str | Path) -> None:
    """Write a model to a ``.keras`` file.

    Parameters
    ----------
    model : keras.Model
        Any model; the layers of `esai_core.nn` need nothing further to be read again.
    path : path
        Ends with ``.keras``; an earlier file is replaced once the new one is whole.

    Raises
    ------
    UsageError
        For another ending.
    EsaiError
        If the disk is full or the place cannot be written.
    """
    path = Path(path)
    if path.suffix != ".keras":
        raise UsageError("a model is saved in a .keras file", where=path)
    with atomic_path(path) as partial, warnings.catch_warnings():
        # Keras 3.15 copies TensorFlow variables in a way that NumPy 2 deprecates; values are not concerned.
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        model.save(partial)


def load(path: str | Path) -> keras.Model:
    """Read a model that `save` wrote; no code from the file is run.

    Parameters
    ----------
    path : path
        A ``.keras`` file.

    Returns
    -------
    keras.Model

    Raises
    ------
    InputError
        If there is no such file, or it is truncated or no model.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError("no such model", where=path)
    if path.suffix != ".keras" or not zipfile.is_zipfile(path):  # older formats know no safe mode
        raise InputError("not a .keras file", where=path, remedy="give a file that esai_core.nn.save wrote")
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise InputError(
                    f"{name} leads out of the archive", where=path, remedy="do not use this file"
                )
    try:
        return keras.saving.load_model(path, safe_mode=True, compile=False)
    except (ValueError, KeyError, OSError, TypeError) as error:
        raise InputError(f"not a model that can be read: {str(error)[:200]}", where=path) from error
