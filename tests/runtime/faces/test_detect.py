"""Finding faces: boxes and overlaps in tables, and both detectors on a real portrait."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from aif.runtime.bundle.bundle import Bundle
from aif.runtime.errors import BundleError, ConfigError, ImageError
from aif.runtime.faces import detect
from aif.runtime.faces.detect import (
    Detection,
    Detector,
    HaarDetector,
    YuNetDetector,
    check_frame,
    make_detector,
    overlap,
    suppress,
)
from aif.runtime.faces.landmarks import DenseFaces, LandmarkNet
from aif.runtime.geometry.points import LEFT_EYE, LEFT_MOUTH, RIGHT_EYE, RIGHT_MOUTH

FACE = (225, 115)  # the middle of the astronaut's face


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((0, 0, 10, 10), (0, 0, 10, 10), 1.0),
        ((0, 0, 10, 10), (5, 0, 10, 10), 1 / 3),
        ((0, 0, 10, 10), (10, 0, 10, 10), 0.0),
        ((0, 0, 10, 10), (-50, -50, 10, 10), 0.0),
        ((0, 0, 10, 10), (2, 2, 5, 5), 0.25),
        ((0, 0, 0, 0), (0, 0, 0, 0), 0.0),
    ],
)
def test_overlap(one: tuple[int, ...], other: tuple[int, ...], expected: float) -> None:
    a, b = (np.array(box, dtype=np.float32) for box in (one, other))
    assert overlap(a, b) == overlap(b, a) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("boxes", "scores", "kept"),
    [
        ([], [], []),
        ([(0, 0, 10, 10)], [0.1], [0]),
        ([(0, 0, 10, 10), (1, 0, 10, 10), (50, 0, 10, 10)], [0.5, 0.9, 0.7], [1, 2]),
        ([(0, 0, 10, 10), (0, 0, 10, 10)], [0.5, 0.5], [0]),
        # The second is dropped for the first, so it cannot drop the third.
        ([(0, 0, 10, 10), (4, 0, 10, 10), (8, 0, 10, 10)], [0.9, 0.8, 0.7], [0, 2]),
    ],
)
def test_suppress(boxes: list[tuple[int, ...]], scores: list[float], kept: list[int]) -> None:
    assert suppress([np.array(box, dtype=np.float32) for box in boxes], scores, 0.35) == kept


@pytest.mark.parametrize(
    ("shape", "dtype", "good"),
    [
        ((5, 7, 3), np.uint8, True),
        ((1, 1, 3), np.uint8, True),
        ((5, 7), np.uint8, False),
        ((5, 7, 4), np.uint8, False),
        ((5, 7, 1), np.uint8, False),
        ((3, 5, 7), np.uint8, False),
        ((0, 7, 3), np.uint8, False),
        ((5, 7, 3), np.uint16, False),
        ((5, 7, 3), np.float32, False),
        ((2, 5, 7, 3), np.uint8, False),
    ],
)
def test_frames(shape: tuple[int, ...], dtype: Any, good: bool) -> None:
    frame = np.zeros(shape, dtype=dtype)
    if good:
        check_frame(frame)
    else:
        with pytest.raises(ImageError, match="uint8"):
            check_frame(frame)


@pytest.fixture(scope="module")
def haar(toy_bundle: Bundle) -> Detector:
    return make_detector("haar", toy_bundle, threads=1)


@pytest.fixture(scope="module")
def yunet() -> Detector:
    path = os.environ.get("AIF_YUNET")
    if not path:
        pytest.skip("AIF_YUNET does not name YuNet's file")
    return YuNetDetector(path)


def _faces(detector: Detector, frame: np.ndarray) -> list[Detection]:
    faces = detector.detect(frame)
    for face in faces:
        assert face.box_xywh.shape == (4,) and face.box_xywh.dtype == np.float32
        assert face.landmarks.shape == (5, 2) and face.landmarks.dtype == np.float32
        assert 0 <= face.score <= 1
    assert [face.score for face in faces] == sorted((face.score for face in faces), reverse=True)
    return faces


def _contains(face: Detection, x: float, y: float) -> bool:
    left, top, width, height = face.box_xywh
    return bool(left < x < left + width and top < y < top + height)


# How the portrait is shown, and where its face then is.
VIEWS: list[Any] = [
    pytest.param(lambda frame: frame, FACE, id="as it is"),
    pytest.param(lambda frame: cv2.resize(frame, None, fx=0.4, fy=0.4), (90, 46), id="small"),
    pytest.param(lambda frame: cv2.resize(frame, None, fx=5, fy=5), (1125, 575), id="huge"),
    pytest.param(lambda frame: np.ascontiguousarray(frame[:, ::-1]), (287, 115), id="mirrored"),
    pytest.param(lambda frame: frame[40:190, 160:300], (65, 75), id="close, not contiguous"),
    pytest.param(
        lambda frame: np.repeat(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)[:, :, None], 3, 2), FACE, id="grey"
    ),
    pytest.param(
        lambda frame: cv2.copyMakeBorder(frame, 1500, 1500, 2000, 2000, cv2.BORDER_CONSTANT),
        (2225, 1615),
        id="far off in a large frame",
    ),
]


@pytest.mark.parametrize(("view", "place"), VIEWS)
def test_haar_finds_the_portrait(
    haar: Detector, astronaut_bgr: np.ndarray, view: Callable[..., Any], place: tuple[float, float]
) -> None:
    assert any(_contains(face, *place) for face in _faces(haar, view(astronaut_bgr)))


@pytest.mark.parametrize(("view", "place"), VIEWS)
def test_yunet_finds_the_portrait(
    yunet: Detector, astronaut_bgr: np.ndarray, view: Callable[..., Any], place: tuple[float, float]
) -> None:
    (face,) = _faces(yunet, view(astronaut_bgr))
    assert _contains(face, *place)
    left_eye, right_eye, nose, left_mouth, right_mouth = face.landmarks
    assert left_eye[0] < nose[0] < right_eye[0] and left_mouth[0] < right_mouth[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])


def test_yunet_s_points_do_not_depend_on_the_frame_s_size(yunet: Detector, astronaut_bgr: np.ndarray) -> None:
    """A small face in a large frame is looked at twice; its points are about where they are from near."""
    far = cv2.copyMakeBorder(astronaut_bgr, 1500, 1500, 2000, 2000, cv2.BORDER_CONSTANT)
    near_points = _faces(yunet, astronaut_bgr)[0].landmarks
    far_points = _faces(yunet, far)[0].landmarks - (2000, 1500)
    eyes = float(np.linalg.norm(near_points[1] - near_points[0]))
    assert np.linalg.norm(near_points - far_points, axis=1).mean() < 0.1 * eyes


COLOURS = ((1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (0, 1, 1))


class DotNet:
    """Finds five dots by their colours, and has YuNet's fault: of small faces it sees a quarter of the tilt
    only, of larger ones nine tenths."""

    def setInputSize(self, _: tuple[int, int]) -> None:  # noqa: N802 - OpenCV's name
        pass

    def detect(self, image: np.ndarray) -> tuple[int, np.ndarray | None]:
        points = []
        for colour in COLOURS:
            ys, xs = np.nonzero(((image > image.max(axis=2, keepdims=True) / 2) == colour).all(axis=2))
            if not len(xs):
                return 1, None
            points.append((xs.mean(), ys.mean()))
        seen = np.array(points)
        centre, across = seen.mean(axis=0), seen[1] - seen[0]
        side, tilt = 2 * float(np.hypot(*across)), float(np.arctan2(across[1], across[0]))
        back = 0.75 * tilt if side < 90 else 0.1 * tilt
        turn = np.array([[np.cos(back), np.sin(back)], [-np.sin(back), np.cos(back)]])
        row = [*(centre - side / 2), side, side, *((seen - centre) @ turn.T + centre).ravel(), 0.9]
        return 1, np.array([row], dtype=np.float32)


@pytest.mark.parametrize("eyes", [20, 60, 150])
@pytest.mark.parametrize("degrees", [0, 5, -15, 30])
def test_tilted_faces_are_followed_at_any_size(
    degrees: float, eyes: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(detect.cv2.FaceDetectorYN, "create", lambda *_: DotNet())
    path = tmp_path / "yunet.onnx"
    path.write_bytes(b"never read by the stand-in")
    face = (np.array([(-18, -22), (18, -22), (0, 0), (-15, 17), (15, 17)]) - (0, -5)) * eyes / 36
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    frame, truth = np.zeros((640, 640, 3), dtype=np.uint8), face @ turn.T + 320
    for colour, (x, y) in zip(COLOURS, truth, strict=True):
        cv2.circle(frame, (round(x), round(y)), max(2, eyes // 12), [255 * c for c in colour], -1)
    (found,) = YuNetDetector(path).detect(frame)
    assert np.linalg.norm(found.landmarks - truth, axis=1).max() < 0.05 * eyes


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 500, 3), (64, 64, 3), (3000, 4000, 3)])
def test_blank_frames(haar: Detector, shape: tuple[int, ...]) -> None:
    assert haar.detect(np.zeros(shape, dtype=np.uint8)) == []


def test_haar_drops_what_the_network_calls_no_face(toy_bundle: Bundle, astronaut_bgr: np.ndarray) -> None:
    """The toy network believes in red alone; without red it calls every box a false alarm."""
    detector = HaarDetector(LandmarkNet(toy_bundle, threads=1))
    assert detector.detect(astronaut_bgr)
    without_red = astronaut_bgr.copy()
    without_red[:, :, 2] = 0
    assert detector.detect(without_red) == []


def test_haar_s_faces_are_those_that_the_network_believes_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """The surest first, each once, with five of its dense landmarks."""
    five = np.array([(46, 62), (82, 62), (64, 84), (48.8, 100.6), (79.2, 100.6)], dtype=np.float32)
    boxes = [np.array([x, 0, 50, 50], dtype=np.float32) for x in (0, 200, 400, 600)]

    class Net:
        def refine_all(self, frame: Any, asked: Any, passes: int = 2) -> DenseFaces:
            found = DenseFaces.none(4)
            found.confidence[:] = (0.6, 0.4, 0.9, 0.7)
            for points, x in zip(found.points, (0, 200, 400, 410), strict=True):
                points[...] = five[2] + (x, 0)
                points[LEFT_EYE], points[RIGHT_EYE], points[LEFT_MOUTH], points[RIGHT_MOUTH] = (
                    five[k] + (x, 0) for k in (0, 1, 3, 4)
                )
            return found

    detector = HaarDetector(Net())  # type: ignore[arg-type]
    monkeypatch.setattr(detector, "_frontal_boxes", lambda cascade, grey: boxes)
    found = detector.detect(np.zeros((300, 700, 3), np.uint8))
    assert [face.score for face in found] == pytest.approx([0.9, 0.6])
    for face, x in zip(found, (400, 0), strict=True):
        np.testing.assert_allclose(face.landmarks, five + np.float32((x, 0)), atol=1e-3)


def test_making_detectors(toy_bundle: Bundle, make_bundle: Any, monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.delenv("AIF_YUNET", raising=False)
    monkeypatch.setenv("AIF_CACHE", str(tmp_path))
    assert isinstance(make_detector("auto", toy_bundle), HaarDetector)
    with pytest.raises(ConfigError, match="aif fetch yunet"):
        make_detector("yunet", toy_bundle)
    with pytest.raises(ConfigError, match="auto, yunet, haar"):
        make_detector("magic", toy_bundle)  # type: ignore[arg-type]
    with pytest.raises(BundleError, match="no landmark network"):
        make_detector("auto", make_bundle(landmarks=None))


@pytest.mark.parametrize("contents", [None, b"", b"not a network"])
def test_a_yunet_file_that_is_none(toy_bundle: Bundle, tmp_path: Path, contents: bytes | None) -> None:
    path = tmp_path / "yunet.onnx"
    if contents is not None:
        path.write_bytes(contents)
    with pytest.raises(ConfigError, match="YuNet cannot be loaded"):
        make_detector("auto", toy_bundle, yunet=path)


def test_an_opencv_without_cascades(
    toy_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(detect.cv2, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(ConfigError, match="no Haar cascades"):
        make_detector("haar", toy_bundle)
