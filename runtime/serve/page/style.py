"""How the page looks: a theme that fetches nothing from elsewhere; page.css has its own rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

CSS = Path(__file__).with_name("page.css")
ICON = Path(__file__).with_name("icon.svg")
"""A slider, as the sign of the page in the browser's bar."""


def theme() -> Any:
    """Quiet colours: the photo is to be looked at, not the page."""
    from gradio.themes import Base, colors, sizes

    return Base(
        primary_hue=colors.teal,
        secondary_hue=colors.teal,
        neutral_hue=colors.stone,
        radius_size=sizes.radius_lg,
        # Fonts that every system has; Gradio's themes would take theirs from elsewhere.
        font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
        font_mono=["ui-monospace", "Menlo", "Consolas", "monospace"],
    ).set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        body_text_color_subdued="*neutral_500",
        body_text_color_subdued_dark="*neutral_400",
        block_background_fill="white",
        block_background_fill_dark="*neutral_900",
        block_border_width="0px",
        block_shadow="none",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_text_color="white",
        slider_color="*primary_600",
    )


# The page may load and send nothing from or to elsewhere, whatever Gradio's code would like.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self' data: blob:; worker-src 'self' blob:; frame-ancestors 'self'; form-action 'self'"
)
