"""Photo in, edited photo out: detect, align, encode, change y, decode, blend back."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import numpy as np

from aif.runtime.align import (
    Float32Array,
    UInt8Array,
    alignment_residual,
    face_crops,
    frontality,
    similarity_transform,
)
from aif.runtime.attribute_values import decode_values, value_columns
from aif.runtime.bundle import Bundle
from aif.runtime.compose import FacePatch, composite
from aif.runtime.crops import EditedCrops, edit_crops
from aif.runtime.detect import Detection, Detector, DetectorName, check_frame, make_detector
from aif.runtime.errors import AifError, ConfigError
from aif.runtime.exposure import Exposure, decode_both, encode_levelled
from aif.runtime.face_choice import FaceChoice, choose_faces, left_to_right
from aif.runtime.manifest import Mode
from aif.runtime.model import Encoding, FaceModel
from aif.runtime.sessions import Provider

__all__ = [
    "EditResult",
    "Editor",
    "FaceAnalysis",
    "FaceChoice",
    "FaceEdit",
    "choose_faces",
    "decode_values",
    "face_crops",
]


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
        strength: how strongly the edit shows: 1, and less for a face that is turned away, down to 0.
    """

    detection: Detection
    matrix: Float32Array
    y_source: dict[str, float]
    y_target: dict[str, float]
    residual: float
    strength: float = 1.0


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
    """Detector and model together.

    Thread-safe: one editor may serve any number of threads, and every picture comes out as if it were alone.
    The networks run side by side, detection takes turns. A detector of your own must be thread-safe, too.
    """

    def __init__(self, model: FaceModel, detector: Detector) -> None:
        """Use a model and a detector that are loaded already; `load` makes both."""
        self._model: FaceModel | None = model
        self._detector: Detector | None = detector

    @classmethod
    def load(
        cls,
        bundle: Bundle | str | os.PathLike[str] | None = None,
        provider: Provider = "auto",
        detector: DetectorName | Detector = "auto",
        threads: int | None = None,
        precision: str | None = None,
        yunet: str | os.PathLike[str] | None = None,
        cuda_graph: bool = False,
    ) -> Editor:
        """Load everything that editing needs.

        Args:
            bundle: a bundle or its path; None = the embedded one.
            provider: "cpu", "cuda", "tensorrt", "openvino", "ort-tensorrt", or "auto" for TensorRT where
                engines in the user's own cache fit, else CUDA where it really loads, else the processor
                (docs/providers.md).
            detector: "auto" (YuNet where its file is at hand, else Haar), "yunet", "haar", or an object of
                your own.
            threads: threads of the networks on the CPU; None = one a core.
            precision: which of the bundle's graphs; None = FP32 on the CPU (INT8 where that was measured to
                pay) and FP16 on CUDA, where there.
            yunet: YuNet's file, which "auto" then takes; None = what `AIF_YUNET` names or `aif fetch yunet`
                has fetched.
            cuda_graph: with provider "cuda" or "tensorrt", record the work of each number of faces once and
                launch it as one from then on.

        Raises:
            AifError: a `BundleError`, `ProviderError` or `ConfigError` that says what to do.
        """
        opened = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
        if yunet is not None and (detector == "haar" or not isinstance(detector, str)):
            raise ConfigError(
                "A YuNet file and another detector contradict each other.", "Leave one of them out."
            )
        finder = make_detector(detector, opened, yunet, threads) if isinstance(detector, str) else detector
        return cls(FaceModel(opened, provider, threads, precision, cuda_graph), finder)

    @property
    def model(self) -> FaceModel:
        """The networks.

        Raises:
            AifError: the editor has been closed.
        """
        if (model := self._model) is None:
            raise _closed()
        return model

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
        found, crops, (encoding, exposure), timings = self._encoded(frame_hwc_bgr, faces, detections)
        source, target = decode_values(encoding.y, columns, model.manifest.source_values)
        start = time.perf_counter()
        pictures = decode_both(model, encoding, exposure, source, target)
        decoded_at = time.perf_counter()
        strengths = [frontality(face.residual) for face in found]
        patches = [
            FacePatch(face.matrix, crop, before, after, tuple(edits), strength)
            for face, crop, before, after, strength in zip(found, crops, *pictures, strengths, strict=True)
        ]
        image = composite(frame_hwc_bgr, patches, mode or model.manifest.compositing)
        timings |= {"decode": decoded_at - start, "composite": time.perf_counter() - decoded_at}
        edited = tuple(
            FaceEdit(face.detection, face.matrix, face.y, self._named(values), face.residual, strength)
            for face, values, strength in zip(found, target, strengths, strict=True)
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
        """Faces in a uint8 (H, W, 3) frame, left to right; empty where there is none.

        Raises:
            AifError: the editor has been closed.
            ImageError: the frame is no uint8 (H, W, 3) array.
        """
        check_frame(frame_hwc_bgr)
        detector = self._detector
        if detector is None:
            raise _closed()
        return left_to_right(detector.detect(frame_hwc_bgr))

    def edit_crops(
        self,
        crops_nhwc_bgr: UInt8Array,
        edits: Mapping[str, float] | Sequence[Mapping[str, float]],
        mode: Mode | None = None,
    ) -> EditedCrops:
        """Edit many face crops that are aligned already, in batches; each comes out as if it were alone.

        Args:
            crops_nhwc_bgr: uint8 (N, S, S, 3), squares of any one size in which the landmarks lie on the
                template (`aif.runtime.align.crop_face` cuts such); N may be 0. Left as they are.
            edits: attribute to wanted value, for all crops, or N such mappings.
            mode: how to blend; None = the bundle's default.

        Raises:
            UnknownAttributeError: the bundle has no such attribute.
            ConfigError: a value out of its range, an unknown mode, or edits for another number of crops.
            ImageError: the crops are no uint8 (N, S, S, 3) array.
        """
        return edit_crops(self.model, crops_nhwc_bgr, edits, mode)

    def columns(self, edits: Mapping[str, float]) -> dict[int, float]:
        """The wanted values by y's columns, once all names and values are found to be good.

        Raises:
            UnknownAttributeError: the bundle has no such attribute.
            ConfigError: a value out of its range.
        """
        return value_columns(edits, self.model.manifest.attributes)

    def close(self) -> None:
        """Let go of networks and detector, which gives their memory back. Calling it twice does no harm.

        May be called while other threads edit: they finish the picture in work, or get the error of a closed
        editor.
        """
        self._model = self._detector = None

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
    ) -> tuple[list[FaceAnalysis], Float32Array, tuple[Encoding, Exposure], dict[str, float]]:
        """The chosen faces, their crops (N, 3, S, S) RGB in [0, 1], their encoding, and the times."""
        model = self.model
        times = [time.perf_counter()]
        check_frame(frame)
        every = self.detect(frame) if detections is None else left_to_right(detections)
        chosen = choose_faces(every, faces)
        times.append(time.perf_counter())
        size = model.image_size
        matrices = [similarity_transform(face.landmarks, size) for face in chosen]
        crops = face_crops(frame, matrices, size)
        times.append(time.perf_counter())
        encoding, exposure = encode_levelled(model, crops)
        times.append(time.perf_counter())
        found = [
            FaceAnalysis(face, matrix, self._named(y), alignment_residual(face.landmarks, matrix, size))
            for face, matrix, y in zip(chosen, matrices, encoding.y, strict=True)
        ]
        return (
            found,
            crops,
            (encoding, exposure),
            dict(zip(("detect", "align", "encode"), np.diff(times).tolist(), strict=True)),
        )

    def _named(self, values: Float32Array) -> dict[str, float]:
        return dict(zip(self.model.attributes, values.tolist(), strict=True))


def _closed() -> AifError:
    return AifError("This editor has been closed.", "Make a new one with Editor.load().")
