"""The editing of a live picture: faces found beside, values changed while it runs, on and off."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aif.runtime.arrays import UInt8Array
from aif.runtime.bundle.manifest import Mode
from aif.runtime.editing.editor import Editor, FaceChoice
from aif.runtime.tracking.tracker import FaceTracker
from aif.runtime.video.editor import VideoEditor, VideoFrameResult, landmark_finder


class LiveEdit:
    """What a `LiveSession` calls for each frame. The rest may be called from any thread.

        with Editor.load() as editor, closing(LiveEdit(editor, {"Smiling": 1.0})) as edit:
            with LiveSession(lambda: open_camera(0), edit) as session:
                ...

    Attributes:
        on: whether edits show; the faces are followed and encoded either way.
    """

    def __init__(
        self,
        editor: Editor,
        edits: Mapping[str, float],
        mode: Mode | None = None,
        faces: FaceChoice = "all",
        threads: int | None = None,
    ) -> None:
        """Begin; faces are detected in a thread of their own where the bundle has a landmark network.
        Arguments and errors as `VideoEditor`.
        """
        self._tracker = FaceTracker(editor, landmark_finder(editor, threads), background=True)
        self._frames = VideoEditor(editor, edits, mode, faces, tracker=self._tracker)
        self.on = True

    def __call__(
        self, image_hwc_bgr: UInt8Array, time_s: float
    ) -> Callable[[], tuple[UInt8Array, VideoFrameResult]]:
        """What makes the frame as it is to be shown, and tells what is known of its faces."""
        picture = self._frames.begin(image_hwc_bgr, time_s)

        def shown() -> tuple[UInt8Array, VideoFrameResult]:
            result = picture()
            return (result.image_hwc_bgr if self.on else image_hwc_bgr), result

        return shown

    def set_edits(self, edits: Mapping[str, float]) -> None:
        """Change what is edited, from the next frame on; errors as at the beginning."""
        self._frames.set_edits(edits)

    def close(self) -> None:
        """Let go of tracker and faces, and end the detecting thread."""
        self._frames.close()
        self._tracker.close()
