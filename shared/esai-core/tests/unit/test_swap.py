from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from esai_core.errors import EsaiError
from esai_core.runs import swap


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def make(folder: Path, text: str) -> Path:
    folder.mkdir()
    (folder / "a.txt").write_text(text)
    return folder


@pytest.mark.parametrize("atomic", [True, False])
def test_a_folder_takes_the_place_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, atomic: bool
) -> None:
    if not atomic:
        monkeypatch.setattr(swap, "_exchange", lambda one, other: False)
    new, old = make(tmp_path / ".run.partial", "new"), make(tmp_path / "run", "old")
    swap.replace_folder(new, old)
    assert (old / "a.txt").read_text() == "new"
    assert names(tmp_path) == ["run"]


def test_a_kill_between_two_renames_is_mended(tmp_path: Path) -> None:
    make(tmp_path / ".run.old", "old")
    swap.recover(tmp_path / "run")
    assert (tmp_path / "run" / "a.txt").read_text() == "old"
    make(tmp_path / ".run.old", "older")
    swap.recover(tmp_path / "run")
    assert names(tmp_path) == ["run"]
    assert (tmp_path / "run" / "a.txt").read_text() == "old"


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from esai_core.errors import UsageError
from esai_core.runs.swap import exclusive
try:
    with exclusive(Path({str(tmp_path / "run")!r})):
        print("held")
except UsageError as error:
    print(error)
"""
    with swap.exclusive(tmp_path / "run"):
        refused = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
    assert "another process is writing this folder" in refused
    assert f"process {os.getpid()}" in refused
    allowed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert allowed == "held\n"
    assert names(tmp_path) == []


def test_a_lock_file_without_a_holder_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / ".run.lock").write_text("process 1 on a machine that is gone")
    with swap.exclusive(tmp_path / "run"):
        pass


def test_no_lock_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EsaiError, match="file"), swap.exclusive(tmp_path / "file" / "run"):
        pass


def test_linked_copies_share_files_and_plain_copies_do_not(tmp_path: Path) -> None:
    make(tmp_path / "run", "x")
    swap.copy_tree(tmp_path / "run", tmp_path / "linked", link=True)
    swap.copy_tree(tmp_path / "run", tmp_path / "copied", link=False)
    assert (tmp_path / "linked" / "a.txt").samefile(tmp_path / "run" / "a.txt")
    assert not (tmp_path / "copied" / "a.txt").samefile(tmp_path / "run" / "a.txt")


def test_links_fall_back_to_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "no links here")

    make(tmp_path / "run", "x")
    monkeypatch.setattr(os, "link", refuse)
    swap.copy_tree(tmp_path / "run", tmp_path / "copied", link=True)
    assert (tmp_path / "copied" / "a.txt").read_text() == "x"
