"""Causal discovery against tigramite (GPL-3: a peer here, never a dependency) on systems of known graph."""

from __future__ import annotations

import argparse
import json
import time
import warnings

import numpy as np

from esai_core.causality import Links, pcmci

LONGEST = 2


def system(seed: int, *, times: int, series: int, bent: bool) -> tuple[np.ndarray, set[tuple[str, int, str]]]:
    """Make a random autocorrelated system of as many links as series; bent ones are (1 - 4 exp(-x^2/2)) x."""
    rng = np.random.default_rng(seed)
    pairs = [(i, j) for i in range(series) for j in range(series) if i < j]
    chosen = [pairs[k] for k in rng.choice(len(pairs), min(series, len(pairs)), replace=False)]
    links = [(i, int(rng.integers(1, LONGEST + 1)), j, rng.choice([-0.4, 0.4])) for i, j in chosen]
    x = np.zeros((times + 50, series))
    for t in range(LONGEST, times + 50):
        x[t] = 0.6 * x[t - 1] + rng.normal(size=series)
        for i, lag, j, strength in links:
            value = x[t - lag, i]
            x[t, j] += strength * ((1 - 4 * np.exp(-(value**2) / 2)) * value if bent else value)
    return x[50:], {(str(i), lag, str(j)) for i, lag, j, _ in links}


def peer_links(data: np.ndarray, bent: bool) -> Links:
    from tigramite import data_processing
    from tigramite.independence_tests.cmiknn import CMIknn
    from tigramite.independence_tests.parcorr import ParCorr
    from tigramite.pcmci import PCMCI

    # the block length is given, as estimating it fails on NumPy 2 (tigramite 5.2.10)
    shuffled = {"significance": "shuffle_test", "sig_samples": 100, "sig_blocklength": 1, "workers": 1}
    test = CMIknn(**shuffled) if bent else ParCorr()
    result = PCMCI(data_processing.DataFrame(data), test, verbosity=0).run_pcmci(
        tau_min=1, tau_max=LONGEST, pc_alpha=0.2
    )
    names = tuple(map(str, range(data.shape[1])))
    return Links(
        names, result["val_matrix"][..., 1:], result["p_matrix"][..., 1:], result["p_matrix"][..., 1:]
    )


def limit_at(scores: list[tuple[Links, set]], rate: float) -> float:
    """Find the p-value that gives a false-positive rate over all systems."""
    false = [
        links.p[i, j, lag]
        for links, truth in scores
        for i, j, lag in np.ndindex(links.p.shape)
        if i != j and (str(i), lag + 1, str(j)) not in truth
    ]
    return float(np.quantile(false, rate))


def measure(name: str, count: int, *, times: int, series: int, bent: bool) -> None:
    worlds = [system(seed, times=times, series=series, bent=bent) for seed in range(count)]
    seconds, f1, level = {}, {}, {}
    for who in ("ours", "peer"):
        start = time.process_time()
        found = [
            peer_links(data, bent)
            if who == "peer"
            else pcmci(
                data,
                names=list(map(str, range(series))),
                longest=LONGEST,
                test="kernel" if bent else "linear",
            )
            for data, _ in worlds
        ]
        seconds[who] = time.process_time() - start
        pairs = [(links, truth) for links, (_, truth) in zip(found, worlds, strict=True)]
        at = limit_at(pairs, 0.05)
        f1[who] = np.mean([links.compare(truth, p=at)["f1"] for links, truth in pairs])
        level[who] = np.mean([links.compare(truth, p=0.05)["false_positive_rate"] for links, truth in pairs])
    print(
        json.dumps(
            {
                "case": name,
                "ours_s": seconds["ours"],
                "peer": "tigramite " + ("CMIknn" if bent else "ParCorr"),
                "peer_s": seconds["peer"],
                "f1_at_5_percent_false": f1["ours"],
                "peer_f1_at_5_percent_false": f1["peer"],
                "false_positives_at_p_0.05": level["ours"],
                "peer_false_positives_at_p_0.05": level["peer"],
            }
        ),
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", choices=("small", "full"), default="small")
    parser.add_argument("--nonlinear", type=int, help="systems of the nonlinear case; no linear one is run")
    given = parser.parse_args()
    small = given.size == "small"
    warnings.simplefilter("ignore")
    for times in () if given.nonlinear else (150, 300):
        measure(f"linear, {times} times, 6 series", 10 if small else 50, times=times, series=6, bent=False)
    count = given.nonlinear or (2 if small else 10)
    measure("nonlinear, 200 times, 4 series", count, times=200, series=4, bent=True)


if __name__ == "__main__":
    main()
