"""From a frame with faces to the edited frame, in five steps that photos, crops, films and cameras share.

    look      where each face is, as exactly as its edit needs
    cut       the faces as the encoder takes them
    encode    what the encoder says of them
    change    what an edit changes in each, from two decodings
    apply     the changes in the frame

A film looks and applies in every frame, and encodes and decodes only when there is something new. There is
one class for each kind of frame: `ShapePath` (textures and landmarks) and `SimilarityPath` (whole crops).
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from aif.runtime.arrays import Float32Array, UInt8Array
from aif.runtime.bundle.manifest import Mode
from aif.runtime.errors import ConfigError
from aif.runtime.faces.detect import Detection
from aif.runtime.faces.landmarks import LandmarkNet
from aif.runtime.model.codes import FaceInputs
from aif.runtime.model.model import Encoding, FaceModel

C = TypeVar("C")


@dataclass(frozen=True)
class FaceView:
    """One face of a frame.

    Attributes:
        detection: where it is; its five landmarks are those that the crop is aligned by.
        matrix: float32 (2, 3), frame pixel coordinates to crop pixel coordinates.
        size: side of that crop in pixels.
        fade: how strongly an edit may show, 0 to 1: less for a face that is turned away.
        points: float32 (221, 2) dense landmarks in frame pixels; None for models without.
        residual: how far the five landmarks are from a frontal face's (see `alignment_residual`).
        seen: float32 (221,) probability that nothing hides each point; None where not known.
        yaw: how far the face is turned, in degrees, as `DenseFaces.pose`; 0 where not known.
        hair_fade: how strongly the colour of its hair may change, 0 to 1.
    """

    detection: Detection
    matrix: Float32Array
    size: int
    fade: float
    points: Float32Array | None
    residual: float
    seen: Float32Array | None = None
    yaw: float = 0.0
    hair_fade: float = 1.0


@dataclass(frozen=True)
class Encoded:
    """Faces as the encoder saw them, and what it said."""

    inputs: FaceInputs
    encoding: Encoding


class EditPath(abc.ABC, Generic[C]):
    """The five steps for one kind of model. Calls may come from several threads at once.

    C is what changes in one face; what it holds is the path's own affair.
    """

    modes: tuple[Mode, ...]
    """The ways in which it can compose, the default first."""

    lasting: bool = False
    """Whether a change may be applied to later frames, too; else it belongs to its own frame."""

    net: LandmarkNet | None = None
    """What finds dense landmarks, for kinds of models that need them."""

    def __init__(self, model: FaceModel, threads: int | None = None) -> None:
        """`threads`: of the networks that it needs beside the model; None = one a core."""
        self.model = model

    def mode(self, wanted: Mode | None) -> Mode:
        """The mode to compose in; None = the bundle's default.

        Raises:
            ConfigError: this kind of model does not compose so.
        """
        chosen = wanted or self.model.manifest.compositing
        if chosen not in self.modes:
            raise ConfigError(
                f"This bundle cannot compose by {chosen!r}.", f"It can by: {', '.join(self.modes)}."
            )
        return chosen

    @abc.abstractmethod
    def look(self, frame_hwc_bgr: UInt8Array, detections: Sequence[Detection]) -> list[FaceView]:
        """The detected faces, closer; what turns out to be no face is left out."""

    @abc.abstractmethod
    def look_at_crops(self, crops_nhwc_bgr: UInt8Array) -> list[FaceView]:
        """The faces of square crops uint8 (N, S, S, 3) that are aligned to the template, one each."""

    @abc.abstractmethod
    def view(
        self, points: Float32Array, score: float, yaw: float = 0.0, seen: Float32Array | None = None
    ) -> FaceView:
        """A face whose landmarks are known: (5, 2), or (221, 2) for models with shape, in frame pixels; yaw
        in degrees; (221,) how surely each point is seen."""

    def hidden(self, frame_hwc_bgr: UInt8Array, view: FaceView, change: C, of_face: bool) -> tuple[str, ...]:
        """What is hidden of a face, and so not changed: "hair"; of one `of_face` "mouth", "left eye"."""
        return ()

    @abc.abstractmethod
    def cut(self, frame_hwc_bgr: UInt8Array, views: Sequence[FaceView]) -> FaceInputs:
        """The faces as the encoder takes them."""

    def encode(self, inputs: FaceInputs) -> Encoded:
        """What the encoder says of the faces."""
        return Encoded(inputs, self.model.encode(inputs.images, inputs.landmarks))

    @abc.abstractmethod
    def change(self, encoded: Encoded, source: Float32Array, target: Float32Array) -> list[C]:
        """What changes in each face when its attribute values go from `source` to `target`, both (N, A)."""

    @abc.abstractmethod
    def apply(
        self,
        frame_hwc_bgr: UInt8Array,
        views: Sequence[FaceView],
        changes: Sequence[C],
        mode: Mode,
    ) -> UInt8Array:
        """A copy of the frame with the changes in it, each as strongly as its view allows."""

    @abc.abstractmethod
    def between(self, old: C, new: C, share: float) -> C:
        """A change between two of one face: the old one for share 0, the new one for 1."""
