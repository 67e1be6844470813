"""For mkdocs: the folders at the top of the checkout as the package `aif` of the API reference."""

import sys
import tempfile
from pathlib import Path

_FOLDER = tempfile.TemporaryDirectory(prefix="aif-pages-")


def on_startup(**_: object) -> None:
    """Before anything is read: link the folders, and look there first."""
    package = Path(_FOLDER.name) / "aif"
    package.mkdir()
    for name in ("cli", "export", "runtime", "train"):
        (package / name).symlink_to(Path(__file__).parents[1] / name)
    sys.path.insert(0, _FOLDER.name)
