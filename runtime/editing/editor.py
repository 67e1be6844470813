"""Photo in, edited photo out: detect, align, encode, change y, decode, blend back."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from aif.runtime.arrays import Float32Array, UInt8Array
from aif.runtime.bundle.bundle import Bundle
from aif.runtime.bundle.manifest import Manifest, Mode
from aif.runtime.editing.crops import EditedCrops, edit_crops
from aif.runtime.editing.edit_path import EditPath, Encoded, FaceView
from aif.runtime.editing.values import decode_values, touched, value_columns, wanted_values
from aif.runtime.errors import AifError, ConfigError, NoFaceError
from aif.runtime.faces.choice import VISIBLE, FaceChoice, choose_faces, left_to_right
from aif.runtime.faces.detect import Detection, Detector, check_frame, make_detector
from aif.runtime.machine import DetectorName, Provider
from aif.runtime.model.model import FaceModel

__all__ = ["EditResult", "Editor", "FaceAnalysis", "FaceChoice", "FaceEdit", "choose_faces"]


@dataclass(frozen=True)
class FaceAnalysis:
    """One face as the encoder sees it.

    Attributes:
        detection: where it is.
        matrix: float32 (2, 3), frame pixel coordinates to crop pixel coordinates.
        y: predicted attribute values, 0 = absent, 1 = present.
        residual: how far the landmarks are from a frontal face's (see `alignment_residual`).
        points: float32 (221, 2) dense landmarks in frame pixels; None for models without.
    """

    detection: Detection
    matrix: Float32Array
    y: dict[str, float]
    residual: float
    points: Float32Array | None = None


@dataclass(frozen=True)
class FaceEdit:
    """One edited face.

    Attributes:
        detection, matrix, residual, points: as in `FaceAnalysis`.
        y_source: attribute values as predicted.
        y_target: attribute values as wanted, with what the edit takes along.
        strength: how strongly the edit shows: 1, and less for a face that is turned away, down to 0.
        hidden: parts that something hides or that lie beyond the frame, and that were not edited: "mouth",
            "left eye", "right eye", as seen in the image; and "hair", where an edit of its colour finds none.
        hair_strength: the same of its hair's colour, which goes later as a face turns away; None where that
            is not edited. If nothing else is, `strength` is this one.
    """

    detection: Detection
    matrix: Float32Array
    y_source: dict[str, float]
    y_target: dict[str, float]
    residual: float
    strength: float = 1.0
    points: Float32Array | None = None
    hidden: tuple[str, ...] = ()
    hair_strength: float | None = None


@dataclass(frozen=True)
class EditResult:
    """An edited frame.

    Attributes:
        image_hwc_bgr: uint8, as large as the frame.
        faces: the edited faces, left to right.
        found: how many faces the detector found, with those that were not chosen or turned out to be none.
        timings: seconds by stage: detect, align, encode, decode, composite.
    """

    image_hwc_bgr: UInt8Array
    faces: tuple[FaceEdit, ...]
    timings: dict[str, float] = field(default_factory=dict)
    found: int = 0


class Editor:
    """Detector and model together.

    Thread-safe: one editor may serve any number of threads, and every picture comes out as if it were alone.
    The networks run side by side, detection takes turns. A detector of your own must be thread-safe, too.
    """

    def __init__(self, model: FaceModel, detector: Detector, threads: int | None = None) -> None:
        """Use a model and a detector that are loaded already; `load` makes both.

        `threads`: of the networks that a model with shape needs beside them; None = one a core.
        """
        self._path: EditPath[Any] | None = path_class(model.manifest)(model, threads)
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
    ) -> Editor:
        """Load everything that editing needs.

        Args:
            bundle: a bundle or its path; None = the embedded one.
            provider: "cpu", "cuda", "tensorrt", "openvino", "ort-tensorrt", or "auto" for TensorRT where
                engines in the user's own cache fit, else CUDA where it really loads, else the processor
                (docs/providers.md).
            detector: "auto" (YuNet where its file is at hand, else "aif"), "aif" (the bundle's own), "yunet",
                "haar", or an object of your own.
            threads: threads of the networks on the CPU; None = one a core.
            precision: which of the bundle's graphs; None = FP32 on the CPU (INT8 where that was measured to
                pay) and FP16 on CUDA, where there.
            yunet: YuNet's file, which "auto" then takes; None = what `AIF_YUNET` names or `aif fetch yunet`
                has fetched.

        Raises:
            AifError: a `BundleError`, `ProviderError` or `ConfigError` that says what to do.
        """
        opened = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
        if yunet is not None and (detector in ("aif", "haar") or not isinstance(detector, str)):
            raise ConfigError(
                "A YuNet file and another detector contradict each other.", "Leave one of them out."
            )
        finder = make_detector(detector, opened, yunet, threads) if isinstance(detector, str) else detector
        return cls(FaceModel(opened, provider, threads, precision), finder, threads)

    @property
    def model(self) -> FaceModel:
        """The networks.

        Raises:
            AifError: the editor has been closed.
        """
        return self.path.model

    @property
    def path(self) -> EditPath[Any]:
        """How the model's edits get into a frame.

        Raises:
            AifError: the editor has been closed.
        """
        if (path := self._path) is None:
            raise _closed()
        return path

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
        path, manifest = self.path, self.model.manifest
        columns, blend = self.columns(edits), path.mode(mode)
        views, encoded, timings, found = self._encoded(frame_hwc_bgr, faces, detections)
        y = encoded.encoding.y
        source, target = decode_values(y, columns, manifest.attributes, manifest.source_values)
        start = time.perf_counter()
        changes = path.change(encoded, source, target)
        decoded_at = time.perf_counter()
        image = path.apply(frame_hwc_bgr, views, changes, blend)
        timings |= {"decode": decoded_at - start, "composite": time.perf_counter() - decoded_at}
        wanted = wanted_values(source, columns, manifest.attributes)
        parts = touched(manifest, columns)
        edited = tuple(
            FaceEdit(
                view.detection,
                view.matrix,
                self._named(before),
                self._named(after),
                view.residual,
                view.hair_fade if parts == (False, True) else view.fade,
                view.points,
                path.hidden(frame_hwc_bgr, view, change, parts.face),
                view.hair_fade if parts.hair else None,
            )
            for view, change, before, after in zip(views, changes, y, wanted, strict=True)
        )
        return EditResult(image, edited, timings, found)

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
        views, encoded, *_ = self._encoded(frame_hwc_bgr, faces, detections)
        return tuple(
            FaceAnalysis(view.detection, view.matrix, self._named(y), view.residual, view.points)
            for view, y in zip(views, encoded.encoding.y, strict=True)
        )

    def detect(self, frame_hwc_bgr: UInt8Array) -> list[Detection]:
        """Faces in a uint8 (H, W, 3) frame, left to right; empty where there is none.

        Raises:
            AifError: the editor has been closed.
            ImageError: the frame is no uint8 (H, W, 3) array.
        """
        check_frame(frame_hwc_bgr)
        if (detector := self._detector) is None:
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
                template (`aif.runtime.geometry.align.crop_face` cuts such); N may be 0. Left as they are.
            edits: attribute to wanted value, for all crops, or N such mappings.
            mode: how to blend; None = the bundle's default.

        Raises:
            UnknownAttributeError: the bundle has no such attribute.
            ConfigError: a value out of its range, an unknown mode, or edits for another number of crops.
            ImageError: the crops are no uint8 (N, S, S, 3) array.
        """
        return edit_crops(self.path, crops_nhwc_bgr, edits, mode)

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
        self._path = self._detector = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _encoded(
        self, frame: UInt8Array, faces: FaceChoice, detections: Sequence[Detection] | None
    ) -> tuple[list[FaceView], Encoded, dict[str, float], int]:
        """The chosen faces, what the encoder says of them, the times, and how many faces were found."""
        path = self.path
        times = [time.perf_counter()]
        check_frame(frame)
        every = self.detect(frame) if detections is None else left_to_right(detections)
        chosen = choose_faces(every, faces)
        times.append(time.perf_counter())
        views = path.look(frame, chosen)
        if not views:
            raise NoFaceError(
                "What the detector took for a face is none, or is hidden too far to be edited.", VISIBLE
            )
        times.append(time.perf_counter())
        encoded = path.encode(path.cut(frame, views))
        times.append(time.perf_counter())
        stages = dict(zip(("detect", "align", "encode"), np.diff(times).tolist(), strict=True))
        return views, encoded, stages, len(every)

    def _named(self, values: Float32Array) -> dict[str, float]:
        return dict(zip(self.model.attributes, values.tolist(), strict=True))


def path_class(manifest: Manifest) -> type[EditPath[Any]]:
    """How edits of a bundle get into a frame."""
    if manifest.frame == "shape":
        from aif.runtime.editing.shape.path import ShapePath

        return ShapePath
    from aif.runtime.editing.similarity.path import SimilarityPath

    return SimilarityPath


def _closed() -> AifError:
    return AifError("This editor has been closed.", "Make a new one with Editor.load().")
