"""The command ``esai-airquality``."""

from __future__ import annotations

from collections.abc import Sequence

from esai_airquality.mos.job import MOS
from esai_airquality.no2.job import NO2
from esai_airquality.reanalysis.job import REANALYSIS
from esai_core import cli

JOBS = {"mos": MOS, "no2": NO2, "reanalysis": REANALYSIS}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code."""
    return cli.main(JOBS, argv)


if __name__ == "__main__":
    raise SystemExit(main())
