"""The builder of report.html: one file, no network, no script, light and dark, wide and narrow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from jinja2 import Environment, FunctionLoader, StrictUndefined

from esai_core.errors import UsageError
from esai_core.report.picture import embed
from esai_core.report.text import cell, inline, paragraphs, slug
from esai_core.runs.manifest import versions

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from esai_core.runs.folder import RunFolder

__all__ = ["Report"]

Rows = Sequence[Mapping[str, Any]] | Mapping[str, Mapping[str, Any]]


def _packaged(name: str) -> str:
    return resources.files("esai_core.report").joinpath(name).read_text(encoding="utf-8")


class Report:
    """A report in the making: each method adds a block and gives the report back.

    All text is escaped; where Markdown is taken it is ``**bold**``, ``*stressed*``, ``code``,
    ``[link](https://...)``, paragraphs and lists.

    Parameters
    ----------
    title : str
        What the run did.
    subtitle : str
        With which data, for which time and place.
    run : RunFolder, optional
        Its inputs, seed, timings and package versions end in the footer.

    Examples
    --------
    >>> report = Report("A line", "20 points").headline("Delivered: **line**, rmse 0.1.")
    >>> "<h1>A line</h1>" in report.section("Scores").table([{"method": "line", "rmse": 0.1}]).html()
    True
    """

    def __init__(self, title: str, subtitle: str = "", *, run: RunFolder | None = None) -> None:
        self.title = title
        self.subtitle = subtitle
        self._run = run
        self._headline: list[Any] = []
        self._blocks: list[dict[str, Any]] = []
        self._anchors: set[str] = set()

    def headline(self, text: str, *, kind: Literal["good", "plain", "warning"] = "good") -> Self:
        """Put the key message at the top: what was delivered, and how much better than what.

        Parameters
        ----------
        text : str
            One or two sentences of Markdown; see `key_message`.
        kind : {"good", "plain", "warning"}
            Its tone.
        """
        self._headline.append({"text": inline(text), "kind": kind})
        return self

    def section(self, title: str, text: str = "", *, level: Literal[2, 3] = 2) -> Self:
        """Begin a section (level 2 enters the table of contents).

        Parameters
        ----------
        title : str
            Its title.
        text : str
            Markdown below it.
        level : {2, 3}
            Section or part of one.
        """
        anchor = slug(title, self._anchors)
        self._blocks.append({"type": "section", "title": title, "anchor": anchor, "level": level})
        return self.text(text) if text else self

    def text(self, text: str) -> Self:
        """Add paragraphs or lists of Markdown."""
        self._blocks.append({"type": "text", "html": paragraphs(text)})
        return self

    def note(self, text: str, *, kind: Literal["info", "warning"] = "info") -> Self:
        """Add a remark that stands out.

        Parameters
        ----------
        text : str
            Markdown.
        kind : {"info", "warning"}
            Its tone.
        """
        self._blocks.append({"type": "note", "html": paragraphs(text), "kind": kind})
        return self

    def figure(self, figure: Figure, *, caption: str = "", alt: str = "") -> Self:
        """Add a figure; it is rendered now (light and dark) and freed.

        Parameters
        ----------
        figure : Figure
            As the functions of `esai_core.report.plots` give.
        caption : str
            Markdown below it: what it shows and how to read it.
        alt : str
            What a reader who cannot see it should know; the caption by default.

        Raises
        ------
        UsageError
            If neither caption nor alt is given.
        """
        if not (caption or alt):
            raise UsageError("a figure needs a caption or an alternative text", where=self.title)
        light, dark, width = embed(figure)
        self._blocks.append(
            {
                "type": "figure",
                "light": light,
                "dark": dark,
                "width": width,
                "alt": alt or caption,
                "caption": inline(caption),
            }
        )
        return self

    def table(
        self,
        rows: Rows | pd.DataFrame,
        *,
        caption: str = "",
        highlight: str | None = None,
        best: Mapping[str, Literal["min", "max", "zero"]] | None = None,
        digits: int = 3,
    ) -> Self:
        """Add a table.

        Parameters
        ----------
        rows : sequence of mapping, mapping of mappings, or DataFrame
            Row by row, the first row gives the columns' order; of a mapping ``{NAME: {COLUMN: value}}`` and
            of a DataFrame with a named index the names become the first column. None and NaN show as a dash.
        caption : str
            Markdown above it.
        highlight : str, optional
            Text in the first column of the row to mark (the delivered method).
        best : mapping of str to {"min", "max", "zero"}, optional
            Column to which of its values is the best; it is set bold.
        digits : int, default 3
            Decimals of floats.
        """
        records = _records(rows)
        columns = list(dict.fromkeys(name for record in records for name in record))
        winners = {column: _best(records, column, kind) for column, kind in (best or {}).items()}
        body: list[dict[str, Any]] = []
        for record in records:
            cells = []
            for column in columns:
                text, number = cell(record.get(column), digits)
                won = winners.get(column) is not None and record.get(column) == winners[column]
                cells.append({"text": text, "number": number, "best": won})
            marked = highlight is not None and bool(columns) and str(record.get(columns[0])) == highlight
            body.append({"cells": cells, "marked": marked})
        numeric = [all(row["cells"][i]["number"] for row in body) and bool(body) for i in range(len(columns))]
        header = list(zip(columns, numeric, strict=True))
        self._blocks.append({"type": "table", "header": header, "body": body, "caption": inline(caption)})
        return self

    def keyvalues(self, pairs: Mapping[str, Any] | Iterable[tuple[str, Any]], *, digits: int = 3) -> Self:
        """Add pairs of name and value (the data, the split, the settings)."""
        items = pairs.items() if isinstance(pairs, Mapping) else pairs
        shown = [(str(name), cell(value, digits)[0]) for name, value in items]
        self._blocks.append({"type": "pairs", "pairs": shown})
        return self

    def html(self) -> str:
        """Give the page."""
        environment = Environment(
            loader=FunctionLoader(_packaged),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        contents = [block for block in self._blocks if block["type"] == "section" and block["level"] == 2]
        return environment.get_template("page.html.j2").render(
            title=self.title,
            subtitle=self.subtitle,
            headlines=self._headline,
            blocks=self._blocks,
            contents=contents if len(contents) > 1 else [],
            style=_packaged("style.css"),
            made=self._made(),
        )

    def _made(self) -> dict[str, Any]:
        """Collect what the footer tells of the run."""
        if self._run is None:
            nothing: dict[str, Any] = {
                "command": "",
                "created": "",
                "seed": None,
                "inputs": [],
                "timings": [],
                "versions": {},
            }
            return {"by": f"esai-core {versions('esai-core').get('esai-core', '')}".strip(), **nothing}
        record = self._run.record
        return {
            "by": f"{record['package']} {record['version']}",
            "command": " ".join(record["command"]),
            "created": record["created"],
            "seed": record["seed"],
            "inputs": [
                {"path": Path(one["path"]).name, "size": _size(one["size"]), "sha256": one["sha256"]}
                for one in record["inputs"]
            ],
            "timings": [(name, f"{seconds:.1f} s") for name, seconds in self._run.timings.items()],
            "versions": versions(record["package"]),
        }

    def write(self, path: str | Path) -> Path:
        """Write the page, whole or not at all.

        Parameters
        ----------
        path : path
            ``run.path("report.html")``.

        Returns
        -------
        Path
            `path`.
        """
        path = Path(path)
        aside = path.with_name(f".{path.name}.partial")
        try:
            aside.write_text(self.html(), encoding="utf-8")
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
        return path


def _records(rows: Rows | pd.DataFrame) -> list[dict[str, Any]]:
    if isinstance(rows, Mapping):
        return [{"method": name, **values} for name, values in rows.items()]
    if isinstance(rows, Sequence):
        return [{str(name): value for name, value in record.items()} for record in rows]
    frame = rows.reset_index() if rows.index.name is not None else rows
    return [{str(name): value for name, value in record.items()} for record in frame.to_dict("records")]


def _best(records: list[dict[str, Any]], column: str, kind: str) -> Any:
    values = [record[column] for record in records if isinstance(record.get(column), (int, float))]
    values = [value for value in values if value == value]
    if not values:
        return None
    if kind == "zero":
        return min(values, key=abs)
    return min(values) if kind == "min" else max(values)


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
