"""Reports: what a cell says, who leads a column, and that each form holds all of it and nothing harmful."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from markdown_it import MarkdownIt
from PIL import Image

from aif.runtime.errors import ConfigError, DataError
from aif.train.paper.charts import PALETTE, REFERENCE, bar_chart
from aif.train.paper.render_html import render_html
from aif.train.paper.render_json import render_json
from aif.train.paper.render_markdown import literal, reading_notes, render_markdown
from aif.train.paper.report import Cell, Column, Number, Picture, Provenance, Report, Row, Summary, Table

NAN = float("nan")
HOSTILE = '<script>alert("1")</script> | **a** `b` & [c](https://example.com/x) $d$ _e_ </td>\n# f'
SHARE = Column("smile", "Smiling", "Share of faces that smile.", percent=True, better="high")
ERROR = Column("mse", "MSE", "Mean squared error, pixels in [0, 1].", digits=4, better="low")
PLAIN = Column("speed", "Faces/s", "Speed of training.", digits=0)


def share(value: float, low: float, high: float, n: int = 200) -> Number:
    return Number(value, n, low, high)


def origin(system: str, seed: int = 0) -> Provenance:
    checkpoint = f"{seed}123456789abcdef" * 4
    return Provenance(
        system, seed, f"aif-train --preset {system} --seed {seed}", checkpoint, "faces 3f9a", 720_000
    )


def row(label: str, *cells: Cell | Number | None) -> Row:
    """A trained system; a bare number is the cell of a single seed."""
    made = tuple(c if isinstance(c, Cell) else Cell((c,)) for c in cells)
    seeds = max((len(cell.numbers) for cell in made), default=1)
    return Row(label, made, tuple(origin(label, seed) for seed in range(seeds)))


def table(columns: tuple[Column, ...], *rows: Row, name: str = "edits") -> Table:
    return Table(name, "Edits", "What the judge sees.", columns, rows)


def report(*parts: Table | Picture, **changes: Any) -> Report:
    return replace(Report("Five presets", "720,000 faces seen.", "aif eval runs/*", parts), **changes)


def markdown_rows(text: str) -> list[list[str]]:
    """Cells of all tables as a CommonMark reader sees them, headings included, markup taken away."""
    found: list[list[str]] = []
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "tr_open":
            found.append([])
        if token.type == "inline" and found and token.level > 3 and token.children is not None:
            found[-1].append("".join(child.content for child in token.children))
    return found


class Page(HTMLParser):
    """Elements with their attributes, and the text of each table cell."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.cells: list[list[str]] = []
        self._words: list[str] = []
        self._inside = False
        self._open: list[tuple[str, int]] = []
        self._parts: dict[str, list[str]] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open.append((tag, len(self._words)))
        if tag == "tr":
            self.cells.append([])
        if tag in ("td", "th"):
            self.cells[-1].append("")
            self._inside = True

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag not in ("td", "th")
        while self._open and self._open[-1][0] != tag:
            self._open.pop()  # elements without an end
        if self._open:
            self._parts.setdefault(tag, []).append("".join(self._words[self._open.pop()[1] :]))

    def handle_data(self, data: str) -> None:
        self._words.append(data)
        if self._inside:
            self.cells[-1][-1] += data

    @property
    def text(self) -> str:
        return "".join(self._words)

    def inside(self, tag: str) -> list[str]:
        """Texts of the elements of that name."""
        return self._parts.get(tag, [])

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.mark.parametrize(
    ("column", "value", "unit", "text"),
    [
        (SHARE, 0.986, True, "98.6%"),
        (SHARE, 0.986, False, "98.6"),
        (SHARE, 13 / 16, True, "81.3%"),  # a half, which Python's formatting would round to 81.2
        (SHARE, 1.0, True, "100.0%"),
        (SHARE, -0.0004, True, "0.0%"),
        (SHARE, -0.012, True, "\N{MINUS SIGN}1.2%"),
        (ERROR, 0.01425, True, "0.0143"),
        (ERROR, -0.0, True, "0.0000"),
        (PLAIN, 12345.4, True, "12,345"),
        (PLAIN, 2.5, True, "3"),
        (PLAIN, 1e300, True, f"{10**300:,}"),
        (PLAIN, np.float32(7), True, "7"),
    ],
)
def test_values_as_text(column: Column, value: float, unit: bool, text: str) -> None:
    assert column.write(value, unit) == text


A, B = share(0.9, 0.85, 0.94), share(0.8, 0.74, 0.85, n=150)
ONE = Summary(0.9, 0.85, 0.94, 200, 200, 1, (0.85, 0.94))
BOTH = Summary(0.85, 0.8, 0.9, 150, 200, 2, (0.74, 0.94))


@pytest.mark.parametrize(
    ("numbers", "why", "summary", "footnote"),
    [
        ((A,), "", ONE, ""),
        ((A,), "unused", ONE, ""),
        ((Number(0.9, 5),), "", Summary(0.9, None, None, 5, 5, 1, None), ""),
        ((Number(0.9, 5, NAN, 1.0),), "", Summary(0.9, None, None, 5, 5, 1, None), ""),
        ((A, B), "", BOTH, ""),
        ((A, Number(0.8, 9)), "", Summary(0.85, 0.8, 0.9, 9, 200, 2, None), ""),
        ((A, None, B), "stopped", BOTH, "1 of 3 seeds missing: stopped"),
        ((None, A), "", ONE, "1 of 2 seeds missing: not measured"),
        ((), "", None, "not measured"),
        ((None,), "", None, "not measured"),
        ((None, None), "the paper has none", None, "the paper has none"),
        ((Number(NAN, 0),), "", None, "there was no face to measure on"),
        ((Number(NAN, 7),), "", None, "the value is not a finite number"),
        ((Number(float("inf"), 7),), "", None, "the value is not a finite number"),
    ],
)
def test_cells(numbers: tuple[Number | None, ...], why: str, summary: Summary | None, footnote: str) -> None:
    cell = Cell(numbers, why)
    found = cell.summary()
    assert (found is None) == (summary is None)
    if found is not None and summary is not None:
        assert found.value == pytest.approx(summary.value)
        assert replace(found, value=summary.value) == summary
    assert cell.footnote() == footnote


REAL = Row("real faces", (Cell((share(0.99, 0.98, 1.0),)),), source="the judge's own accuracy")
REAL_THREE = replace(REAL, cells=(*REAL.cells, Cell((None,), "quoted"), Cell((None,), "quoted")))


@pytest.mark.parametrize(
    ("better", "cells", "leader"),
    [
        ("high", [share(0.9, 0.85, 0.94), share(0.7, 0.6, 0.8)], 0),
        ("high", [share(0.7, 0.6, 0.8), share(0.9, 0.85, 0.94)], 1),
        ("low", [share(0.9, 0.85, 0.94), share(0.7, 0.6, 0.8)], 1),
        (None, [share(0.9, 0.85, 0.94), share(0.7, 0.6, 0.8)], None),
        ("high", [share(0.9, 0.8, 0.94), share(0.7, 0.6, 0.8)], None),  # ends that touch
        ("high", [A, share(0.8, 0.78, 0.82), share(0.6, 0.3, 0.9)], None),  # a wide third
        ("high", [share(0.9, 0.85, 0.94), share(0.9, 0.85, 0.94)], None),
        ("high", [share(0.9, 0.85, 0.94), Number(0.5, 10)], None),
        ("high", [share(0.9, 0.85, 0.94), None], None),
        ("high", [share(0.9, 0.85, 0.94), None, share(0.5, 0.4, 0.6)], 0),
        ("high", [share(0.9, 0.85, 0.94), Number(NAN, 0), share(0.5, 0.4, 0.6)], 0),
        ("high", [share(0.9, 0.85, 0.94)], None),
        ("high", [], None),
    ],
)
def test_the_best_row_leads_beyond_doubt(
    better: str | None, cells: list[Number | None], leader: int | None
) -> None:
    rows = [row(f"system {k}", cell) for k, cell in enumerate(cells)]
    made = table((replace(SHARE, better=better),), *rows, REAL)
    assert made.best_row(0) == leader
    text, page = render_markdown(report(made), Path()), Page(render_html(report(made)))
    assert len(re.findall(r"\*\*\d+\.\d%\*\*", text)) == (leader is not None)
    assert [cell.get("class") for cell in page.all("td")].count("best") == (leader is not None)
    assert any("bold" in note for note in reading_notes(report(made))) == (leader is not None)


def test_several_seeds_compete_with_all_their_intervals() -> None:
    narrow = row("a", Cell((share(0.9, 0.85, 0.94), share(0.91, 0.86, 0.95))))
    apart, near = row("b", share(0.7, 0.6, 0.84)), row("c", share(0.7, 0.6, 0.855))
    assert table((SHARE,), narrow, apart).best_row(0) == 0
    assert table((SHARE,), narrow, near).best_row(0) is None


def test_markdown_table() -> None:
    made = table(
        (SHARE, ERROR, PLAIN),
        REAL_THREE,
        row(
            "best",
            Cell((A, share(0.88, 0.8, 0.9))),
            Cell((), "no decoder"),
            Cell((Number(120, 3), None), "ended"),
        ),
        row("paper", share(0.5, 0.43, 0.57), Number(0.0142, 200, 0.014, 0.0144), Number(NAN, 0)),
        row("authors", B, None, Number(99, 4)),
    )
    text = render_markdown(report(made), Path())
    assert markdown_rows(text) == [
        ["", "Smiling ↑", "MSE ↓ (n = 200)", "Faces/s"],
        ["real faces", "99.0% [98.0, 100.0] n = 200", "–¹", "–¹"],
        ["best (2 seeds)", "89.0% (88.0–90.0) n = 200", "–²", "120 n = 3³"],
        ["paper", "50.0% [43.0, 57.0] n = 200", "0.0142 [0.0140, 0.0144]", "–⁴"],
        ["authors", "80.0% [74.0, 85.0] n = 150", "–⁵", "99 n = 4"],
    ]
    assert "\n¹ quoted\n\n² no decoder\n\n³ 1 of 2 seeds missing: ended\n" in text
    assert "\n⁴ there was no face to measure on\n\n⁵ not measured\n" in text
    assert "- **MSE**: Mean squared error, pixels in [0, 1].\n" in text
    assert "- *real faces*: the judge's own accuracy\n" in text
    assert (
        "- **best**: preset best, seed 1, 720,000 faces seen, `aif-train --preset best --seed 1`; "
        "checkpoint `1123456789ab`; measured on faces 3f9a\n"
    ) in text
    assert text.count("checkpoint `") == 4


@pytest.mark.parametrize(
    ("numbers", "shown"),
    [
        ((Number(0.9, 200), Number(0.8, 200)), "85.0% (80.0–90.0)"),
        ((Number(-0.02, 200), Number(0.01, 200)), "−0.5% (−2.0 to 1.0)"),
        ((Number(0.9, 200), Number(0.8, 190)), "85.0% (80.0–90.0) n = 190–200"),
        ((Number(0.9, 1200), Number(0.9, 1200)), "90.0% (90.0–90.0) n = 1,200"),
        ((Number(0.9, 200), None), "90.0%¹"),
    ],
)
def test_several_seeds_in_one_cell(numbers: tuple[Number | None, ...], shown: str) -> None:
    made = table((SHARE,), row("many", Cell(numbers)), row("other", Number(0.5, 200)))
    assert (made.column_n(0) is None) == ("n =" in shown)
    assert markdown_rows(render_markdown(report(made), Path()))[1][1] == shown
    assert Page(render_html(report(made))).cells[1][1] == shown.replace(" n =", "n =").replace("¹", "1")


def test_references_do_not_spoil_a_shared_n() -> None:
    real = replace(REAL, cells=(Cell((share(0.9, 0.89, 0.91, n=2000),)),))
    made = table((SHARE,), real, row("a", A), row("b", A))
    assert made.column_n(0) == 200
    assert [cells[1] for cells in markdown_rows(render_markdown(report(made), Path()))] == [
        "Smiling ↑ (n = 200)",
        "90.0% [89.0, 91.0] n = 2,000",
        "90.0% [85.0, 94.0]",
        "90.0% [85.0, 94.0]",
    ]


@pytest.fixture
def picture(tmp_path: Path) -> Picture:
    path = tmp_path / "pictures & charts" / "faces (1).png"
    path.parent.mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (48, 96, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, dpi=(192, 192))
    return Picture("faces", "Faces", "Nobody's.", path)


def hostile(picture: Picture) -> Report:
    """All words that a report can hold are out to do harm."""
    bad = Provenance(HOSTILE, 0, HOSTILE, HOSTILE, HOSTILE, 1)
    column = Column("key", HOSTILE, HOSTILE, percent=True, better="high")
    rows = (
        Row(HOSTILE, (Cell((A,)), Cell((None,), HOSTILE)), (bad,)),
        Row(HOSTILE, (Cell((A,)), Cell((A,))), (), HOSTILE),
    )
    tables = Table(HOSTILE, HOSTILE, HOSTILE, (column, replace(column, key="other")), rows)
    shown = replace(picture, name='"><img src=x>', title=HOSTILE, caption=HOSTILE)
    return Report(HOSTILE, HOSTILE, HOSTILE, (tables, shown), (HOSTILE,))


def test_words_are_no_html(picture: Picture) -> None:
    plain = report(table((SHARE,), row("a", A)), picture)
    page, calm = (Page(render_html(made)) for made in (hostile(picture), plain))
    assert [len(p.all("script")) for p in (page, calm)] == [1, 1]
    assert len(page.all("img")) == 1
    harmless = {"ol", "ul", "li", "sup", "wbr", "code"}
    assert {tag for tag, _ in page.elements} <= {tag for tag, _ in calm.elements} | harmless
    assert page.all("h1") == [{}]
    shown = " ".join(HOSTILE.split()).replace("`", "")  # what stood between back-quotes is code
    assert page.cells[1][0] == shown
    assert page.inside("title") == [HOSTILE]
    assert page.inside("h1") == [shown]
    assert page.inside("pre").count(HOSTILE) == 2  # commands as they are
    assert "".join(page.inside("dd")).count(shown) == 5
    assert page.all("th")[1]["title"] == HOSTILE


def test_words_are_no_markdown(picture: Picture) -> None:
    text = render_markdown(hostile(picture), picture.path.parent)
    line = " ".join(HOSTILE.split())
    rows = markdown_rows(text)
    assert [len(cells) for cells in rows] == [3, 3, 3]
    assert rows[1] == [line.replace("`", ""), "90.0% [85.0, 94.0]", "–¹"]
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    assert [t.tag for t in tokens if t.type == "heading_open"] == ["h1", "h2", "h2"]
    assert not [t for t in tokens if t.type == "html_block"]
    children = [child for t in tokens for child in t.children or ()]
    pictures = [child for child in children if child.type == "image"]
    assert not [c for c in children if c.type in ("link_open", "html_inline")]
    assert [c.attrs["src"] for c in pictures] == ["faces%20%281%29.png"]
    codes = [c.content for c in children if c.type == "code_inline"]
    assert {*codes} == {"b", line, line[:12]}
    assert codes.count(line) == codes.count(line[:12]) == 1


@pytest.mark.parametrize("kind", ["hostile", "plain"])
def test_a_page_asks_nobody_for_anything(kind: str, picture: Picture) -> None:
    plain = report(table((SHARE,), row("a", A), row("b", None)), picture)
    page = Page(render_html(plain if kind == "plain" else hostile(picture)))
    places = {"src", "srcset", "href", "xlink:href", "action", "formaction", "poster", "data", "ping"}
    for tag, attributes in page.elements:
        for name in places & attributes.keys():
            assert str(attributes[name]).startswith(("#", "data:")), (tag, attributes)
    anchors = {str(a["href"])[1:] for a in page.all("a")}
    ids = [str(attributes["id"]) for _, attributes in page.elements if "id" in attributes]
    described = {str(a["aria-describedby"]) for a in page.all("th") if "aria-describedby" in a}
    assert anchors | described <= set(ids)
    assert len(set(ids)) == len(ids)
    (style,), (script,) = page.inside("style"), page.inside("script")
    assert not re.search(r"@import|url\(|http|//[a-z]", style)
    assert not re.search(r"http|fetch|XMLHttp|import|WebSocket|sendBeacon|eval", script)
    (policy,) = (a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert str(policy).startswith("default-src 'none'; img-src data:;")
    (image,) = page.all("img")
    start, data = str(image["src"]).split(",")
    assert start == "data:image/png;base64"
    assert base64.b64decode(data) == picture.path.read_bytes()
    assert (image["width"], image["height"]) == ("48", "24")  # 192 pixels an inch on a screen of 96


def test_code_in_back_quotes(tmp_path: Path) -> None:
    column = Column("eval", "by `a_b` of L_aux", "What `aif eval` says; a lone ` is none.", percent=True)
    made = report(table((column,), row("`best`, p(`y|z`)", A)), notes=("`a``b`",))
    text, page = render_markdown(made, tmp_path), Page(render_html(made))
    assert "| `best`, p(y\\|z) | 90.0% [85.0, 94.0] |" in text  # a table would end a cell at the bar
    assert "- **by `a_b` of L_aux**: What `aif eval` says; a lone \\` is none.\n" in text
    assert page.cells[:2] == [["System", "by a_b of L_auxn = 200"], ["best, p(y|z)", "90.0% [85.0, 94.0]"]]
    codes = page.inside("code")[1:-2]  # without the two commands and the checkpoint
    assert codes == ["a_b", "best", "y|z", "a_b", "aif eval", "best", "y|z", "best", "y|z"]


def test_html_table() -> None:
    made = table(
        (SHARE, ERROR),
        row("best", A, None),
        row("paper", B, Number(0.0142, 200)),
        replace(REAL_THREE, cells=REAL_THREE.cells[:2]),
    )
    page = Page(render_html(report(made)))
    assert page.cells == [
        ["System", "Smiling↑", "MSE↓ · n = 200"],
        ["best", "90.0% [85.0, 94.0]n = 200", "–1"],
        ["paper", "80.0% [74.0, 85.0]n = 150", "0.0142"],
        ["real faces", "99.0% [98.0, 100.0]n = 200", "–2"],
    ]
    assert [cell["data-sort"] for cell in page.all("td")] == ["0.9", "", "0.8", "0.0142", "0.99", ""]
    assert [head.get("data-kind") for head in page.all("th")[:3]] == ["words", "high first", "low first"]
    assert page.all("th")[1]["title"] == SHARE.definition
    bars = [str(bar["style"]) for bar in page.all("i")]
    assert bars[-6:-4] == ["width: 90.00%", "left: 85.00%; width: 9.00%"]
    assert [r.get("class") for r in page.all("tr")] == [None, None, None, "reference"]
    for words in ("aif-train --preset best --seed 0", origin("best").checkpoint, ERROR.definition, "quoted"):
        assert words in page.text


@pytest.mark.parametrize(
    ("number", "bar"),
    [
        (Number(0.5, 9, 0.4, 0.6), ["width: 50.00%", "left: 40.00%; width: 20.00%"]),
        (Number(0.5, 9), ["width: 50.00%", "left: 50.00%; width: 0.00%"]),
        (Number(1.0, 9, 0.9, 1.02), ["width: 100.00%", "left: 90.00%; width: 10.00%"]),
        (Number(-0.1, 9, -0.2, 0.1), []),
        (Number(NAN, 0), []),
    ],
)
def test_bars_of_shares(number: Number, bar: list[str]) -> None:
    page = Page(render_html(report(table((SHARE,), row("a", number)))))
    sample = 2 if bar else 0  # the one that explains how to read it
    assert [str(i["style"]) for i in page.all("i")][sample:] == bar


def no_constant(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


def test_json_round_trip(picture: Picture) -> None:
    cells = (Cell((A, None, Number(NAN, 0)), HOSTILE), Cell((Number(np.float32(0.5), np.int64(3)),) * 3))  # type: ignore[arg-type]
    rows = (
        Row("best", cells, tuple(origin("best", seed) for seed in range(3))),
        Row("real", (*REAL.cells, Cell(())), (), "the judge"),
    )
    made = report(table((SHARE, PLAIN), *rows), picture, notes=(HOSTILE,))
    values = json.loads(render_json(made, picture.path.parents[1]), parse_constant=no_constant)
    read, shown = values["parts"]
    for key in ("title", "budget", "command"):
        assert values[key] == getattr(made, key)
    assert values["notes"] == [HOSTILE]
    assert shown["path"] == "pictures & charts/faces (1).png"
    assert tuple(Column(**column) for column in read["columns"]) == (SHARE, PLAIN)
    again = tuple(Provenance(**one) for one in read["rows"][0]["provenance"])
    assert again == rows[0].provenance
    smile, speed = read["rows"][0]["cells"]
    first, second, third = smile["numbers"]
    assert first == {**asdict(A), **asdict(origin("best"))}
    assert first["checkpoint"] == origin("best").checkpoint
    assert second is None
    assert (third["value"], third["n"], third["low"], third["seed"]) == (None, 0, None, 2)
    assert smile["why_missing"] == f"2 of 3 seeds missing: {HOSTILE}"
    assert smile["summary"] == {**asdict(ONE), "hull": [0.85, 0.94]}
    assert [number["value"] for number in speed["numbers"]] == [0.5] * 3
    reference, empty = read["rows"][1]["cells"]
    assert reference["numbers"] == [
        {"value": 0.99, "n": 200, "low": 0.98, "high": 1.0, "source": "the judge"}
    ]
    assert (empty["numbers"], empty["summary"], empty["why_missing"]) == ([], None, "not measured")


def test_a_huge_table() -> None:
    columns = tuple(replace(SHARE, key=f"c{k}", label=f"Attribute {k}") for k in range(20))
    cells = tuple(Cell((share(0.5, 0.4, 0.6),)) for _ in columns)
    rows = tuple(Row(f"system {k}", cells, (origin("best", k),)) for k in range(150))
    made = report(table(columns, *rows))
    assert render_markdown(made, Path()).count("| 50.0% [40.0, 60.0]") == 3000
    assert render_html(made).count("<td ") == 3000
    assert len(json.loads(render_json(made, Path()))["parts"][0]["rows"]) == 150


@pytest.mark.parametrize("columns", [(), (SHARE,)])
def test_a_table_without_rows_or_columns(columns: tuple[Column, ...], tmp_path: Path) -> None:
    empty = table(columns)
    assert "Nothing was measured." in render_markdown(report(empty), tmp_path)
    assert "Nothing was measured." in render_html(report(empty))
    assert json.loads(render_json(report(empty), tmp_path))["parts"][0]["rows"] == []
    bare = report(table((), row("a")))
    assert markdown_rows(render_markdown(bare, tmp_path)) == [[""], ["a"]]
    assert Page(render_html(bare)).cells == [["System"], ["a"]]


def test_reports_that_make_no_sense() -> None:
    with pytest.raises(ConfigError, match="empty"):
        report()
    with pytest.raises(ValueError, match="share a name"):
        report(table(()), table(()))
    with pytest.raises(ValueError, match="share a key"):
        table((SHARE, SHARE))
    with pytest.raises(ValueError, match="1 cells for 2 columns"):
        table((SHARE, ERROR), row("a", A))
    with pytest.raises(ValueError, match="each of the 2 seeds"):
        table((SHARE, ERROR), row("a", Cell((A, B)), Cell((A,))))
    with pytest.raises(ValueError, match="better"):
        replace(SHARE, better="higher")


def test_pictures_that_cannot_be_shown(picture: Picture, tmp_path: Path) -> None:
    missing = report(replace(picture, path=tmp_path / "gone.png"))
    for write in (render_html, lambda r: render_markdown(r, tmp_path), lambda r: render_json(r, tmp_path)):
        with pytest.raises(DataError, match=r"gone\.png"):
            write(missing)
    for name, content in (
        ("empty.png", b""),
        ("text.png", b"<svg onload=alert(1)>"),
        ("cut.png", b"\x89PNG\r\n\x1a\n"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match="no readable PNG"):
            render_html(report(replace(picture, path=tmp_path / name)))
    Image.new("RGB", (8, 8)).save(tmp_path / "photo.jpg")
    with pytest.raises(DataError, match="no readable PNG"):
        render_html(report(replace(picture, path=tmp_path / "photo.jpg")))


def longest_run(pixels: np.ndarray[Any, np.dtype[np.uint8]], colour: str) -> tuple[int, int]:
    """Start and length in pixels of the longest horizontal run of a colour."""
    wanted = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)])
    hits = np.abs(pixels.astype(int) - wanted).max(axis=2) <= 2
    edges = np.diff(np.pad(hits, ((0, 0), (1, 1))).astype(int), axis=1)
    starts, ends = np.nonzero(edges == 1)[1], np.nonzero(edges == -1)[1]
    lengths = np.append(ends - starts, 0)
    return int(np.append(starts, 0)[lengths.argmax()]), int(lengths.max())


def test_chart(tmp_path: Path) -> None:
    eyes = replace(
        SHARE, key="eyes", label="A very long name of an attribute that no one would ever give $x$"
    )
    several = Cell((share(0.75, 0.7, 0.8), None, share(0.85, 0.8, 0.9)))
    made = table(
        (SHARE, ERROR, eyes),
        replace(REAL_THREE, cells=(Cell((Number(1.0, 9),)), Cell((None,)), Cell((Number(1.0, 9),)))),
        row("half <$&>", share(0.5, 0.45, 0.55), None, None),
        row("most", several, Cell((None,) * 3), Cell((Number(NAN, 0),) * 3)),
    )
    path = tmp_path / "new" / "bars.png"
    bar_chart(made, ("smile", "eyes"), path)
    assert [p.name for p in path.parent.iterdir()] == ["bars.png"]
    first = path.read_bytes()
    bar_chart(made, ("smile", "eyes"), path)
    assert path.read_bytes() == first
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    start, full = longest_run(pixels, REFERENCE)
    assert full == pytest.approx((0.99 * pixels.shape[1] - start) / 1.07, abs=3)  # the scale ends at 107%
    for colour, length in ((PALETTE[0], 0.5), (PALETTE[1], 0.8)):
        assert longest_run(pixels, colour) == pytest.approx((start, length * full), abs=3)
    assert longest_run(pixels, PALETTE[2])[1] < 5
    bar_chart(made, ("mse",), path)  # nothing but gaps
    bar_chart(table((PLAIN,), *(row(f"r{k}", Number(9.0 * k - 90, 3)) for k in range(20))), ("speed",), path)
    assert path.read_bytes() != first


@pytest.mark.parametrize(
    ("keys", "rows", "message"),
    [
        (("smille",), 1, "Did you mean smile"),
        ((), 1, "nothing to draw"),
        (("smile",), 0, "nothing to draw"),
        (("smile", "mse"), 1, "one scale"),
    ],
)
def test_charts_that_make_no_sense(keys: tuple[str, ...], rows: int, message: str, tmp_path: Path) -> None:
    made = table((SHARE, ERROR), *(row("a", A, A) for _ in range(rows)))
    with pytest.raises(ConfigError, match=message):
        bar_chart(made, keys, tmp_path / "bars.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "text", ["1. first", "12) x", "- a", "+ a", "# a", "=== a", "3.5 times", "1 - 2", "`x`-y", "* a"]
)
def test_words_that_look_like_the_start_of_something(text: str) -> None:
    tokens = MarkdownIt("commonmark").parse(literal(text))
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    assert "".join(child.content for child in tokens[1].children or ()) == text.replace("`", "")
