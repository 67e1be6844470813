"""Live pictures to a virtual camera, which video-call programs list like any other."""

from __future__ import annotations

import sys
import threading
from typing import Any

from aif.runtime.arrays import UInt8Array
from aif.runtime.errors import AifError
from aif.runtime.live.camera import CameraError
from aif.runtime.live.fit import fitted
from aif.runtime.threads import Channel

_NEEDS = {
    "linux": "It needs the kernel module v4l2loopback: sudo apt install v4l2loopback-dkms && "
    "sudo modprobe v4l2loopback exclusive_caps=1",
    "darwin": "It needs OBS Studio 30 or later: start its virtual camera once, stop it, and close OBS.",
    "win32": "It needs OBS Studio, which brings a virtual camera.",
}


class VirtualCamera:
    """Sends the newest picture to a virtual camera, from a thread of its own. `put` never waits or fails.

    `error`: why sending stopped; None while it goes on.
    """

    def __init__(self, width: int, height: int, fps: float = 30.0) -> None:
        """Open it for pictures of this size (others are fitted into it) and about this rate.

        Raises:
            AifError: the package pyvirtualcam is not installed.
            CameraError: there is no virtual camera on this machine, or another program uses it.
        """
        try:
            import pyvirtualcam
        except ImportError as error:
            fix = 'Install it with: pip install "aif[camera]"'
            raise AifError("--virtual-camera needs the package pyvirtualcam.", fix) from error
        try:
            self._camera: Any = pyvirtualcam.Camera(width, height, fps, fmt=pyvirtualcam.PixelFormat.BGR)
        except (RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise CameraError(f"No virtual camera: {reason}", _NEEDS.get(sys.platform)) from error
        self.device = str(self._camera.device)
        self.error: str | None = None
        self._size = (width, height)
        self._newest: Channel[UInt8Array] = Channel()
        self._thread = threading.Thread(target=self._work, name="aif-virtual-camera", daemon=True)
        self._thread.start()

    def put(self, image_hwc_bgr: UInt8Array) -> None:
        """Show a picture, uint8 (H, W, 3), which is not to be changed afterwards."""
        self._newest.put(image_hwc_bgr, "drop")

    def close(self) -> None:
        """Give the virtual camera back. Calling it twice does no harm."""
        self._newest.close()
        self._thread.join(timeout=5)

    def _work(self) -> None:
        try:
            for image in self._newest:
                self._camera.send(fitted(image, self._size))
        except Exception as error:  # whatever it is, the view goes on
            self.error = str(error) or type(error).__name__
        finally:
            self._camera.close()
