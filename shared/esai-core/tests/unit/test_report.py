from __future__ import annotations

import html.parser
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from esai_core.errors import UsageError
from esai_core.report import Report, key_message, plots, score_rows
from esai_core.report.text import cell, inline, paragraphs, slug
from esai_core.runs import RunFolder

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
METRICS = {
    "split": {"test": [2003, 2008]},
    "delivered": "network",
    "scores": {
        "raw": {"rmse": 1.7, "acc": None},
        "mlr": {"rmse": 0.5, "acc": 0.5},
        "network": {"rmse": 0.4, "acc": 0.6},
    },
}


class Tags(html.parser.HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in {"meta", "link", "img", "source"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def page_of(report: Report) -> Tags:
    page = Tags(report.html())
    assert page.open == []
    return page


def test_everything_is_escaped(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path / "run", command=["esai-x", EVIL]) as run:
        (tmp_path / "a<b>.nc").write_text("x")
        run.add_input(tmp_path / "a<b>.nc")
        figure, _ = plots.new_figure()
        report = Report(EVIL, EVIL, run=run).headline(EVIL).section(EVIL, EVIL).section(EVIL, EVIL, level=3)
        report.text(EVIL).note(EVIL).keyvalues({EVIL: EVIL}).figure(figure, caption=EVIL, alt=EVIL)
        report.table([{EVIL: EVIL}], caption=EVIL, highlight=EVIL)
        page = page_of(report)
    tags = [tag for tag, _ in page.seen]
    assert "script" not in tags
    assert tags.count("img") == 1
    assert not [name for _, attributes in page.seen for name in attributes if name.startswith("on")]
    assert page.text.count("<script>alert(1)</script>") >= 12


def test_nothing_is_loaded_from_elsewhere() -> None:
    figure, _ = plots.new_figure()
    report = (
        Report("A", "B")
        .section("One")
        .text("See [the docs](https://example.org/x).")
        .figure(figure, caption="c")
    )
    page = page_of(report)
    for tag, attributes in page.seen:
        for name in ("src", "srcset"):
            assert (attributes.get(name) or "data:").startswith("data:"), tag
        if tag == "link":
            assert attributes["href"] == "data:,"
    assert "url(" not in report.html()
    assert "@import" not in report.html()
    assert [a["href"] for tag, a in page.seen if tag == "a"] == ["https://example.org/x"]


def test_markdown_has_a_few_words_and_no_more() -> None:
    assert inline("**a** *b* `c` 2*3*4 a_b") == "<strong>a</strong> <em>b</em> <code>c</code> 2*3*4 a_b"
    assert inline("[x](javascript:alert(1))") == "[x](javascript:alert(1))"
    assert 'href="https://a.b/&quot;onclick=&quot;x"' in inline('[x](https://a.b/"onclick="x)')
    assert paragraphs("a\nb\n\n- c\n- d") == "<p>a b</p>\n<ul><li>c</li><li>d</li></ul>"


def test_sections_are_listed_once_there_are_two() -> None:
    report = Report("A").section("Maps & more").section("Maps & more").section("Part", level=3)
    page = page_of(report)
    anchors = [a["href"] for tag, a in page.seen if tag == "a"]
    assert anchors == ["#maps-more", "#maps-more-2"]
    assert [a.get("id") for tag, a in page.seen if tag in ("h2", "h3")] == [
        "maps-more",
        "maps-more-2",
        "part",
    ]
    assert "<nav" not in Report("A").section("One").html()
    assert slug("", set()) == "section"


@pytest.mark.parametrize(
    ("value", "text", "number"),
    [
        (0.12345, "0.123", True),
        (np.float32(-0.5), "\u22120.500", True),
        (1e-6, "1e-06", True),
        (123456.0, "1.235e+05", True),
        (12345, "12\u202f345", True),
        (np.int64(5), "5", True),
        (0.0, "0.000", True),
        (None, "\u2013", True),
        (np.nan, "\u2013", True),
        (True, "True", False),
        ("a", "a", False),
        (pd.Timestamp("2001-01-02"), "2001-01-02 00:00:00", False),
    ],
)
def test_cells(value: object, text: str, number: bool) -> None:
    assert cell(value, 3) == (text, number)


def rows_of(report: Report) -> list[str]:
    found = re.findall(r"<tr.*?</tr>", report.html(), flags=re.DOTALL)
    return [" ".join(Tags(row.replace("</td>", " </td>")).text.split()) for row in found]


def test_tables_take_rows_mappings_and_frames() -> None:
    frame = pd.DataFrame(METRICS["scores"]).T.rename_axis("method")
    expected = ["method rmse acc", "raw 1.700 \u2013", "mlr 0.500 0.500", "network 0.400 0.600"]
    for rows in (score_rows(METRICS), METRICS["scores"], frame):
        assert rows_of(Report("A").table(rows)) == expected
    assert rows_of(Report("A").table(pd.DataFrame({"a": [1, 2]}))) == ["a", "1", "2"]
    assert rows_of(Report("A").table([])) == [""]


def test_the_best_and_the_delivered_are_marked() -> None:
    page = Report("A").table(
        score_rows(METRICS), highlight="network", best={"rmse": "min", "acc": "max", "none": "zero"}
    ).html()  # fmt: skip
    assert '<tr class="marked"><td>network</td>' in page
    assert page.count('<td class="number best">') == 2
    assert '<td class="number best">0.400</td><td class="number best">0.600</td>' in page


def test_rows_are_sorted_best_first() -> None:
    assert [row["method"] for row in score_rows(METRICS, score="rmse")] == ["network", "mlr", "raw"]
    ranked = score_rows(METRICS, score="acc", lower_is_better=False)
    assert [row["method"] for row in ranked] == ["network", "mlr", "raw"]


@pytest.mark.parametrize(
    ("change", "settings", "words"),
    [
        (
            {},
            {"units": "K"},
            "rmse 0.4 K on the test split. That is 20.0 % better than the best of the others, mlr (0.5 K)",
        ),
        ({}, {"score": "acc", "lower_is_better": False}, "20.0 % better than the best of the others, mlr"),
        ({"delivered": "mlr"}, {}, "25.0 % worse than the best of the others, network"),
        ({"scores": {"network": {"rmse": 0.4}}}, {}, "rmse 0.4 on the test split."),
        (
            {"scores": {"network": {"rmse": 0.4}, "x": {"rmse": 0.4}}},
            {},
            "The same as the best of the others, x",
        ),
        ({"scores": {"network": {"rmse": None}}}, {}, "not defined"),
    ],
)
def test_the_key_message(change: dict, settings: dict, words: str) -> None:
    assert words in key_message(METRICS | change, **settings)


def test_the_key_message_of_an_unknown_score() -> None:
    with pytest.raises(UsageError, match="did you mean 'rmse'"):
        key_message(METRICS, score="rsme")


def test_a_figure_needs_words_for_who_cannot_see_it() -> None:
    figure, _ = plots.new_figure()
    with pytest.raises(UsageError, match="alternative text"):
        Report("A").figure(figure)
    page = page_of(Report("A").figure(figure, caption="RMSE by *lead*"))
    (image,) = [attributes for tag, attributes in page.seen if tag == "img"]
    assert image["alt"] == "RMSE by *lead*"


def test_the_footer_tells_how_it_was_made(tmp_path: Path) -> None:
    (tmp_path / "in.nc").write_text("x" * 2500)
    with RunFolder.create(tmp_path / "run", command=["esai-x", "run", "a.toml"]) as run:
        with run.step("train", seed=7):
            run.add_input(tmp_path / "in.nc")
        text = page_of(Report("A", run=run)).text
    text = " ".join(text.split())
    for words in ("seed 7", "esai-x run a.toml", "in.nc, 2 kB, sha256", "train: 0.0 s", "numpy"):
        assert words in text


def test_the_page_is_the_same_each_time_and_written_whole(tmp_path: Path) -> None:
    def make() -> Report:
        figure = plots.lines_by([1, 2], {"a": [1, 2]})
        return Report("A").section("One").figure(figure, caption="c")

    path = make().write(tmp_path / "report.html")
    assert path.read_text() == make().html()
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
