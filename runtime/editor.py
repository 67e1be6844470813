"""Photo in, edited photo out: detect, align, encode, change y, decode, blend back."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Self

import numpy as np

from aif.runtime.align import Float32Array, UInt8Array, alignment_residual, similarity_transform, warp_crop
from aif.runtime.bundle import Bundle
from aif.runtime.compose import FacePatch, composite
from aif.runtime.detect import Detection, Detector, DetectorName, check_frame, make_detector
from aif.runtime.errors import AifError, ConfigError, NoFaceError, UnknownAttributeError
from aif.runtime.manifest import Mode, SourceValues
from aif.runtime.model import Encoding, FaceModel
from aif.runtime.sessions import Provider

FaceChoice = Literal["all", "largest"] | int


@dataclass(frozen=True)
class FaceAnalysis:
    """One face as the encoder sees it.

    Attributes:
        detection: where it is.
        matrix: float32 (2, 3), frame pixel coordinates to crop pixel coordinates.
        y: predicted attribute values, 0 = absent, 1 = present.
        residual: how far the landmarks are from a frontal face's (see `alignment_residual`).
    """

    detection: Detection
    matrix: Float32Array
    y: dict[str, float]
    residual: float


@dataclass(frozen=True)
class FaceEdit:
    """One edited face.

    Attributes:
        detection, matrix, residual: as in `FaceAnalysis`.
        y_source: attribute values as predicted.
        y_target: attribute values as handed to the decoder.
    """

    detection: Detection
    matrix: Float32Array
    y_source: dict[str, float]
    y_target: dict[str, float]
    residual: float


@dataclass(frozen=True)
class EditResult:
    """An edited frame.

    Attributes:
        image_hwc_bgr: uint8, as large as the frame.
        faces: the edited faces, left to right.
        timings: seconds by stage: detect, align, encode, decode, composite.
    """

    image_hwc_bgr: UInt8Array
    faces: tuple[FaceEdit, ...]
    timings: dict[str, float] = field(default_factory=dict)


class Editor:
    """Detector and model together. One editor may serve several threads; detection takes turns among them."""

    def __init__(self, model: FaceModel, detector: Detector) -> None:
        """Use a model and a detector that are loaded already; `load` makes both."""
        self._model: FaceModel | None = model
        self._detector = detector

    @classmethod
    def load(
        cls,
        bundle: Bundle | str | os.PathLike[str] | None = None,
        provider: Provider = "auto",
        detector: DetectorName | Detector = "auto",
        threads: int | None = None,
        precision: str | None = None,
    ) -> Editor:
        """Load everything that editing needs.

        Args:
            bundle: a bundle or its path; None = the embedded one.
            provider: "cpu", "cuda", or "auto" for CUDA where it really loads and the processor elsewhere.
            detector: "auto" (YuNet where its file is at hand, else Haar), "yunet", "haar", or an object of
                your own.
            threads: threads of the networks on the CPU; None = one a core.
            precision: which of the bundle's graphs; None = FP32 on the CPU and FP16 on CUDA, where there.

        Raises:
            AifError: a `BundleError`, `ProviderError` or `ConfigError` that says what to do.
        """
        opened = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
        finder = make_detector(detector, opened, threads=threads) if isinstance(detector, str) else detector
        return cls(FaceModel(opened, provider, threads, precision), finder)

    @property
    def model(self) -> FaceModel:
        """The networks.

        Raises:
            AifError: the editor has been closed.
        """
        if self._model is None:
            raise AifError("This editor has been closed.", "Make a new one with Editor.load().")
        return self._model

    @property
    def attributes(self) -> tuple[str, ...]:
        """Names of the attributes that can be edited; `editor.model.manifest.attributes` has their ranges."""
        return self.model.attributes

    def edit(
        self,
        frame_hwc_bgr: UInt8Array,
        edits: Mapping[str, float],
        mode: Mode | None = None,
        faces: FaceChoice = "all",
        detections: Sequence[Detection] | None = None,
    ) -> EditResult:
        """Edit the faces in a frame.

        Args:
            frame_hwc_bgr: uint8 (H, W, 3); left as it is.
            edits: attribute to wanted value, 0 = absent, 1 = present, within the attribute's range; all other
                attributes stay as the encoder sees them.
            mode: how to blend; None = the bundle's default.
            faces: "all", "largest", or the number of a face from the left, from 0 on.
            detections: faces found already (a video's tracker); None = detect them here.

        Raises:
            NoFaceError: no face was found, or none of that number.
            UnknownAttributeError: the bundle has no such attribute.
            ConfigError: a value out of its range, an unknown mode or choice of faces.
            ImageError: the frame is no uint8 (H, W, 3) array.
        """
        model = self.model
        columns = self.columns(edits)
        found, crops, encoding, timings = self._encoded(frame_hwc_bgr, faces, detections)
        source, target = decode_values(encoding.y, columns, model.manifest.source_values)
        start = time.perf_counter()
        # Source and target in one batch: equal values then give equal pictures, and an edit of nothing
        # changes nothing.
        decoded = model.decode(encoding.repeat(2), np.concatenate([source, target]))
        decoded_at = time.perf_counter()
        count = len(found)
        patches = [
            FacePatch(face.matrix, crops[i], decoded[i], decoded[count + i]) for i, face in enumerate(found)
        ]
        image = composite(frame_hwc_bgr, patches, mode or model.manifest.compositing)
        timings |= {"decode": decoded_at - start, "composite": time.perf_counter() - decoded_at}
        edited = tuple(
            FaceEdit(face.detection, face.matrix, face.y, self._named(values), face.residual)
            for face, values in zip(found, target, strict=True)
        )
        return EditResult(image, edited, timings)

    def analyse(
        self,
        frame_hwc_bgr: UInt8Array,
        faces: FaceChoice = "all",
        detections: Sequence[Detection] | None = None,
    ) -> tuple[FaceAnalysis, ...]:
        """Predict the attribute values of the faces in a frame, left to right; changes nothing.

        Raises:
            NoFaceError: no face was found, or none of that number.
            ImageError: the frame is no uint8 (H, W, 3) array.
        """
        return tuple(self._encoded(frame_hwc_bgr, faces, detections)[0])

    def detect(self, frame_hwc_bgr: UInt8Array) -> list[Detection]:
        """Faces in a uint8 (H, W, 3) frame, left to right; empty where there is none."""
        check_frame(frame_hwc_bgr)
        return _left_to_right(self._detector.detect(frame_hwc_bgr))

    def columns(self, edits: Mapping[str, float]) -> dict[int, float]:
        """The wanted values by y's columns, once all names and values are found to be good.

        Raises:
            UnknownAttributeError: the bundle has no such attribute.
            ConfigError: a value out of its range.
        """
        return {self._column(name, value): value for name, value in edits.items()}

    def close(self) -> None:
        """Give the networks' memory back. Calling it twice does no harm."""
        self._model = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _encoded(
        self, frame: UInt8Array, faces: FaceChoice, detections: Sequence[Detection] | None
    ) -> tuple[list[FaceAnalysis], Float32Array, Encoding, dict[str, float]]:
        """The chosen faces, their crops (N, 3, S, S) RGB in [0, 1], their encoding, and the time it took."""
        model = self.model
        times = [time.perf_counter()]
        check_frame(frame)
        every = self.detect(frame) if detections is None else _left_to_right(detections)
        chosen = choose_faces(every, faces)
        times.append(time.perf_counter())
        size = model.image_size
        matrices = [similarity_transform(face.landmarks, size) for face in chosen]
        crops = face_crops(frame, matrices, size)
        times.append(time.perf_counter())
        encoding = model.encode(crops)
        times.append(time.perf_counter())
        found = [
            FaceAnalysis(face, matrix, self._named(y), alignment_residual(face.landmarks, matrix, size))
            for face, matrix, y in zip(chosen, matrices, encoding.y, strict=True)
        ]
        return (
            found,
            crops,
            encoding,
            dict(zip(("detect", "align", "encode"), np.diff(times).tolist(), strict=True)),
        )

    def _column(self, name: str, value: float) -> int:
        """The column of an attribute, once name and value are found to be good."""
        names = self.model.attributes
        if name not in names:
            raise UnknownAttributeError(name, names, "this bundle")
        column = names.index(name)
        info = self.model.manifest.attributes[column]
        if not (math.isfinite(value) and info.minimum <= value <= info.maximum):
            raise ConfigError(
                f"{name}={value:g} is out of range.",
                f"{name} takes {info.minimum:g} to {info.maximum:g}: 0 = absent, 1 = present, "
                "beyond them = exaggerated.",
            )
        return column

    def _named(self, values: Float32Array) -> dict[str, float]:
        return dict(zip(self.model.attributes, values.tolist(), strict=True))


def face_crops(frame_hwc_bgr: UInt8Array, matrices: Sequence[Float32Array], size: int) -> Float32Array:
    """The faces as the encoder takes them: float32 (N, 3, size, size) RGB in [0, 1].

    Args:
        frame_hwc_bgr: uint8 (H, W, 3).
        matrices: (2, 3) each, frame pixel coordinates to crop pixel coordinates; there may be none.
        size: side of a crop in pixels.
    """
    crops = np.empty((len(matrices), 3, size, size), dtype=np.float32)
    for crop, matrix in zip(crops, matrices, strict=True):
        crop[:] = warp_crop(frame_hwc_bgr, matrix, size)[..., ::-1].transpose(2, 0, 1)
    return crops / np.float32(255)


def decode_values(
    y_source: Float32Array, edits: Mapping[int, float], source_values: SourceValues
) -> tuple[Float32Array, Float32Array]:
    """The attribute values to decode with: (source, target), each float32 (N, A).

    Args:
        y_source: (N, A) as the encoder predicts, in [0, 1].
        edits: column to wanted value.
        source_values: "predicted" takes the predictions as they are; "rounded" takes them as 0 or 1, which is
            what the decoder saw in training.
    """
    source = np.array(y_source, dtype=np.float32)
    if source_values == "rounded":
        source = (source >= 0.5).astype(np.float32)
    target = source.copy()
    for column, value in edits.items():
        target[:, column] = value
    return source, target


def choose_faces(detections: Sequence[Detection], faces: FaceChoice) -> list[Detection]:
    """The wanted ones of the faces, which come left to right.

    Args:
        detections: all faces.
        faces: "all", "largest", or the number of a face from the left, from 0 on.

    Raises:
        NoFaceError: there is no face, or none of that number.
        ConfigError: `faces` is none of these.
    """
    number = isinstance(faces, int) and not isinstance(faces, bool)
    if not (faces in ("all", "largest") or (number and int(faces) >= 0)):
        raise ConfigError(f"faces cannot be {faces!r}.", 'Known: "all", "largest", or a number from 0 on.')
    if not detections:
        raise NoFaceError(
            "No face was found.",
            "Faces must look roughly at the camera and be at least about 20 pixels wide.",
        )
    if faces == "all":
        return list(detections)
    if faces == "largest":
        return [max(detections, key=lambda face: float(np.prod(face.box_xywh[2:])))]
    if int(faces) >= len(detections):
        count = "is 1 face" if len(detections) == 1 else f"are {len(detections)} faces"
        raise NoFaceError(
            f"There is no face number {faces}: there {count}.",
            f"They are numbered 0 to {len(detections) - 1} from left to right.",
        )
    return [detections[int(faces)]]


def _left_to_right(detections: Sequence[Detection]) -> list[Detection]:
    return sorted(detections, key=lambda face: float(face.box_xywh[0] + face.box_xywh[2] / 2))
