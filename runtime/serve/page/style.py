"""How the page looks: its theme, which fetches nothing from elsewhere, and its own rules."""

from __future__ import annotations

from typing import Any

# Fonts that every system has; Gradio's themes would take theirs from elsewhere.
FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
MONOSPACED = ["ui-monospace", "Menlo", "Consolas", "monospace"]


def theme() -> Any:
    """Quiet colours: the photo is to be looked at, not the page."""
    from gradio.themes import Base, colors, sizes

    return Base(
        primary_hue=colors.teal,
        secondary_hue=colors.teal,
        neutral_hue=colors.stone,
        radius_size=sizes.radius_lg,
        font=FONTS,
        font_mono=MONOSPACED,
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


CSS = """
.gradio-container { width: 100% !important; max-width: 1240px !important; margin: 0 auto !important;
  padding: 20px 24px !important; }
.gradio-container main, .gradio-container .main.app, .gradio-container .wrap:has(> main) {
  padding: 0 !important; width: 100% !important; }
.gradio-container .html-container, .gradio-container .prose { padding: 0 !important; }
#head h1 { font-size: 22px; font-weight: 650; margin: 0; letter-spacing: -0.01em; }
#head p { margin: 2px 0 6px; color: var(--body-text-color-subdued); font-size: 14px; }
#columns { gap: 20px; align-items: flex-start; }
#panel, #sweep { background: var(--block-background-fill); border-radius: 14px; padding: 18px 20px;
  border: 1px solid var(--border-color-primary); gap: 14px; }
#panel .block, #sweep .block { padding: 0 !important; overflow: visible !important; }
#panel .form, #sweep .form { border: 0; gap: 14px; overflow: visible; background: none; box-shadow: none; }
#panel h2, #sweep h2 { font-size: 15px; font-weight: 600; margin: 0; }
#panel h3 { font-size: 13px; font-weight: 600; margin: 6px 0 -6px; color: var(--body-text-color-subdued); }
#hint { color: var(--body-text-color-subdued); font-size: 13px; line-height: 1.45; margin-top: -8px; }
#photo, #compare { border-radius: 14px; overflow: hidden; border: 1px solid var(--border-color-primary); }
.attribute .head { margin-bottom: 5px !important; flex-flow: row nowrap !important;
  align-items: center !important; justify-content: space-between; }
.attribute .tab-like-container { margin: 0 !important; }
.attribute [data-testid="block-info"] { font-weight: 500; font-size: 14px; margin: 0; }
.attribute .min_value, .attribute .max_value, .attribute .reset-button { display: none !important; }
.attribute input[type="number"] { width: 64px; text-align: right; border-radius: 8px !important; }
.attribute .slider_input_container { position: relative; height: 16px; }
.attribute input[type="range"]::-webkit-slider-thumb { border: 1px solid #8a8580; box-shadow: none; }
.attribute input[type="range"]::-moz-range-thumb { border: 1px solid #8a8580; box-shadow: none; }
/* The mark: where the model sees the face. A range's thumb is 16 px wide and stays inside its track. */
.attribute .slider_input_container::after { content: ""; position: absolute; pointer-events: none;
  left: calc(8px + (100% - 16px) * var(--seen, 0)); top: 50%; width: 3px; height: 18px;
  margin: -9px 0 0 -1.5px; border-radius: 2px; background: #e08700; visibility: var(--marked, hidden); }
.key { display: inline-block; width: 3px; height: 12px; border-radius: 2px; background: #e08700;
  vertical-align: -1px; margin-right: 5px; }
#marks { display: none; }
#another, #download { white-space: nowrap; }
#strip:empty, #strip:not(:has(figure)) { display: none; }
.strip { display: grid; grid-template-columns: repeat(4, 1fr); gap: 10px; }
#strip figure { margin: 0; min-width: 0; }
#strip img { width: 100%; display: block; border-radius: 8px; margin: 0; }
#strip figcaption { font-size: 12px; color: var(--body-text-color-subdued); text-align: center;
  margin-top: 3px; }
footer { display: none !important; }
@media (min-width: 701px) { #panel { position: sticky; top: 16px; } }
@media (max-width: 700px) {
  .gradio-container { padding: 12px 12px 24px !important; }
  #head h1 { font-size: 19px; }
  /* Picture, sliders, sweep: one under the other, with what is moved near to what it changes. */
  #columns { gap: 12px; }
  #left { display: contents; }
  #panel { order: 1; padding: 14px 16px; }
  #actions { order: 2; }
  #sweep { order: 3; padding: 14px 16px; }
  #photo { height: 340px !important; }
  .strip { grid-template-columns: repeat(2, 1fr); }
}
"""

# A slider, as the sign of the page in the browser's bar.
ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">'
    '<rect width="32" height="32" rx="8" fill="#0f766e"/>'
    '<rect x="6" y="14" width="20" height="4" rx="2" fill="#fff"/>'
    '<circle cx="20" cy="16" r="5" fill="#e08700"/></svg>'
)

# The page may load and send nothing from or to elsewhere, whatever Gradio's code would like.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self' data: blob:; worker-src 'self' blob:; frame-ancestors 'self'; form-action 'self'"
)
