"""A detector beside the editing thread: live frames do not wait for it, its answers come when they come."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait

from aif.runtime.arrays import UInt8Array
from aif.runtime.faces.detect import Detection, Detector
from aif.runtime.threads import step_back


class BackgroundDetector:
    """Looks at one frame at a time, beside its caller. Not for several threads at once."""

    def __init__(self, detector: Detector) -> None:
        """Use `detector`; threads start with the first frame."""
        self._detector = detector
        self._answer: Future[list[Detection]] | None = None
        self._closed = False
        # A thread can step back behind others, but not forward again: so there is one for each kind of frame.
        self._pools: dict[bool, ThreadPoolExecutor] = {}

    def offer(self, frame_hwc_bgr: UInt8Array, urgent: bool = True) -> bool:
        """Have a frame looked at, which is not to be changed; False when one is in work or its answer was not
        taken.

        `urgent`: as quickly as possible; False leaves the processor to other threads first.
        """
        if self._answer is not None or self._closed:
            return False
        if urgent not in self._pools:
            self._pools[urgent] = ThreadPoolExecutor(1, "aif-detect", None if urgent else step_back)
        self._answer = self._pools[urgent].submit(self._detector.detect, frame_hwc_bgr)
        return True

    def take(self, timeout: float = 0.0) -> list[Detection] | None:
        """The faces of the frame offered last, once; None while unknown. Raises what the detector raised."""
        if self._answer is None or not wait([self._answer], timeout).done:
            return None
        answer, self._answer = self._answer, None
        return answer.result()

    def close(self) -> None:
        """Stop the threads, after the frame that is in work. Calling it twice does no harm."""
        self._closed = True
        for pool in self._pools.values():
            pool.shutdown(cancel_futures=True)
