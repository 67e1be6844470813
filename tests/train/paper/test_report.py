"""Reports: what a cell shows, who leads a column, and that each form holds all of it and nothing harmful."""

import json
from dataclasses import replace

import numpy as np
import pytest
from markdown_it import MarkdownIt
from PIL import Image

from aif.train.paper.columns import Column
from aif.train.paper.pictures import Strip, draw_strips
from aif.train.paper.report import Picture, Report, Table, cell, leader, markdown, number_table, write_report

NAN = float("nan")
HOSTILE = '<script>alert("1")</script> | **a** `b` & [c](https://example.com/x) $d$ _e_ </td>\n# f'
SHARE = Column("smile", "Smiling", "Share of faces that smile.", percent=True, better="high")
ERROR = Column("mse", "MSE", "Mean squared error.", digits=4, better="low")
COUNT = Column("speed", "Faces/s", "Speed of training.", digits=0)


def row(label="ours", value=0.9, low=NAN, high=NAN, **more):
    about = {"n": 200, "seed": 0, "why": "stopped", "checkpoint": f"{label}{more.get('seed', 0)}" * 9}
    origin = {"preset": label, "data": "faces 3f9a", "faces_seen": 720_000, "command": f"aif-train {label}"}
    found = {"table": "edits", "label": label, "key": "mse", "value": value, "low": low, "high": high}
    return {**found, **about, **origin, **more}


def made(*rows, parts=None, **changes):
    keys = tuple(dict.fromkeys(one["key"] for one in rows))
    parts = (Table("edits", "Edits", "What the evaluator sees.", keys),) if parts is None else parts
    return replace(Report("Five", "720,000 faces.", "aif eval all", parts, number_table(rows)), **changes)


def text_of(report):
    return markdown(report, str)


@pytest.mark.parametrize(
    ("measure", "value", "unit", "text"),
    [
        (SHARE, 0.986, True, "98.6%"),
        (SHARE, 0.986, False, "98.6"),
        (SHARE, 13 / 16, True, "81.3%"),  # a half, which Python's formatting would round to 81.2
        (SHARE, 1.0, True, "100.0%"),
        (SHARE, -0.0004, True, "0.0%"),
        (ERROR, 0.01425, True, "0.0143"),
        (ERROR, -0.0, True, "0.0000"),
        (COUNT, 12345.4, True, "12,345"),
        (COUNT, 2.5, True, "3"),
    ],
)
def test_values_as_text(measure, value, unit, text):
    assert measure.write(value, unit) == text


@pytest.mark.parametrize(
    ("seeds", "n", "text"),
    [
        ([row(value=0.9, low=0.85, high=0.94)], 200, "90.0% [85.0, 94.0]"),
        ([row(value=0.9, low=0.85, high=0.94)], None, "90.0% [85.0, 94.0], n = 200"),
        ([row(value=0.9, n=3)], 200, "90.0%, n = 3"),
        ([row(value=0.9), row(value=0.8, seed=1)], 200, "85.0% (80.0\N{EN DASH}90.0)"),
        ([row(value=NAN)], None, "\N{EN DASH}"),
        ([], 200, "\N{EN DASH}"),
    ],
)
def test_cells(seeds, n, text):
    assert cell(number_table(seeds), SHARE, n) == text


@pytest.mark.parametrize(
    ("better", "ends", "first"),
    [
        ("high", [(0.85, 0.94), (0.6, 0.8)], "0"),
        ("high", [(0.6, 0.8), (0.85, 0.94)], "1"),
        ("low", [(0.85, 0.94), (0.6, 0.8)], "1"),
        (None, [(0.85, 0.94), (0.6, 0.8)], None),
        ("high", [(0.8, 0.94), (0.6, 0.8)], None),  # ends that touch
        ("high", [(0.85, 0.94), (0.78, 0.82), (0.3, 0.9)], None),  # a wide third
        ("high", [(0.85, 0.94), (NAN, NAN)], None),
        ("high", [(0.85, 0.94)], None),
        ("high", [], None),
    ],
)
def test_the_best_leads_beyond_doubt(better, ends, first):
    rows = [row(str(label), sum(e) / 2 if e[0] == e[0] else 0.5, *e) for label, e in enumerate(ends)]
    reference = row("real faces", 0.99, 0.98, 1.0, checkpoint=None)
    assert leader(number_table([*rows, reference]), replace(SHARE, better=better)) == first


def test_every_form_holds_the_numbers_and_where_they_come_from(tmp_path):
    picture = Picture("faces", "Faces [1]", "Edited.", tmp_path / "a picture).png")
    rows = [
        row("ours", 0.0128, 0.0124, 0.0133),
        row("rival", 0.0215, 0.0209, 0.0222),
        row("rival", NAN, key="ssim"),
    ]
    report = made(*rows)
    write_report(replace(report, parts=(*report.parts, picture), notes=("Mind it.",)), tmp_path, "r")
    text, stored = (tmp_path / "r.md").read_text(), json.loads((tmp_path / "r.json").read_text())
    assert "| ours | **0.0128 [0.0124, 0.0133]** | \N{EN DASH} |" in text
    assert "(<a picture).png>)" in text and "(1) stopped" in text
    for wanted in ("(n = 200)", "aif-train rival", "720,000 faces seen", "Mind it."):
        assert wanted in text
    assert stored["numbers"][0]["value"] == 0.0128 and stored["numbers"][2]["value"] is None
    assert stored["numbers"][1]["checkpoint"] == "rival0" * 9 and stored["notes"] == ["Mind it."]


def test_hostile_words_stay_words():
    one = row(HOSTILE, 0.5, why=HOSTILE, data=HOSTILE, command=HOSTILE, preset=HOSTILE)
    report = made(one, row(HOSTILE, NAN, key="ssim", why=HOSTILE), title=HOSTILE, notes=(HOSTILE,))
    tokens = MarkdownIt("commonmark").enable("table").parse(text_of(report))
    kinds = {child.type for token in tokens for child in token.children or ()}
    assert kinds <= {"text", "text_special", "strong_open", "strong_close", "softbreak"}  # no link, no code
    assert not any(token.type.startswith("html") for token in tokens)
    shown = "".join(child.content for token in tokens for child in token.children or ())
    assert shown.count(" ".join(HOSTILE.split())) >= 8


def test_edited_faces_stand_under_their_headings(tmp_path):
    faces = np.zeros((2, 3, 16, 16), np.float32)
    strips = [Strip(label, {"original": faces, "Smiling on": faces}) for label in ("ours", "rival")]
    draw_strips(strips, tmp_path / "grid.png")
    with Image.open(tmp_path / "grid.png") as picture:
        dark = np.asarray(picture.convert("L")) < 128
    assert dark[:17].any() and dark[:, :12].any() and 0.5 < dark.mean() < 0.95
