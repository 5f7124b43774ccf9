"""Area-weighted gridding of swath pixels against a loop of shapely intersections, pixel by pixel.

Both give the shared area of each pixel and cell; seconds are CPU seconds of one thread for 100,000
pixels, the loop runs on some of them and is scaled up. The largest difference of shared areas, relative to
a pixel's area, is printed beside the times, and so is the whole gridding of an orbit's pixels (means,
errors, weights, counts).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import numpy as np
import shapely

from esai_airquality.no2.gridding import Gridder, overlaps
from esai_core.grid import Grid


def cpu_seconds(work: Callable[[], object], repeats: int = 1) -> float:
    found = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


def orbit(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Corners of slanted pixels of 5.5 by 3.5 km that fill an area around 45 degrees north."""
    wide = int(np.sqrt(count))
    high = count // wide
    v = 40 + 0.05 * np.arange(high + 1)[:, None]
    u = 0.045 * np.arange(wide + 1)[None, :]
    lat, lon = v + 0.15 * u, u - 0.2 * (v - 40)
    span = (slice(None, -1), slice(1, None))
    at = [(span[i], span[j]) for i, j in ((0, 0), (0, 1), (1, 1), (1, 0))]
    return tuple(np.stack([values[place] for place in at], axis=-1).reshape(-1, 4) for values in (lat, lon))


def by_shapely(lat: np.ndarray, lon: np.ndarray, grid: Grid) -> np.ndarray:
    """Cut each pixel by the cells of its bounding box, as a loop over pixels does it."""
    x, y = np.radians(lon), np.sin(np.radians(lat))
    x_edges = np.append(np.radians(grid.longitude_bounds)[:, 0], np.radians(grid.longitude_bounds[-1, 1]))
    y_edges = np.sin(np.radians(np.append(grid.latitude_bounds[:, 0], grid.latitude_bounds[-1, 1])))
    out = []
    for p in range(len(lat)):
        polygon = shapely.Polygon(np.c_[x[p], y[p]])
        c0, c1 = np.searchsorted(x_edges, x[p].min(), "right") - 1, np.searchsorted(x_edges, x[p].max())
        r0, r1 = np.searchsorted(y_edges, y[p].min(), "right") - 1, np.searchsorted(y_edges, y[p].max())
        for r in range(max(r0, 0), min(r1, len(y_edges) - 1)):
            for c in range(max(c0, 0), min(c1, len(x_edges) - 1)):
                cell = shapely.box(x_edges[c], y_edges[r], x_edges[c + 1], y_edges[r + 1])
                area = polygon.intersection(cell).area
                if area > 0:
                    out.append((p, r, c, area))
    return np.array(out)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", choices=("small", "full"), default="full")
    small = parser.parse_args().size == "small"
    count, compared = (20_000, 300) if small else (200_000, 2_000)
    lat, lon = orbit(count)
    grid = Grid(np.arange(39.05, 70, 0.1), np.arange(-14.95, 30, 0.1))
    values = np.random.default_rng(0).gamma(2, 1e15, len(lat))
    overlaps(lat[:10], lon[:10], grid)  # compiles
    Gridder(grid).add(lat[:10], lon[:10], values[:10])
    ours = cpu_seconds(lambda: overlaps(lat, lon, grid), 3) / len(lat)
    whole = cpu_seconds(lambda: Gridder(grid).add(lat, lon, values), 3) / len(lat)
    some = np.linspace(0, len(lat) - 1, compared).astype(int)
    found: list[np.ndarray] = []
    peer = cpu_seconds(lambda: found.append(by_shapely(lat[some], lon[some], grid))) / compared
    pixel, row, column, area = overlaps(lat[some], lon[some], grid)
    theirs = {(int(p), int(r), int(c)): a for p, r, c, a in found[0]}
    keys = zip(pixel.tolist(), row.tolist(), column.tolist(), strict=True)
    gap = max(abs(a - theirs.pop(key, 0.0)) for key, a in zip(keys, area, strict=True))
    gap = max([gap, *theirs.values()])
    print(
        json.dumps(
            {
                "case": "shared areas of pixels and 0.1 degree cells, 100,000 pixels",
                "ours_s": 1e5 * ours,
                "peer": "shapely loop",
                "peer_s": 1e5 * peer,
                "area_gap": float(gap / np.median(area)),
            }
        )
    )
    print(
        json.dumps(
            {
                "case": "the same brought to means, errors, weights, counts",
                "ours_s": 1e5 * whole,
                "peer": "shapely loop",
                "peer_s": 1e5 * peer,
            }
        )
    )


if __name__ == "__main__":
    main()
