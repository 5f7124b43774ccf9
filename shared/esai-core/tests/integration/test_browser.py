"""The report and the browser that judges it."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.image import imread

from esai_core.report import Report, plots
from esai_core.testing import open_in_browser


@pytest.fixture
def report(tmp_path: Path) -> Path:
    evil = "<script>document.title = 'broken'</script><img src='https://example.org/x.png'>"
    made = Report(f"Temperature {evil}", "1981-2008").headline(f"Delivered: **{evil}**").section("One", evil)
    made.figure(plots.lines_by([1, 2], {evil: [1, 2], "b": [2, 1]}), caption=evil).section("Two")
    return made.table([{"units": evil}]).write(tmp_path / "report.html")


def test_a_report_opens_offline_without_a_word(report: Path) -> None:
    page = open_in_browser(report)
    assert page.requests == []
    assert page.console == []
    assert "&lt;script&gt;document.title" in page.dom
    assert "<title>broken" not in page.dom


def test_a_report_is_light_or_dark_and_fits_a_narrow_window(report: Path, tmp_path: Path) -> None:
    for dark in (False, True):
        shot = tmp_path / f"{dark}.png"
        open_in_browser(report, screenshot=shot, dark=dark, width=500, height=900)
        picture = imread(shot)[..., :3]
        assert (picture[2, 2].max() < 0.2) == dark
        assert abs(picture[:, -4:] - picture[2, 2]).max() < 0.02  # nothing runs over the edge
    probe = tmp_path / "probe.html"
    script = "document.title = document.documentElement.scrollWidth > innerWidth ? 'wide' : 'fits'"
    content = report.read_text().replace(
        "default-src 'none';", "default-src 'none'; script-src 'unsafe-inline';"
    )
    probe.write_text(content.replace("</body>", f"<script>{script}</script></body>"))
    assert "<title>fits</title>" in open_in_browser(probe, width=500).dom


def test_the_browser_helper_sees_requests_and_errors(tmp_path: Path) -> None:
    path = tmp_path / "bad.html"
    path.write_text(
        "<img src='https://example.org/a.png'><script src='http://example.org/b.js'></script><script>no()</script>"
    )
    page = open_in_browser(path)
    assert {"example.org:443", "http://example.org/b.js"} <= set(page.requests)
    assert any("no is not defined" in line for line in page.console)
