"""The command ``esai-seasonal``."""

from __future__ import annotations

from collections.abc import Sequence

from esai_core.cli import main as run_cli
from esai_seasonal.job import JOB

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; give its exit code."""
    return run_cli(JOB, argv)


if __name__ == "__main__":
    raise SystemExit(main())
