"""The tasks on series larger than what they hold: the peak memory does not grow with the number of times."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

SCRIPT = """
import json, resource, sys
import numpy as np, pandas as pd, xarray as xr
from esai_core.__main__ import main
from esai_core.tasks import scratch

task, folder, rows, columns, *lengths = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
scratch.BLOCK_BYTES = 1 << 19
settings = json.loads(sys.stdin.read())

def write(times, path):
    rng = np.random.default_rng(0)
    for first in range(0, times, 250):
        time = pd.Timestamp("2000-01-01") + pd.to_timedelta(np.arange(first, first + 250), "h")
        values = rng.normal(size=(250, rows, columns)).astype("f4")
        values[:, :2] = np.nan
        grid = {"latitude": np.arange(rows) * 1.0, "longitude": np.arange(columns) * 1.0}
        dims = ("time", "latitude", "longitude")
        part = xr.DataArray(values, {"time": time.as_unit("ns"), **grid}, dims, "t2m").to_dataset()
        if first:
            part.to_zarr(path, append_dim="time")
        else:
            part.to_zarr(path, zarr_format=2, encoding={"t2m": {"chunks": (25, rows, columns)}})

peaks = []
for times in lengths:
    path = f"{folder}/{times}.zarr"
    write(times, path)
    config = f"{folder}/{times}.toml"
    open(config, "w").write(f'schema_version = 1\\n[data]\\nfield = "{times}.zarr"\\n')
    words = [task, "run", config, "--out", f"{folder}/{times}"]
    for setting in settings:
        words += ["--set", setting]
    assert main(words) == 0
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print(json.dumps(peaks))
"""

NETWORK = ["network.width=2", "network.depth=1", "train.epochs=1", "train.patience=1", "train.batch_size=64"]
CASES = {
    "nextframe": (
        (48, 64, 1000, 4000),
        ["leads=[1, 2]", "split.train=0.3", "split.choose=0.3", "network.kinds=['unet']", "network.window=1"],
    ),
    "gapfill": (
        (18, 24, 4000, 16000),
        ["cycle='hour'", "hide.duration=3", "eof.modes=[2]", "eof.iterations=3", "network.draws=1"],
    ),
}


@pytest.mark.parametrize("task", list(CASES))
def test_memory_does_not_grow_with_the_series(tmp_path, task):
    """The longer series adds much more than its blocks hold; in memory it would be there several times."""
    sizes, settings = CASES[task]
    rows, columns, short, long = sizes
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, task, str(tmp_path), *map(str, sizes)],
        input=json.dumps([*settings, *NETWORK]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    before, after = json.loads(done.stdout.splitlines()[-1])
    added = (long - short) * rows * columns * 4 / 1024
    assert after - before < min(0.5 * added, 0.15 * before)
