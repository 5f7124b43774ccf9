"""Run the benchmarks of one package and keep their numbers.

    python3 tools/dev.py bench esai-seasonal                 all of a package
    python3 tools/dev.py bench esai-seasonal -- --only qm    those whose name has this in it
    python3 tools/dev.py bench esai-seasonal -- --size small for a quick look

A benchmark is a script `benchmarks/PACKAGE/bench_*.py`. It takes `--size small|full` and prints one JSON
object a line, `{"case": TEXT, "ours_s": SECONDS, "peer": NAME, "peer_s": SECONDS}` and what else it measured.
Each runs in a process of its own, so that its peak memory is its own; both sides of a ratio are timed in one
process. The libraries it compares with are listed in `benchmarks/PACKAGE/requirements.txt`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE.parent / "runs" / "bench"


def run(script: Path, size: str) -> list[dict[str, Any]]:
    """Run one script and read its results; the ratio and the peak memory (MiB) are put in.

    Raises
    ------
    SystemExit
        If the script fails or prints something else.
    """
    command = [sys.executable, str(script), "--size", size]
    with subprocess.Popen(command, text=True, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        printed = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{script.name} ended with {process.returncode}")
    found = []
    for line in printed.splitlines():
        try:
            result = json.loads(line)
        except ValueError:
            raise SystemExit(f"{script.name} printed a line that is not JSON: {line[:100]}") from None
        if result.get("ours_s") and result.get("peer_s"):
            result["ratio"] = result["peer_s"] / result["ours_s"]
        found.append({"script": script.name, **result, "peak_mib": usage.ru_maxrss // 1024})
    return found


def table(results: Sequence[dict[str, Any]]) -> str:
    """Write the results as a Markdown table."""
    lines = ["| case | ours | peer | | ratio | peak memory |", "|---|---:|---:|---|---:|---:|"]
    for result in results:
        ours = f"{result['ours_s']:.3f} s" if result.get("ours_s") is not None else ""
        peer = f"{result['peer_s']:.3f} s" if result.get("peer_s") is not None else ""
        ratio = f"{result['ratio']:.1f}" if "ratio" in result else ""
        memory = f"{result['peak_mib']} MiB"
        lines.append(
            f"| {result['case']} | {ours} | {peer} | {result.get('peer', '')} | {ratio} | {memory} |"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status."""
    parser = argparse.ArgumentParser(prog="bench", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("package", help="folder of benchmarks/")
    parser.add_argument("--size", choices=["small", "full"], default="full", help="size of the problems")
    parser.add_argument("--only", default="", metavar="TEXT", help="scripts whose name has this in it")
    options = parser.parse_args(arguments)
    scripts = [
        path for path in sorted((HERE / options.package).glob("bench_*.py")) if options.only in path.name
    ]
    if not scripts:
        raise SystemExit(f"no benchmark of {options.package} has {options.only!r} in its name")
    results = []
    for script in scripts:
        print(f"{script.name} ...", file=sys.stderr, flush=True)
        results += run(script, options.size)
    now = datetime.now(UTC)
    record = {
        "package": options.package,
        "size": options.size,
        "when": now.isoformat(timespec="seconds"),
        "machine": {"cpus": os.cpu_count(), "cpu": platform.machine(), "system": platform.system()},
        "python": platform.python_version(),
        "versions": {
            found.name: found.version for found in sorted(distributions(), key=lambda one: one.name)
        },
        "results": results,
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    target = RESULTS / f"{options.package}-{now:%Y%m%dT%H%M%SZ}.json"
    target.write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    print(table(results))
    print(target)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
