from __future__ import annotations

import sys
from collections.abc import Sequence

from esai_core import cli
from esai_toy.job import JOB


def main(argv: Sequence[str] | None = None) -> int:
    return cli.main(JOB, argv)


if __name__ == "__main__":
    sys.exit(main())
