"""The command ``esai-wwtp``."""

from __future__ import annotations

from collections.abc import Sequence

from esai_core import cli
from esai_wwtp.job import JOB


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code."""
    return cli.main(JOB, argv)


if __name__ == "__main__":
    raise SystemExit(main())
