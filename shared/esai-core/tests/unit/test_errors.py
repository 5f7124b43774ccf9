from __future__ import annotations

import errno
import logging
import pickle
import sys
import warnings

import pytest

from esai_core import logs, progress
from esai_core.errors import EsaiError, InputError, UsageError, from_os_error, nearest, unknown


def test_an_error_is_one_line() -> None:
    error = InputError("wrong\n  units", where="a.nc: tas = 'K/s'", remedy="give K")
    assert str(error) == "wrong units (a.nc: tas = 'K/s'); give K"


@pytest.mark.parametrize(("kind", "code"), [(EsaiError, 1), (UsageError, 2), (InputError, 3)])
def test_exit_codes(kind: type[EsaiError], code: int) -> None:
    assert kind("x").exit_code == code


def test_an_error_survives_another_process() -> None:
    error = pickle.loads(pickle.dumps(InputError("a", where="b", remedy="c")))
    assert type(error) is InputError
    assert str(error) == "a (b); c"


def test_nearest_ignores_case_and_finds_typos() -> None:
    assert nearest("RSME", ["rmse", "bias"]) == "did you mean 'rmse'?"
    assert nearest("Hindcast", ["hindcast"]) == "did you mean 'hindcast'?"
    assert nearest("zzz", ["rmse", "bias"]) == "choose from bias, rmse"
    assert nearest("zzz", []) == "there is none to choose from"
    assert "and 3 more" in nearest("zzz", [f"name{i:02}" for i in range(15)])


def test_unknown_names_kind_and_place() -> None:
    error = unknown("score", "rsme", ["rmse"], where="config.toml", error=InputError)
    assert isinstance(error, InputError)
    assert str(error) == "unknown score 'rsme' (config.toml); did you mean 'rmse'?"


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.ENOSPC, EsaiError, "the disk is full"),
        (errno.EFBIG, EsaiError, "the disk is full"),
        (errno.ENOENT, InputError, "no such file"),
        (errno.EACCES, UsageError, "not allowed"),
        (errno.EIO, EsaiError, "error"),
    ],
)
def test_errors_of_the_system(number: int, kind: type[EsaiError], words: str) -> None:
    error = from_os_error(OSError(number, "some error", "/somewhere/a.nc"))
    assert type(error) is kind
    assert words in str(error)
    assert "/somewhere/a.nc" in str(error)
    assert "/other" in str(from_os_error(OSError(number, "some error"), path="/other"))


def test_logs_show_ours_and_the_warnings_of_others(capsys: pytest.CaptureFixture[str]) -> None:
    with logs.to_stderr(), warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.getLogger("esai_x").info("fitting")
        logging.getLogger("esai_x").debug("a detail")
        logging.getLogger("matplotlib").info("chatter")
        logging.getLogger("matplotlib").warning("careful")
        warnings.warn("old units", UserWarning, stacklevel=1)
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = [line.split(" ", 1)[1] for line in captured.err.splitlines()]
    assert lines == ["fitting", "warning: careful", "warning: UserWarning: old units"]


@pytest.mark.parametrize(("verbosity", "count"), [(-2, 0), (-1, 1), (0, 2), (1, 3)])
def test_verbosity(verbosity: int, count: int, capsys: pytest.CaptureFixture[str]) -> None:
    log = logging.getLogger("esai_x")
    with logs.to_stderr(verbosity):
        assert logs.is_quiet() == (verbosity < 0)
        log.warning("a")
        log.info("b")
        log.debug("c")
    assert not logs.is_quiet()
    assert len(capsys.readouterr().err.splitlines()) == count


def test_progress_is_silent_off_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress.track(range(3), total=3, label="x")) == [0, 1, 2]
    assert capsys.readouterr() == ("", "")


def test_progress_draws_on_a_terminal_only_when_not_quiet(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with logs.to_stderr(-1):
        assert list(progress.track(range(3), label="epochs")) == [0, 1, 2]
    assert capsys.readouterr().err == ""
    assert list(progress.track(range(3), label="epochs")) == [0, 1, 2]
    captured = capsys.readouterr()
    assert "epochs" in captured.err
    assert captured.out == ""
