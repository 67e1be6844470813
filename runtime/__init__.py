"""Edit faces with NumPy, OpenCV and ONNX Runtime.

Importing this package is cheap; what it offers is loaded on first use:

    from aif.runtime import Editor

    with Editor.load() as editor:
        result = editor.edit(frame_hwc_bgr, {"Smiling": 1.0})
"""

from __future__ import annotations

import importlib
import logging
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aif.runtime.bundle.bundle import Bundle, write_bundle
    from aif.runtime.bundle.manifest import Manifest
    from aif.runtime.editing.crops import EditedCrops
    from aif.runtime.editing.editor import Editor, EditResult, FaceAnalysis, FaceEdit
    from aif.runtime.faces.detect import Detection, Detector, HaarDetector, YuNetDetector, make_detector
    from aif.runtime.faces.landmarks import LandmarkNet
    from aif.runtime.model.model import Encoding, FaceModel
    from aif.runtime.tracking.tracker import FaceTracker
    from aif.runtime.video.editor import VideoEditor, VideoFrameResult
    from aif.runtime.video.frame_worker import FrameWorker
    from aif.runtime.video.pipeline import run_pipeline
    from aif.runtime.video.read import VideoSource
    from aif.runtime.video.write import VideoSink

_HOMES = {
    "bundle.bundle": ("Bundle", "write_bundle"),
    "bundle.manifest": ("Manifest",),
    "editing.crops": ("EditedCrops",),
    "editing.editor": ("EditResult", "Editor", "FaceAnalysis", "FaceEdit"),
    "faces.detect": ("Detection", "Detector", "HaarDetector", "YuNetDetector", "make_detector"),
    "faces.landmarks": ("LandmarkNet",),
    "model.codes": ("Encoding",),
    "model.model": ("FaceModel",),
    "tracking.tracker": ("FaceTracker",),
    "video.editor": ("VideoEditor", "VideoFrameResult"),
    "video.frame_worker": ("FrameWorker",),
    "video.pipeline": ("run_pipeline",),
    "video.read": ("VideoSource",),
    "video.write": ("VideoSink",),
}

# ONNX Runtime (1.31) puts a device id and a database into the home folder as it is imported, and reports to
# Microsoft twelve seconds later; `disable_telemetry_events` comes too late. All of aif imports this first.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# What is logged goes where the program wants it, and nowhere while it has not said so.
logging.getLogger(__name__).addHandler(logging.NullHandler())

_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Bundle",
    "Detection",
    "Detector",
    "EditResult",
    "EditedCrops",
    "Editor",
    "Encoding",
    "FaceAnalysis",
    "FaceEdit",
    "FaceModel",
    "FaceTracker",
    "FrameWorker",
    "HaarDetector",
    "LandmarkNet",
    "Manifest",
    "VideoEditor",
    "VideoFrameResult",
    "VideoSink",
    "VideoSource",
    "YuNetDetector",
    "make_detector",
    "run_pipeline",
    "write_bundle",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("aif")
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
