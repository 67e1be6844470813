"""Edit faces with NumPy, OpenCV and ONNX Runtime.

Importing this package is cheap; what it offers is loaded on first use:

    from aif.runtime import Editor

    with Editor.load() as editor:
        result = editor.edit(frame_hwc_bgr, {"Smiling": 1.0})
"""

from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aif.runtime.bundle import Bundle, write_bundle
    from aif.runtime.crops import EditedCrops
    from aif.runtime.detect import Detection, Detector, HaarDetector, YuNetDetector, make_detector
    from aif.runtime.editor import Editor, EditResult, FaceAnalysis, FaceEdit
    from aif.runtime.faces.landmarks import LandmarkNet
    from aif.runtime.frame_worker import FrameWorker
    from aif.runtime.manifest import Manifest
    from aif.runtime.model import Encoding, FaceModel
    from aif.runtime.tracking import FaceTracker
    from aif.runtime.video_editor import VideoEditor, VideoFrameResult
    from aif.runtime.video_pipeline import run_pipeline
    from aif.runtime.video_read import VideoSource
    from aif.runtime.video_write import VideoSink

_HOMES = {
    "bundle": ("Bundle", "write_bundle"),
    "crops": ("EditedCrops",),
    "detect": ("Detection", "Detector", "HaarDetector", "YuNetDetector", "make_detector"),
    "editor": ("EditResult", "Editor", "FaceAnalysis", "FaceEdit"),
    "frame_worker": ("FrameWorker",),
    "faces.landmarks": ("LandmarkNet",),
    "manifest": ("Manifest",),
    "model": ("Encoding", "FaceModel"),
    "tracking": ("FaceTracker",),
    "video_editor": ("VideoEditor", "VideoFrameResult"),
    "video_pipeline": ("run_pipeline",),
    "video_read": ("VideoSource",),
    "video_write": ("VideoSink",),
}
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
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
