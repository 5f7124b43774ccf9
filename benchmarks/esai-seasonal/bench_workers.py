"""One, two and four workers on loopback: how far their loss curves are apart, and what an epoch takes.

``difference`` is the largest relative difference of any loss of any epoch from that of one process;
``ours_s`` the best epoch after the first with the workers, ``peer_s`` with one process;
``peak_mib_of_a_worker`` that of the largest worker so far. The workers share the processors of this machine,
so the ratio says what sharing costs, not what more machines would gain.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from esai_core import nn
from esai_core.training import Adversary, TrainConfig, fit
from esai_seasonal.network import varying

# rows, columns, examples
SIZES = {"small": (13, 17, 64), "full": (40, 50, 256)}


def cases(rows: int, columns: int, n: int) -> dict[str, tuple[Callable[[], Any], tuple, dict[str, Any]]]:
    """Give model, data and options of each case."""
    rng = np.random.default_rng(0)

    def draw(channels: int) -> np.ndarray:
        return rng.standard_normal((n, rows, columns, channels), dtype="float32")

    shape = {"conditions": 11, "predictors": 4, "spread": 1, "width": 8}
    inputs = {name: draw(shape[name]) for name in ("conditions", "predictors", "spread")}
    target = np.concatenate([0 * draw(1), 1 + 0 * draw(1), draw(1)], axis=-1)
    seasonal = varying.crps_l1(np.ones((rows, columns)), varying.normal_members(25))
    fields, base = draw(4), draw(1)
    plants = (fields[..., :1] + fields[..., 1:2] > 1.5).astype("f4")
    refined = base + 0.3 * fields[..., :1]

    def unet(**options: Any) -> Any:
        return nn.build("unet", fields=(rows, columns, 4), width=8, depth=2, norm="batch", **options)

    def judge() -> Any:
        return nn.discriminator(sample=(rows, columns, 1), given={"baseline": (rows, columns, 1)}, width=8)

    pair = {"loss": nn.make_loss("mse"), "adversary": Adversary(discriminator=judge, weight=0.1)}
    return {
        "seasonal network": (lambda: varying.build(**shape), (inputs, target), {"loss": seasonal}),
        "segmentation U-Net": (
            lambda: unet(baseline=False),
            ({"fields": fields}, plants),
            {"loss": nn.make_loss("bce_dice")},
        ),
        "adversarial pair": (unet, ({"fields": fields, "baseline": base}, refined), pair),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=list(SIZES), default="full")
    config = TrainConfig(epochs=4, batch_size=16, clip_norm=1.0, checkpoint_every=10**9)
    made = cases(*SIZES[parser.parse_args().size])
    with tempfile.TemporaryDirectory() as folder:
        for case, (model, data, options) in made.items():
            found = {}
            for workers in (1, 2, 4):
                place = Path(folder) / f"{case}-{workers}"
                history = fit(model, data, config=config, folder=place, workers=workers, **options)
                names = [n for n in ("loss", "pixel_loss", "discriminator_loss") if n in history.rows[1]]
                curve = np.array([history.column(name)[1:] for name in names])
                found[workers] = (curve, min(history.column("seconds")[2:]))
                if workers == 1:
                    continue
                result = {
                    "case": f"{case}, {workers} workers",
                    "ours_s": found[workers][1],
                    "peer": "one process",
                    "peer_s": found[1][1],
                    "difference": float(np.max(np.abs(curve / found[1][0] - 1))),
                    "peak_mib_of_a_worker": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024,
                    "processors": len(os.sched_getaffinity(0)),
                }
                print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
