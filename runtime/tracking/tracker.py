"""Faces of a stream: found now and then, followed in between, smoothed, with numbers that stay.

The detector runs on every k-th frame and where a face is lost. On every frame the landmark network looks for
each face where it should be by now. All points come from that network alone, for a face would jump where two
sources take turns. For live pictures the detector can run beside: its answer speaks of a frame that is past,
so it is compared with where the faces were then, and new faces are looked for in the present frame.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import UInt8Array
from aif.runtime.errors import ConfigError
from aif.runtime.faces.detect import Detection, Detector, check_frame
from aif.runtime.faces.landmarks import DenseFaces, five_of
from aif.runtime.tracking.background import BackgroundDetector
from aif.runtime.tracking.matching import TWIN, assign, is_face, landmark_distance, match_costs, same_face
from aif.runtime.tracking.scene_cut import SceneCut
from aif.runtime.tracking.track import FaceTrack, Sight, TrackedFace

__all__ = ["FaceTracker", "LandmarkFinder", "TrackedFace", "check_seconds"]

logger = logging.getLogger(__name__)

# The landmark network's probability of a face from which on a new one is believed and a known one followed,
# and below which there surely is none: more than half of it is covered, or smeared beyond recognition.
NEW_CONFIDENCE, KNOWN_CONFIDENCE, GONE_CONFIDENCE = 0.5, 0.3, 0.05

# While no face is missing, three detections of four are a glance for newcomers at a frame of this longer side
# in pixels. That takes a quarter of the time and still shows faces wider than a thirteenth of the frame, to
# YuNet those of a thirtieth.
GLANCE_SIDE, GLANCES = 320, 3


class LandmarkFinder(Protocol):
    """Anything that finds dense landmarks of faces that are nearly known, as `LandmarkNet` does."""

    def follow(self, frame_hwc_bgr: UInt8Array, places: Sequence[npt.ArrayLike]) -> DenseFaces:
        """N faces whose landmarks, (221, 2) or (5, 2) each, should be about where `places` says."""
        ...


_Places = dict[int, tuple[npt.NDArray[np.floating], float]]
"""By their numbers: where faces were when the detector looked, and within how many eye distances each may be
found again."""


class FaceTracker:
    """Follows the faces of one stream, whose frames come in order; not for several threads.

    `detected`: whether faces that the detector found were taken in with the last frame.
    """

    def __init__(
        self,
        detector: Detector,
        landmark_net: LandmarkFinder | None,
        every: int = 15,
        *,
        fade_s: float = 0.25,
        memory_s: float = 2.0,
        smooth: bool = True,
        background: bool = False,
    ) -> None:
        """Set up a tracker that has seen nothing yet.

        Args:
            detector: finds new and lost faces.
            landmark_net: the bundle's landmark network; None = the detector runs on every frame.
            every: frames from one detection to the next while no face is missing. A newcomer waits as long at
                most, a small one four times as long (see `GLANCE_SIDE`).
            fade_s: seconds in which an effect comes and goes; 0 = at once. Where something hides the face it
                goes three times as fast.
            memory_s: seconds for which a vanished face is remembered by its number.
            smooth: filter the landmarks.
            background: detect in a thread of its own, so that no frame waits for it: for live pictures. Cuts
                are not looked for. `close` ends the thread.

        Raises:
            ConfigError: `every` is below 1, or a time is negative or not finite.
        """
        if every < 1:
            raise ConfigError(f"Faces cannot be detected every {every} frames.", "Choose 1 or more.")
        check_seconds(fade_s=fade_s, memory_s=memory_s)
        if landmark_net is None:
            logger.info("No landmark network: faces are detected anew on every frame, which is slow.")
        self._detector, self._net = detector, landmark_net
        self._every = every if landmark_net is not None else 1
        self._fade_s, self._memory_s, self._smooth = fade_s, memory_s, smooth
        self._background = BackgroundDetector(detector) if background and landmark_net is not None else None
        self._cut = SceneCut()
        self._next_id = 0
        self.reset()

    def close(self) -> None:
        """End the detector's own thread, where there is one. Calling it twice does no harm."""
        if self._background is not None:
            self._background.close()

    def reset(self) -> None:
        """Forget all faces, as at the start of another stream; numbers go on."""
        self._cut.reset()
        self._begin_scene()

    def _begin_scene(self) -> None:
        self._tracks: list[FaceTrack] = []
        self._time: float | None = None
        self._countdown, self._patience, self._glances = 0, 1, 0
        self._offered: _Places | None = None
        self.detected = False

    def update(self, frame_hwc_bgr: UInt8Array, time_s: float) -> tuple[TrackedFace, ...]:
        """The faces of the next frame, left to right.

        Faces of a scene's first frame have full weight at once; later ones fade in. Lost faces stay in the
        answer until they have faded out.

        Args:
            frame_hwc_bgr: uint8 (H, W, 3).
            time_s: when the frame is shown, in seconds; one before the last frame's begins anew like a cut.

        Raises:
            ImageError: the frame is no uint8 (H, W, 3) array.
            ValueError: the time is not finite.
        """
        check_frame(frame_hwc_bgr)
        if not math.isfinite(time_s):
            raise ValueError(f"a frame's time must be finite, not {time_s}")
        # Not beside: cameras have no cuts, and where frames come seldom, everything looks like one.
        cut = self._background is None and self._cut(frame_hwc_bgr)
        if cut or (self._time is not None and time_s < self._time):
            self._begin_scene()
        step = math.inf if self._time is None else time_s - self._time
        self._time = time_s
        seen = self._followed(frame_hwc_bgr, time_s)
        self._countdown -= 1
        lost = any(track.sighted and track.id not in seen for track in self._tracks)
        detections = self._detections(frame_hwc_bgr, time_s, seen, lost or self._countdown <= 0)
        self.detected = detections is not None
        if detections is not None:
            self._join(*detections, frame_hwc_bgr, time_s, seen)
            self._plan(seen, lost)
        for track in self._tracks:
            track.go_on(seen.get(track.id), time_s, frame_hwc_bgr)
            track.fade(time_s, step, self._fade_s)
        self._tracks = [track for track in self._tracks if time_s - track.seen_s <= self._memory_s]
        shown = [
            track.face(time_s, self._smooth)
            for track in self._tracks
            if track.sighted or track.hair_weight > 0
        ]
        return tuple(sorted(shown, key=lambda face: float(face.box[0] + face.box[2] / 2)))

    def _followed(self, frame: UInt8Array, time_s: float) -> dict[int, Sight]:
        """What the landmark network sees of the known faces, by their numbers; each face once."""
        if self._net is None or not self._tracks:
            return {}
        found, moving = [], []
        for track in self._tracks:
            sight = track.again(frame, time_s)
            if sight is None:
                moving.append(track)
            else:
                found.append((False, 0.0, track.id, sight))
        places = [track.place(time_s) for track in moving]
        sights = Sight.each(self._net.follow(frame, places))
        for track, place, sight in zip(moving, places, sights, strict=True):
            track.gone = sight.confidence < GONE_CONFIDENCE
            if sight.confidence >= KNOWN_CONFIDENCE and is_face(sight.points):
                jump = landmark_distance(sight.points, place)
                found.append((not track.sighted, jump, track.id, sight))
        seen: dict[int, Sight] = {}
        # Where two tracks look at one face, as when one passes behind the other, it belongs to that which
        # was in sight and expected it there.
        for _, _, number, sight in sorted(found, key=lambda each: each[:3]):
            if all(landmark_distance(sight.points, other.points) > TWIN for other in seen.values()):
                seen[number] = sight
        return seen

    def _detections(
        self, frame: UInt8Array, time_s: float, seen: dict[int, Sight], due: bool
    ) -> tuple[list[Detection], _Places] | None:
        """What the detector has found, if anything is known now, and where the faces were in its frame."""
        if self._background is None:
            return (self._detected(frame, seen), self._places(time_s, seen)) if due else None
        faces, offered = self._background.take(), self._offered
        if faces is not None and offered is not None:  # else they belong to a scene that is over
            self._offered = None
            return faces, offered
        if due and self._background.offer(frame, urgent=self._missing(seen)):
            self._offered = self._places(time_s, seen)
        return None

    def _detected(self, frame: UInt8Array, seen: dict[int, Sight]) -> list[Detection]:
        """What the detector finds, at a glance or thoroughly."""
        scale = GLANCE_SIDE / max(frame.shape[:2])
        if self._net is None or self._missing(seen) or scale >= 1 or self._glances >= GLANCES:
            self._glances = 0
            return list(self._detector.detect(frame))
        self._glances += 1
        size = tuple(max(1, round(side * scale)) for side in (frame.shape[1], frame.shape[0]))
        small = np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        grow = np.array([[frame.shape[1] / size[0], frame.shape[0] / size[1]]], dtype=np.float32)
        return [
            Detection((face.box_xywh.reshape(2, 2) * grow).reshape(4), face.landmarks * grow, face.score)
            for face in self._detector.detect(small)
        ]

    def _missing(self, seen: dict[int, Sight]) -> bool:
        """Whether there may be faces to find: none is in sight, or not all that are known."""
        return not seen or len(seen) < len(self._tracks)

    def _places(self, time_s: float, seen: dict[int, Sight]) -> _Places:
        """Where the faces are: as seen, or where those out of sight should be, give or take."""
        return {
            track.id: (five_of(seen[track.id].points), TWIN)
            if track.id in seen
            else (five_of(track.place(time_s)), min(1 + 2 * (time_s - track.seen_s), 3))
            for track in self._tracks
        }

    def _join(
        self,
        detections: Sequence[Detection],
        places: _Places,
        frame: UInt8Array,
        time_s: float,
        seen: dict[int, Sight],
    ) -> None:
        """Give detected faces that are out of sight their numbers back, and new faces new numbers, in `seen`.

        `places`: where the known faces were in the frame that the detector saw.
        """
        faces = [face for face in detections if is_face(face.landmarks)]
        known = [track.id for track in self._tracks if track.id in places]
        costs = match_costs([places[k][0] for k in known], [places[k][1] for k in known], faces)
        owner = {face: known[place] for place, face in assign(costs)}
        unseen = [number for number in range(len(faces)) if owner.get(number) not in seen]
        for number, sight in zip(unseen, self._confirmed(frame, [faces[i] for i in unseen]), strict=True):
            if sight is None or any(same_face(sight.points, other.points) for other in seen.values()):
                continue
            if number not in owner:
                owner[number] = self._next_id
                self._tracks.append(FaceTrack(self._next_id, time_s))
                self._next_id += 1
            seen[owner[number]] = sight

    def _confirmed(self, frame: UInt8Array, faces: Sequence[Detection]) -> list[Sight | None]:
        """The detected faces as the network sees them, None where it sees none; without it as they are."""
        if self._net is None:
            return [Sight(face.landmarks, face.score) for face in faces]
        # Not the boxes: the landmarks say how far a face is turned, too.
        sights = Sight.each(self._net.follow(frame, [face.landmarks for face in faces]))
        return [
            sight if sight.confidence >= NEW_CONFIDENCE and is_face(sight.points) else None
            for sight in sights
        ]

    def _plan(self, seen: dict[int, Sight], lost: bool) -> None:
        """When to detect next: while faces are missing after 1, 2, 4, ... frames, else after `every`."""
        missing = self._missing(seen)
        self._patience = 1 if lost or not missing else self._patience
        self._countdown = min(self._patience, self._every) if missing else self._every
        self._patience = min(2 * self._patience, self._every)


def check_seconds(**settings: float) -> None:
    """Raise ConfigError unless all settings are finite and not negative."""
    for name, value in settings.items():
        if not 0 <= value < math.inf:
            raise ConfigError(f"{name} cannot be {value:g}.", "Choose 0 seconds or more.")
