"""The edited camera picture in a window, with nothing but OpenCV.

python opencv_loop.py                       # the first camera; q quits, + and - change the strength
python opencv_loop.py clip.mp4 Blond_Hair   # a file, another attribute
"""

from __future__ import annotations

import sys
import time

import cv2

from aif.runtime import Editor, VideoEditor
from aif.runtime.errors import AifError

TITLE, STEP = "aif", 0.25


def main(source: str = "0", attribute: str = "Smiling") -> None:
    """Show the frames of a camera (by its number) or file until they end or q is pressed."""
    capture = cv2.VideoCapture(int(source) if source.isdecimal() else source)
    if not capture.isOpened():
        raise SystemExit(f"{source} cannot be opened.")
    strength = 1.0
    try:
        with Editor.load() as editor, VideoEditor(editor, {attribute: strength}) as video:
            info = editor.model.manifest.attributes[editor.attributes.index(attribute)]
            while True:
                there, frame = capture.read()
                if not there:
                    break
                # Frames without a face come back as they are. The times only have to rise.
                result = video.process(frame, time.monotonic())
                cv2.imshow(TITLE, result.image_hwc_bgr)
                key = chr(cv2.waitKey(1) & 0xFF)
                if key == "q":
                    break
                if key in "+-":
                    wanted = strength + (STEP if key == "+" else -STEP)
                    strength = min(max(wanted, info.minimum), info.maximum)
                    video.set_edits({attribute: strength})
    except AifError as error:  # says what to do about it
        raise SystemExit(str(error)) from None
    finally:
        capture.release()
        cv2.destroyAllWindows()


if __name__ == "__main__":
    main(*sys.argv[1:])
