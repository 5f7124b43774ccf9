'''What a package gives so that it gets the command line, run folders and reports of all the others.

A package describes its work once, in a light module (``esai_x/job.py``)::

    from esai_core.job import Job

    JOB = Job(
        name="esai-x",
        package="esai_x",
        summary="One line for --help.",
        config="esai_x.config:XConfig",
        template="esai_x.config:TEMPLATE",
        demo="esai_x.demo:prepare",
        requests="esai_x.fetch:requests",
        train="esai_x.pipeline:train",
        predict="esai_x.pipeline:predict",
        evaluate="esai_x.pipeline:evaluate",
        report="esai_x.pipeline:report",
    )

and its command (``esai_x/cli.py``)::

    def main(argv: Sequence[str] | None = None) -> int:
        """Run the command line."""
        return cli.main(JOB, argv)

The texts ``"module:name"`` are imported when a verb needs them, so ``--help`` stays fast.

The contract of each part
-------------------------
config : subclass of `esai_core.config.Config`
    Its seed, which the run folder repeats as ``run.seed``, is ``config.train.seed`` or ``config.seed``
    where there is one, else 0.
template : str
    A commented TOML config that ``init`` writes; it validates once its paths name real files.
demo : ``prepare(folder: Path) -> Path``
    Write seeded synthetic inputs into `folder` (which exists and is empty), and a config; return the config.
requests : ``requests(config | None) -> list[Request]``
    What ``fetch`` asks the data stores for.
train, predict, evaluate, report : ``step(config, run: RunFolder) -> None``
    A step takes from earlier steps only files of the run folder, so that it works alone and later as well
    as in one ``run``. In it:

    - ``run.path("model/weights.npz")``: where to write (folders are made, an earlier file may be replaced);
      ``run.find("model/weights.npz")``: a file of an earlier step, to read;
    - ``with run.stage("fit"):`` times a part and logs it; the times end in the manifest and in metrics.json;
    - inputs named by `DataPath` keys are recorded by themselves; ``run.add_input(path)`` adds any other file
      that was read;
    - ``run.checkpoints``: a folder that lives until the run is whole; with ``run.resume`` true it holds what
      an interrupted run left there;
    - ``run.write_metrics({...})`` writes metrics.json, checked; ``run.add_history(row)`` a line of
      history.csv;
    - ``run.seed``, ``run.workers``, ``run.cluster``, ``run.options``: what was asked for;
    - ``run.varies("maps/*.png")`` names outputs that differ between equal runs: they are not compared.

    ``run CONFIG`` does the steps in this order, in one folder; ``train CONFIG`` the first; ``predict``,
    ``evaluate`` and ``report`` complete a folder in which the earlier ones were done. Repeating a step
    removes what later steps made, as it no longer belongs to it. Steps left out (None) are skipped.
    The report step writes ``report.html``.
extra_verbs : tuple of `Verb`
    Verbs that only this package has.
'''

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

__all__ = ["STEPS", "Argument", "Job", "Request", "Verb", "load_ref"]

Ref = str | Callable[..., Any]
"""A ``"module:name"`` text, imported when it is needed, or the object itself."""

STEPS = ("train", "predict", "evaluate", "report")


@dataclass(frozen=True)
class Argument:
    """An argument of an extra verb: what ``argparse.ArgumentParser.add_argument`` takes.

    Parameters
    ----------
    *flags : str
        Names or flags (``"--contest"``).
    **settings
        Keywords (``choices``, ``help``, ``default``).
    """

    flags: tuple[str, ...]
    settings: Mapping[str, Any]

    def __init__(self, *flags: str, **settings: Any) -> None:
        object.__setattr__(self, "flags", flags)
        object.__setattr__(self, "settings", settings)


@dataclass(frozen=True, kw_only=True)
class Verb:
    """A verb of one package.

    Attributes
    ----------
    name, summary : str
        As the command line shows them.
    call : str or callable
        With `takes` ``"config"`` or ``"run"`` a step, ``call(config, run)``; the verb's own arguments are in
        ``run.options``. With `takes` None a function of the parsed arguments, ``call(args)``, which prints
        its result and may return an exit code.
    takes : {"config", "run", None}
        ``"config"``: a new run folder made by this step alone (``proxy CONFIG --out DIR``). ``"run"``: a run
        folder that is completed, like ``report RUN``. None: neither.
    needs : str, optional
        The step that must have been done in the folder (`takes` ``"run"``).
    arguments : tuple of Argument
        Further arguments; for steps their values must be plain (str, int, float, bool, None).
    """

    name: str
    summary: str
    call: Ref
    takes: Literal["config", "run"] | None = None
    needs: str | None = None
    arguments: tuple[Argument, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Job:
    """One job of a package, as the module's text describes it.

    Attributes
    ----------
    name : str
        The command (``"esai-seasonal"``).
    package : str
        Import name of the package (``"esai_seasonal"``); its distribution gives the version.
    summary : str
        One line for ``--help``.
    config, template, demo, requests, train, predict, evaluate, report : str or object
        ``"module:name"`` texts or the objects; see the module's text.
        `demo`, `requests` and steps may be None.
    extra_verbs : tuple of Verb
        Verbs that only this package has.
    workers, cluster : bool
        Whether ``--workers N`` and ``--cluster`` apply.
    """

    name: str
    package: str
    summary: str
    config: Ref
    template: Ref | str
    demo: Ref | None = None
    requests: Ref | None = None
    train: Ref | None = None
    predict: Ref | None = None
    evaluate: Ref | None = None
    report: Ref | None = None
    extra_verbs: tuple[Verb, ...] = ()
    workers: bool = False
    cluster: bool = False

    @property
    def distribution(self) -> str:
        """Name of the package as an installer knows it."""
        return self.package.partition(".")[0].replace("_", "-")

    @property
    def version(self) -> str:
        """Installed version of the package."""
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version(self.distribution)
        except PackageNotFoundError:
            return "0+unknown"

    @property
    def steps(self) -> dict[str, Ref]:
        """The steps that this job has, in order."""
        given = {name: getattr(self, name) for name in STEPS}
        return {name: ref for name, ref in given.items() if ref is not None}

    def step(self, name: str) -> Callable[..., None]:
        """Load the function of a step or of an extra verb that takes a config or a run folder."""
        extra = {verb.name: verb.call for verb in self.extra_verbs if verb.takes}
        return load_ref({**self.steps, **extra}[name])

    def load_config_class(self) -> Any:
        """Load the class of the config."""
        return load_ref(self.config)

    def load_template(self) -> str:
        """Load the text that ``init`` writes."""
        if isinstance(self.template, str) and "\n" in self.template:
            return self.template
        return load_ref(self.template)


@dataclass(frozen=True, kw_only=True)
class Request:
    """One download of ``fetch``.

    Attributes
    ----------
    client : str
        ``"cds"``, ``"ads"``, ``"ecds"`` (through the official `cdsapi`) or ``"http"``.
    dataset : str
        Name of the dataset in its store; for ``"http"`` the URL.
    body : dict
        The request, as the store's own page shows it; for ``"http"`` empty.
    target : str
        File to write, relative to the folder of the downloads.
    sha256 : str, optional
        Digest that the file must have.
    note : str
        A line for the user: what it is for, its licence.
    """

    client: str
    dataset: str
    target: str
    body: Mapping[str, Any] = field(default_factory=dict)
    sha256: str | None = None
    note: str = ""


def load_ref(ref: Any) -> Any:
    """Import what a ``"module:name"`` text names; anything else is given back as it is.

    Parameters
    ----------
    ref : str or object
        ``"esai_x.pipeline:train"``.

    Returns
    -------
    object
        The named attribute.
    """
    if not isinstance(ref, str):
        return ref
    module, _, name = ref.partition(":")
    return getattr(importlib.import_module(module), name)


def demo_inputs(out: Path) -> Path:
    """Give the folder beside a demo's run folder that holds its synthetic inputs."""
    return out.with_name(f"{out.name}-inputs")
