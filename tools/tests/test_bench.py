from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest
import repo

SCRIPT = """
import json, sys
block = bytearray(%d * 2**20)
print(json.dumps({"case": sys.argv[2], "ours_s": 0.5, "peer": "other", "peer_s": 2.0}))
"""


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Load benchmarks/run.py with folders of its own."""
    spec = importlib.util.spec_from_file_location("bench_run", repo.ROOT / "benchmarks" / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "HERE", tmp_path)
    monkeypatch.setattr(module, "RESULTS", tmp_path / "results")
    (tmp_path / "esai-one").mkdir()
    return module


def test_results_are_kept_with_ratio_and_memory(
    bench: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    (bench.HERE / "esai-one" / "bench_large.py").write_text(SCRIPT % 200)
    (bench.HERE / "esai-one" / "bench_small.py").write_text(SCRIPT % 1)
    assert bench.main(["esai-one", "--size", "small"]) == 0
    record = json.loads(Path(capsys.readouterr().out.splitlines()[-1]).read_text())
    large, small = record["results"]
    assert large["case"] == "small"
    assert large["ratio"] == 4.0
    assert large["peak_mib"] > 200 > 100 > small["peak_mib"]
    assert record["versions"]["pytest"]


def test_a_benchmark_that_fails_fails_the_run(bench: ModuleType) -> None:
    (bench.HERE / "esai-one" / "bench_bad.py").write_text("raise SystemExit(3)")
    with pytest.raises(SystemExit, match=r"bench_bad\.py ended with 3"):
        bench.main(["esai-one"])
    (bench.HERE / "esai-one" / "bench_bad.py").write_text("print('hello')")
    with pytest.raises(SystemExit, match="not JSON: hello"):
        bench.main(["esai-one"])
    with pytest.raises(SystemExit, match="no benchmark of esai-one"):
        bench.main(["esai-one", "--only", "nothing"])
