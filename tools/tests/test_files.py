from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import check_files
import pytest


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("a.md", "see /home/ann/data.nc\n", "path of one machine"),  # check: path
        ("a.py", 'open("/tmp/x")\n', "path of one machine"),  # check: path
        ("a.toml", 'data = "/work/data"\n', "path of one machine"),  # check: path
        ("a.md", "https://example.org/home/page and docs/work/plan.md\n", None),
        ("a.py", 'KEY = "' + "AK" + 'IAABCDEFGHIJKLMNOP"\n', "AWS key"),
        ("a.yml", "key: " + "0" * 8 + "-1111-2222-3333-" + "4" * 12 + "\n", "CDS key"),
        ("a.txt", "https://ann:" + "secret@example.org/simple\n", "password"),
        ("a.py", "x = 1\n" * 450, None),
        ("a.py", "x = 1\n" * 451, "split it"),
        ("a.csv", "1,2\n" * 80_000, "bytes"),
        ("a.nc", "x" * 60_000, "bytes"),
        ("a.png", "x" * 600_000, None),
    ],
)
def test_each_fault_is_found(name: str, content: str, fault: str | None) -> None:
    found = list(check_files.faults(Path(name), content.encode()))
    assert len(found) == (1 if fault else 0)
    assert not fault or fault in found[0]


def test_the_tree_is_read_through_git(
    small: Path, capsys: pytest.CaptureFixture[str], git: Callable[..., None]
) -> None:
    assert check_files.main(small) == 0
    (small / ".gitignore").write_text("cache/\n")
    (small / "cache").mkdir()
    (small / "cache" / "big.bin").write_bytes(b"0" * 1_000_000)
    assert check_files.main(small) == 0
    (small / "big.bin").write_bytes(b"0" * 1_000_000)
    (small / "out").symlink_to(small.parent)
    git(small, "add", "out")
    assert check_files.main(small) == 1
    shown = capsys.readouterr().out
    assert "big.bin: 1,000,000 bytes" in shown
    assert "out: a link out of the tree" in shown
