"""Write a report in its three forms."""

from __future__ import annotations

from pathlib import Path

from aif.train.paper.render_html import render_html
from aif.train.paper.render_json import render_json
from aif.train.paper.render_markdown import render_markdown
from aif.train.paper.report import Report


def write_report(report: Report, out: Path, name: str) -> None:
    """Write NAME.md, NAME.json and NAME.html into the folder `out`, each whole or not at all."""
    out.mkdir(parents=True, exist_ok=True)
    texts = {
        "md": render_markdown(report, out),
        "json": render_json(report, out),
        "html": render_html(report),
    }
    for suffix, text in texts.items():
        partial = out / f"{name}.{suffix}.partial"
        partial.write_text(text, encoding="utf-8")
        partial.replace(out / f"{name}.{suffix}")
