"""Finding faces: boxes and overlaps in tables, and the detectors on a real portrait."""

from __future__ import annotations

import contextlib
import math
import os
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from staged_faces import dense, face
from tiny_bundles import detector_net, matte_net, sha256

from aif.runtime.bundle import bundle as bundle_module
from aif.runtime.bundle.bundle import Bundle
from aif.runtime.bundle.manifest import FileInfo
from aif.runtime.errors import BundleError, ConfigError
from aif.runtime.faces import detect
from aif.runtime.faces.detect import HaarDetector, YuNetDetector, make_detector, resolve_detector
from aif.runtime.faces.detection import overlap
from aif.runtime.faces.detectors.checked import CheckedDetector, Proposal
from aif.runtime.faces.detectors.own import OwnDetector, ProposalNet, decoded
from aif.runtime.faces.landmarks import DenseFaces, LandmarkNet, box_from_landmarks, landmark_angle

FACE = (225, 115)  # the middle of the astronaut's face


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((0, 0, 10, 10), (0, 0, 10, 10), 1.0),
        ((0, 0, 10, 10), (5, 0, 10, 10), 1 / 3),
        ((0, 0, 10, 10), (-50, -50, 10, 10), 0.0),
        ((0, 0, 10, 10), (2, 2, 5, 5), 0.25),
        ((0, 0, 0, 0), (0, 0, 0, 0), 0.0),
    ],
)
def test_overlap(one, other, expected):
    a, b = (np.array(box, dtype=np.float32) for box in (one, other))
    assert overlap(a, b) == overlap(b, a) == pytest.approx(expected)


@pytest.fixture(scope="module")
def haar(toy_bundle):
    return make_detector("haar", toy_bundle, threads=1)


@pytest.fixture(scope="module")
def yunet():
    path = os.environ.get("AIF_YUNET")
    if not path:
        pytest.skip("AIF_YUNET does not name YuNet's file")
    return YuNetDetector(path, LandmarkNet(Bundle.open(), threads=1))


def _as_it_is(frame):
    return frame


def _small(frame):
    return cv2.resize(frame, None, fx=0.4, fy=0.4)


def _huge(frame):
    return cv2.resize(frame, None, fx=5, fy=5)


def _not_contiguous(frame):
    return frame[40:190, 160:300]


def _grey(frame):
    return np.repeat(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)[:, :, None], 3, 2)


def _far_off(frame):
    return cv2.copyMakeBorder(frame, 1500, 1500, 2000, 2000, cv2.BORDER_CONSTANT)


@pytest.mark.parametrize("name", ["haar", "yunet"])
@pytest.mark.parametrize(
    ("view", "place"),
    [
        (_as_it_is, FACE),
        (_small, (90, 46)),
        (_huge, (1125, 575)),
        (_not_contiguous, (65, 75)),
        (_grey, FACE),
        (_far_off, (2225, 1615)),
    ],
)
def test_finds_the_portrait(request, astronaut_bgr, name, view, place):
    faces = request.getfixturevalue(name).detect(view(astronaut_bgr))
    scores = [each.score for each in faces]
    assert scores == sorted(scores, reverse=True) and 0 <= min(scores) <= max(scores) <= 1
    for each in faces:
        assert each.box_xywh.shape == (4,) and each.box_xywh.dtype == np.float32
        assert each.landmarks.shape == (5, 2) and each.landmarks.dtype == np.float32
    boxes = np.stack([each.box_xywh for each in faces])
    assert ((boxes[:, :2] < place) & (place < boxes[:, :2] + boxes[:, 2:])).all(axis=1).any()
    if name == "yunet":
        left_eye, right_eye, nose, left_mouth, right_mouth = faces[0].landmarks
        assert len(faces) == 1 and left_eye[0] < nose[0] < right_eye[0] and left_mouth[0] < right_mouth[0]
        assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])


class OneFace(CheckedDetector):
    """Proposes a face of five dots, as the cascades do, where it is upright by 20 degrees; its network knows
    the truth, and sees it where box and turn are about right."""

    sizes, turns = (10.0,), HaarDetector.turns

    def __init__(self, truth):
        super().__init__(self)
        self.truth, self.asked, self.sure = truth, 0, 0.995

    def _glance(self, small):
        ys, xs = np.nonzero(small[:, :, 0] > 127)  # the eyes are blue, the left one green, too
        left = np.argwhere((small[:, :, :2] > 127).all(axis=2)).mean(axis=0)[::-1]
        across = 2 * ((xs.mean(), ys.mean()) - left)
        if abs(np.degrees(np.arctan2(across[1], across[0]))) > 23:
            return []
        side = float(np.hypot(*across)) / 36 * 96
        box = np.array([xs.mean() - side / 2, ys.mean() + side / 8 - side / 2, side, side], np.float32)
        return [Proposal(box)]

    def refine_all(self, frame, boxes, angle):
        found, (right,) = DenseFaces.none(len(boxes)), [box_from_landmarks(self.truth)]
        for k, (box, turn) in enumerate(zip(boxes, angle, strict=True)):
            self.asked += 1
            off = np.angle(np.exp(1j * (turn - landmark_angle(self.truth))))
            found.points[k] = dense(self.truth)
            found.confidence[k] = (
                self.sure if overlap(box, right) > 0.6 and abs(off) < math.radians(47) else 0.1
            )
        return found


@pytest.mark.parametrize("eyes", [20, 150])
@pytest.mark.parametrize("degrees", [0, 15, -40, 90, -90, 140, 180])
def test_faces_are_found_at_any_turn_and_size(degrees, eyes):
    turn = cv2.getRotationMatrix2D((0, 0), -degrees, 1.0)[:, :2]
    truth = (face(0, 0, eyes) @ turn.T + (700, 350)).astype(np.float32)
    frame = np.zeros((700, 1300, 3), dtype=np.uint8)
    for colour, (x, y) in zip([(255, 255, 0), (255, 0, 0)], truth, strict=False):
        cv2.circle(frame, (round(x), round(y)), max(4, eyes // 12), colour, -1)
    detector = OneFace(truth)
    (found,) = detector.detect(frame)
    np.testing.assert_allclose(found.landmarks, truth, atol=1e-3)
    upright = abs(degrees) < 20
    assert found.score == pytest.approx(0.995) and detector.asked == (1 if upright else 4)
    detector.sure = 0.9  # a face that may be another way round is looked at in all directions
    assert detector.detect(frame)[0].score == pytest.approx(0.9) and detector.asked == (5 if upright else 8)
    detector.truth = truth + 3 * eyes  # what is proposed is none
    assert detector.detect(frame) == []


def haar_with(monkeypatch, boxes, said):
    """A detector whose cascades propose `boxes`, and whose network says of each and its turn: probability,
    five landmarks."""

    def refine_all(frame, asked, angle):
        found = DenseFaces.none(len(asked))
        for k, (box, turn) in enumerate(zip(asked, angle, strict=True)):
            found.confidence[k], five = said(box, turn)
            found.points[k] = dense(five)
        return found

    detector = HaarDetector(SimpleNamespace(refine_all=refine_all))
    proposals = [Proposal(np.float32(box)) for box in boxes]
    monkeypatch.setattr(detector, "_boxes", lambda cascade, small: proposals)
    return detector


def test_of_four_directions_the_surest_counts(monkeypatch):
    def said(box, turn):
        return (0.98, -face(100, 100, 40)) if abs(turn) > 3 else (0.84, face(100, 100, 40))

    detector = haar_with(monkeypatch, [[50, 50, 100, 100]], said)
    (found,) = detector.detect(np.zeros((200, 200, 3), np.uint8))
    assert found.score == pytest.approx(0.98) and found.landmarks[0, 0] > found.landmarks[1, 0]


def test_the_surest_face_comes_first_and_each_once(monkeypatch):
    known = {0: (0.6, 0), 200: (0.4, 200), 400: (0.9, 400), 600: (0.7, 410)}

    def said(box, turn):
        score, x = known[int(box[0])]
        return (0.1 if turn else score), face(x + 64, 74, 36)

    detector = haar_with(monkeypatch, [[x, 0, 50, 50] for x in known], said)
    found = detector.detect(np.zeros((300, 640, 3), np.uint8))
    assert [each.score for each in found] == pytest.approx([0.9, 0.6])
    np.testing.assert_allclose(found[0].landmarks, found[1].landmarks + np.float32((400, 0)), atol=1e-3)


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 500, 3), (900, 1200, 3)])
def test_blank_frames(haar, shape):
    assert haar.detect(np.zeros(shape, dtype=np.uint8)) == []


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ({}, []),
        ({(2, 3): (0.9, 0.25, -0.5, math.log(4), 1, 0)}, [(29.5, 15.5, 32, 0)]),
        ({(2, 3): (0.2, 0, 0, 1, 1, 0)}, []),
        (
            {(0, 0): (0.5, 0, 0, 0, 0, 2), (5, 6): (0.6, 0, 0, 0, -0.5, 0)},
            [(51.5, 43.5, 8, 180), (3.5, 3.5, 8, 90)],
        ),
        ({(1, 1): (0.9, math.nan, 0, 0, 1, 0), (1, 4): (0.9, 0, 0, math.inf, 1, 0)}, [(35.5, 11.5, None, 0)]),
        ({(1, 1): (0.9, 0, 0, -9, 1, 0)}, []),
    ],
)
def test_maps_become_boxes(cells, expected):
    """Centre, side and turn of each; what is unlikely, of no size or not finite is left out."""
    maps = np.zeros((6, 7, 8), np.float32)
    for (row, column), values in cells.items():
        maps[:, row, column] = values
    found = decoded(maps[0], maps[1:])
    assert len(found) == len(expected)
    for (box, angle, _), (x, y, side, degrees) in zip(found, expected, strict=True):
        np.testing.assert_allclose(box[:2] + box[2:] / 2, (x, y), atol=1e-3)
        assert side is None or box[2:].tolist() == pytest.approx([side, side])
        assert math.degrees(angle) == pytest.approx(degrees)


@pytest.mark.parametrize("shape", [(1, 1, 3), (40, 70, 3), (64, 64, 3), (301, 200, 3)])
def test_the_bundle_s_detector_takes_frames_of_any_size(shape):
    net = ProposalNet(detector_net(), threads=1)
    frame = np.zeros(shape, dtype=np.uint8)
    assert net.propose(frame) == []
    if shape[0] > 8:
        frame[16:24, 32:40, 2] = 255
        ((box, angle, _),) = net.propose(frame)
        assert box.tolist() == pytest.approx([19.5, 3.5, 32, 32]) and angle == 0
    with pytest.raises(BundleError, match="face detector takes"):
        ProposalNet(matte_net())


def test_the_bundle_s_detector_tells_the_turn():
    """So that the landmark network looks in that direction only, and once."""
    truth = (face(0, 0, 40) * -1 + (300, 200)).astype(np.float32)
    knows = OneFace(truth)

    class Proposes:
        score = 0.9

        def propose(self, frame):
            return [Proposal(box_from_landmarks(truth), math.pi, self.score)]

    detector = OwnDetector(Proposes(), knows)
    (found,) = detector.detect(np.zeros((400, 600, 3), np.uint8))
    np.testing.assert_allclose(found.landmarks, truth, atol=1e-3)
    assert knows.asked == 1
    Proposes.score = 0.2  # too unlikely to begin with
    assert detector.detect(np.zeros((400, 600, 3), np.uint8)) == []
    Proposes.score = 0.9
    knows.truth = truth + 200
    assert detector.detect(np.zeros((400, 600, 3), np.uint8)) == []


def test_detectors_of_a_name_of_a_bundle_or_of_the_embedded_one(make_bundle, monkeypatch, tmp_path):
    monkeypatch.delenv("AIF_YUNET", raising=False)
    monkeypatch.setenv("AIF_CACHE", str(tmp_path))
    with pytest.raises(ConfigError, match="aif fetch yunet"):
        make_detector("yunet", make_bundle())
    with pytest.raises(ConfigError, match="auto, aif, yunet, haar"):
        make_detector("magic", make_bundle())
    assert isinstance(make_detector("haar", make_bundle(landmarks=None)), HaarDetector)
    info = FileInfo(file="detector.onnx", sha256=sha256(detector_net()))
    brings = make_bundle({"detector.onnx": detector_net()}, detector=info)
    lacks = make_bundle()
    for embedded in (brings, lacks):
        monkeypatch.setattr(detect, "EMBEDDED_BUNDLE", embedded.path)
        monkeypatch.setattr(bundle_module, "EMBEDDED_BUNDLE", embedded.path)
        for opened in (brings, lacks):
            own = brings in (embedded, opened)
            assert isinstance(make_detector("auto", opened), OwnDetector if own else HaarDetector)
            assert isinstance(make_detector("haar", opened), HaarDetector)
            with contextlib.nullcontext() if own else pytest.raises(ConfigError, match="no face detector"):
                assert isinstance(make_detector("aif", opened), OwnDetector)
    assert resolve_detector("auto", brings, tmp_path) == ("yunet", tmp_path)


@pytest.mark.parametrize("contents", [None, b"", b"not a network"])
def test_a_yunet_file_that_is_none(toy_bundle, tmp_path, contents):
    path = tmp_path / "yunet.onnx"
    if contents is not None:
        path.write_bytes(contents)
    reason = "No such file or directory" if contents is None else "it is another file, or damaged"
    with pytest.raises(ConfigError, match=rf"YuNet cannot be loaded from .*: {reason}\.\n"):
        make_detector("auto", toy_bundle, yunet=path)


def test_an_opencv_without_cascades(toy_bundle, monkeypatch, tmp_path):
    monkeypatch.setattr(cv2, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(ConfigError, match="no Haar cascades"):
        make_detector("haar", toy_bundle)
