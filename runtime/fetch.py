"""Optional files from the network: fetched on an explicit command, never silently, and always verified."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

from aif.runtime.errors import AifError, ConfigError

YUNET_URL = "https://github.com/opencv/opencv_zoo/raw/main/models/face_detection_yunet/face_detection_yunet_2023mar.onnx"
YUNET_SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
_YUNET_FILE = "face_detection_yunet_2023mar.onnx"


def cache_folder() -> Path:
    """The folder for fetched files: `AIF_CACHE` where set, else the user's cache folder. May not exist."""
    own = os.environ.get("AIF_CACHE")
    if own:
        return Path(own)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "aif"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "aif"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aif"


def yunet_path() -> Path | None:
    """The YuNet file to use: the one that `AIF_YUNET` names, else the fetched one, else None."""
    named = os.environ.get("AIF_YUNET")
    if named:
        if not Path(named).is_file():
            raise ConfigError(
                f"AIF_YUNET names {named}, which is no file.",
                "Correct it, or unset it to use the default detector.",
            )
        return Path(named)
    fetched = cache_folder() / _YUNET_FILE
    if not fetched.is_file():
        return None
    if hashlib.sha256(fetched.read_bytes()).hexdigest() != YUNET_SHA256:
        raise ConfigError(f"{fetched} is damaged.", "Fetch it again with: aif fetch yunet (or delete it).")
    return fetched


def fetch_yunet(url: str = YUNET_URL) -> Path:
    """Download YuNet (230 kB, MIT licence) from OpenCV's model zoo into the cache, unless it is there."""
    import pooch

    try:
        return Path(pooch.retrieve(url, f"sha256:{YUNET_SHA256}", _YUNET_FILE, cache_folder()))
    except Exception as error:  # requests' errors, ValueError for a wrong hash, OSError for the folder
        raise AifError(
            f"YuNet could not be fetched: {str(error).strip() or type(error).__name__}",
            f"Check the network, or fetch {url} by other means and name the file with AIF_YUNET.",
        ) from error
