"""The folder of one run: written beside its final place, renamed when whole, and able to be repeated.

manifest.json
-------------
``schema_version`` 1 · ``package``, ``version`` · ``command`` (the words typed) · ``created``, ``finished``
(UTC) · ``seed`` · ``steps`` ``[{"step", "config" (TOML; null: that of config.toml), "options", "stages"}]``
· ``inputs`` ``[{"path", "size", "sha256"}]`` · ``outputs`` ``{NAME: {"step", "sha256" (null: may vary)}}`` ·
``packages`` ``{DISTRIBUTION: version}`` · ``host`` · ``timings_s`` ``{STAGE: seconds}`` ·
``peak_memory_bytes`` · ``varies`` (patterns of outputs that are not compared).
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from esai_core.errors import EsaiError, UsageError, from_os_error
from esai_core.runs import history
from esai_core.runs import record as notes
from esai_core.runs.digests import outputs
from esai_core.runs.manifest import describe_input, peak_memory, read_manifest
from esai_core.runs.metrics import check_metrics
from esai_core.runs.swap import copy_tree, exclusive, partial_of, recover, replace_folder, sync_tree

__all__ = ["RunFolder"]

log = logging.getLogger(__name__)

_OWN = {"manifest.json", "config.toml", notes.STATE}


class RunFolder:
    """A run folder while it is being written. Open one with `create` or `extend`.

    Attributes
    ----------
    folder : Path
        The final place.
    partial : Path
        Where the files are until the run is whole; `path` and `find` look here.
    seed : int
        From the config.
    resume : bool
        Whether `checkpoints` may hold what an interrupted run left.
    workers : int or None
        Value of ``--workers``.
    cluster : str or None
        Value of ``--cluster``.
    options : dict
        Arguments of an extra verb.
    """

    def __init__(self, folder: Path, record: dict[str, Any]) -> None:
        self.folder = folder
        self.partial = partial_of(folder)
        self.record = record
        self.resume = False
        self.workers: int | None = None
        self.cluster: str | None = None
        self.options: dict[str, Any] = {}
        self._open: list[str] = []
        self._timed: list[str] = []

    # ---- opening -------------------------------------------------------------------------------------

    @classmethod
    @contextlib.contextmanager
    def create(
        cls,
        folder: str | Path,
        *,
        package: str = "esai-core",
        command: Sequence[str] = (),
        overwrite: bool = False,
        resume: bool = False,
    ) -> Iterator[RunFolder]:
        """Write a new run folder; it appears at `folder` when the context ends well.

        Parameters
        ----------
        folder : path
            Final place.
        package : str
            Distribution that makes the run.
        command : sequence of str
            What was typed, for the manifest.
        overwrite : bool, default False
            Replace an earlier run folder, at the end and at once.
        resume : bool, default False
            Go on with what an interrupted run left.

        Yields
        ------
        RunFolder

        Raises
        ------
        UsageError
            If `folder` exists and `overwrite` is false, or is no run folder, or another process writes it.
        """
        folder = Path(folder).expanduser().resolve()
        notes.check_place(folder, overwrite)
        with exclusive(folder):
            recover(folder)
            notes.check_place(folder, overwrite)
            left = notes.left_over(partial_of(folder))
            if left is not None and resume:
                run = cls(folder, left)
                run.resume = True
                log.info(
                    "resuming: %s", ", ".join(run.done) + " done" if run.done else "from its checkpoints"
                )
            else:
                if left is not None:
                    log.warning("an interrupted run is discarded (--resume would have gone on with it)")
                run = cls(folder, notes.new_record(package, command))
                notes.clear(run.partial)
                run.partial.mkdir(parents=True)
            with run._until_whole():
                yield run

    @classmethod
    @contextlib.contextmanager
    def extend(
        cls, source: str | Path, *, out: str | Path | None = None, overwrite: bool = False
    ) -> Iterator[RunFolder]:
        """Add to a run folder, in its place or, with `out`, in a copy.

        Parameters
        ----------
        source : path
            A whole run folder.
        out : path, optional
            Another place for the result; `source` stays as it is.
        overwrite : bool, default False
            Replace an earlier run folder at `out`.

        Yields
        ------
        RunFolder

        Raises
        ------
        UsageError
            If `source` is no run folder, `out` exists without `overwrite`, or another process writes there.
        """
        source = Path(source).expanduser().resolve()
        folder = source if out is None else Path(out).expanduser().resolve()
        if folder != source:
            notes.check_place(folder, overwrite)
        with exclusive(folder):
            recover(folder)
            record = read_manifest(source)
            config = (source / "config.toml").read_text()
            for step in record["steps"]:
                step["config"] = step["config"] or config
            run = cls(folder, record)
            notes.clear(run.partial)
            copy_tree(source, run.partial, link=folder == source)
            (run.partial / "manifest.json").unlink()
            with run._until_whole():
                yield run

    @contextlib.contextmanager
    def _until_whole(self) -> Iterator[None]:
        self._save_state()
        trace = self.folder.with_name(f".{self.folder.name}.error.log")
        try:
            yield
            self._finish()
        except BaseException as error:
            full = notes.disk_is_full(self.partial)
            with contextlib.suppress(OSError):
                if isinstance(error, Exception) and not isinstance(error, (EsaiError, OSError)):
                    trace.write_text("".join(traceback.format_exception(error)))
                    error.add_note(f"traceback in {trace}")
                if self._extends or not (self.done or self._has_checkpoints()):
                    notes.clear(self.partial)
            if isinstance(error, OSError):
                raise from_os_error(error, path=self.partial) from error
            if full and isinstance(error, Exception) and not isinstance(error, EsaiError):
                raise from_os_error(OSError(errno.ENOSPC, str(error), str(self.folder))) from error
            if self.partial.exists():
                error.add_note("--resume goes on from here")
            raise
        trace.unlink(missing_ok=True)

    # ---- what a step uses ----------------------------------------------------------------------------

    @property
    def seed(self) -> int:
        """The seed of the run."""
        return int(self.record["seed"])

    @property
    def done(self) -> list[str]:
        """Steps that are complete, in the order of their doing."""
        return [step["step"] for step in self.record["steps"]]

    @property
    def timings(self) -> dict[str, float]:
        """Seconds of each stage so far."""
        return dict(self.record["timings_s"])

    @property
    def checkpoints(self) -> Path:
        """A folder that lives until the run is whole; a resumed run finds in it what was left."""
        path = self.partial / notes.CHECKPOINTS
        path.mkdir(exist_ok=True)
        return path

    def path(self, name: str) -> Path:
        """Give the place to write an output; its folders are made.

        Parameters
        ----------
        name : str
            Relative name within the run folder.

        Returns
        -------
        Path
            In the temporary folder. What is there already may be changed: it is no longer shared with the
            folder that is being extended.

        Raises
        ------
        UsageError
            If `name` leads out of the folder.
        """
        path = self._inside(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            notes.unshare(path)
        return path

    def find(self, name: str) -> Path:
        """Give an output of an earlier step, to read.

        Raises
        ------
        UsageError
            If it is not there.
        """
        path = self._inside(name)
        if not path.exists():
            done = ", ".join(self.done) or "nothing"
            raise UsageError(f"no {name} in the run folder", where=self.folder, remedy=f"done so far: {done}")
        return path

    def has(self, name: str) -> bool:
        """Tell whether an output exists."""
        return self._inside(name).exists()

    def _inside(self, name: str) -> Path:
        path = Path(os.path.normpath(self.partial / name))
        if Path(name).is_absolute() or not path.is_relative_to(self.partial) or path == self.partial:
            raise UsageError("outputs stay in the run folder", where=name, remedy="give a relative name")
        return path

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a part of the work and log it; repeated parts add up.

        Parameters
        ----------
        name : str
            Key in ``timings_s`` of the manifest and of metrics.json.
        """
        if name in self._open:  # already timed from outside
            yield
            return
        self._open.append(name)
        log.debug("%s ...", name)
        start = time.perf_counter()
        try:
            yield
        finally:
            self._open.pop()
            seconds = time.perf_counter() - start
            timings = self.record["timings_s"]
            again = self._extends and name not in self._timed  # an earlier run of this stage was replaced
            timings[name] = round((0.0 if again else timings.get(name, 0.0)) + seconds, 3)
            self._timed.append(name)
            self.record["peak_memory_bytes"] = max(self.record["peak_memory_bytes"], peak_memory())
        log.info("%s: %.1f s", name, seconds)

    def add_input(self, path: str | Path) -> Path:
        """Record a file (or Zarr, SAFE folder) that was read: its size and sha256.

        Returns
        -------
        Path
            `path`.

        Raises
        ------
        InputError
            If it does not exist.
        """
        entry = describe_input(path)
        others = [one for one in self.record["inputs"] if one["path"] != entry["path"]]
        self.record["inputs"] = [*others, entry]
        return Path(path)

    def varies(self, *patterns: str) -> None:
        """Name outputs (``"maps/*.png"``) that differ between equal runs: `rerun` does not compare them."""
        self.record["varies"] = sorted({*self.record["varies"], *patterns})

    def write_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Write metrics.json, checked by `check_metrics`; timings are added when the run is whole."""
        notes.write_json(self.path("metrics.json"), check_metrics(metrics))

    def add_history(self, row: Mapping[str, Any]) -> None:
        """Append a row (``epoch, step, loss, val_loss, ...``) to history.csv."""
        history.add_row(self.path("history.csv"), row)

    # ---- what the runner uses ------------------------------------------------------------------------

    @contextlib.contextmanager
    def step(
        self,
        name: str,
        *,
        config: str = "",
        seed: int = 0,
        options: Mapping[str, Any] | None = None,
        undoes: Sequence[str] = (),
    ) -> Iterator[None]:
        """Do a step: time it, note what it made, and forget the steps that were built on its earlier result.

        Parameters
        ----------
        name : str
            Name of the step.
        config : str
            Its config as TOML text; becomes config.toml.
        seed : int
            Its seed.
        options : mapping, optional
            Further arguments, plain values.
        undoes : sequence of str
            Steps whose outputs are removed, as they no longer belong to this one's.
        """
        self._forget(undoes)
        self.record["seed"] = seed
        self.options = dict(options or {})
        self.path("config.toml").write_text(config)
        first = len(self._timed)
        with self.stage(name):
            yield
        others = [step for step in self.record["steps"] if step["step"] != name]
        stages = list(dict.fromkeys(self._timed[first:]))
        entry = {"step": name, "config": config, "options": self.options, "stages": stages}
        self.record["steps"] = [*others, entry]
        for made in self._names():
            self.record["outputs"].setdefault(made, {"step": name, "sha256": None})
        self._save_state()

    def _forget(self, steps: Sequence[str]) -> None:
        for name, entry in list(self.record["outputs"].items()):
            if entry["step"] in steps:
                notes.clear(self._inside(name))  # the name may come from a manifest of anyone's
                del self.record["outputs"][name]
        for entry in self.record["steps"]:
            for stage in entry["stages"] if entry["step"] in steps else ():
                self.record["timings_s"].pop(stage, None)
        self.record["steps"] = [step for step in self.record["steps"] if step["step"] not in steps]

    def _names(self) -> list[str]:
        names = [path.relative_to(self.partial).as_posix() for path in outputs(self.partial)]
        return [name for name in names if name not in _OWN and not name.startswith(f"{notes.CHECKPOINTS}/")]

    def _has_checkpoints(self) -> bool:
        path = self.partial / notes.CHECKPOINTS
        return path.is_dir() and any(path.iterdir())

    @property
    def _extends(self) -> bool:
        return "finished" in self.record

    def _save_state(self) -> None:
        aside = self.partial / f"{notes.STATE}.new"
        notes.write_json(aside, self.record)
        aside.replace(self.partial / notes.STATE)

    def _finish(self) -> None:
        """Write the manifest and put the folder in its place."""
        notes.seal(self.partial, self.record, names=self._names())
        sync_tree(self.partial)
        replace_folder(self.partial, self.folder)
        log.info("wrote %s", self.folder)
