"""The whole logistic job of the globe, files and scores included: every year held out in turn.

121 x 240 points with the sea, 2 windows, 2 variables, 20 years of weekly starts: edges, scales and
coefficients are fitted anew in each fold. `small` takes an eleventh of the points and projects.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

from esai_core.testing import run_cli
from esai_s2s.cli import main as command

CONFIG = """\
models = ["climatology", "logistic"]
[data]
variables = ["t2m", "tp"]
chunk_cells = 1920
[data.synthetic]
spacing = {spacing}
members = {members}
sea = true
[split]
blocks = "year"
test = "each"
"""


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", choices=("small", "full"), default="small")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    spacing, cells = (1.5, 121 * 240) if given.size == "full" else (5.0, 37 * 72)
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "globe.toml"
        config.write_text(CONFIG.format(spacing=spacing, members=11))
        start = time.perf_counter()
        words = ["run", config, "--out", Path(folder) / "run", "--workers", str(given.workers)]
        done = run_cli(command, words)
        wall = time.perf_counter() - start
        if done.code:
            raise SystemExit(done.err)
        timings = json.loads((Path(folder) / "run" / "metrics.json").read_text())["timings_s"]
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    cpu = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
    result: dict[str, object] = {
        "case": f"logistic, {cells} cells, 2 windows, 2 variables, 20 years held out in turn",
        "ours_s": wall,
        "cpu_s": cpu,
        "peak_mib_of_a_worker": children.ru_maxrss // 1024,
        "peak_mib_of_the_parent": own.ru_maxrss // 1024,
        "stages_s": timings,
    }
    if given.size == "small":
        result["projected_s"] = wall * 121 * 240 / cells
        result["projected_cpu_s"] = cpu * 121 * 240 / cells
    print(json.dumps(result))


if __name__ == "__main__":
    main()
