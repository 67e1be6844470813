"""Films of more than eight bits, HDR or not: edited in an 8-bit copy, written with their own samples.

What the edit changes in the copy is brought back through the inverse of the tone mapping and added to the
film's 10-bit samples. So what is not edited reaches the encoder as it was, and the tags stay true.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import UInt8Array
from aif.runtime.image.meta import upright
from aif.runtime.video.pixels import RANGE_FULL, Colour, samples

FloatArray = npt.NDArray[np.float32]
Planes = tuple[npt.NDArray[np.uint16], ...]
"""Y (H, W), U and V of half the sides, 10 bits."""

FORMAT = "yuv420p10le"
PQ, HLG, BT2020 = 16, 18, 9

# Of diffuse white (ITU-R BT.2408), in cd/m2; this much light is 1 of what follows.
WHITE = 203.0
# Up to here the copy shows light as it is; above, highlights roll off towards 1.
KNEE = 0.5
GAMMA = 2.4  # of an SDR screen, BT.1886
_STEPS = 4095

# Linear light, blue green red: BT.2020 to BT.709 (ITU-R BT.2087).
_TO_709 = np.array(
    [[1.118730, -0.100579, -0.018151], [-0.008349, 1.132900, -0.124550], [-0.072850, -0.587641, 1.660491]]
)


@dataclass(frozen=True)
class Deep:
    """How a film's 10-bit samples and the 8-bit copy go over into each other; `colour`: the film's own."""

    colour: Colour

    @property
    def is_hdr(self) -> bool:
        """Whether the copy is tone mapped; else it is the film itself, rounded to eight bits."""
        return self.colour.transfer in (PQ, HLG)

    @property
    def copy_colour(self) -> Colour:
        """What the copy's numbers mean."""
        return Colour(1, 1, 1, 1) if self.is_hdr else self.colour

    @property
    def _unit(self) -> float:
        """Steps of 8 bits a step of 10 bits."""
        return 255 / 1023 if self.colour.range == RANGE_FULL else 0.25

    def planes(self, frame: av.VideoFrame, orientation: int) -> Planes:
        """The samples of a decoded frame, turned upright from an EXIF orientation (1 to 8)."""
        stored = frame if frame.format.name == FORMAT else frame.reformat(format=FORMAT)
        return tuple(
            np.ascontiguousarray(upright(samples(plane, np.uint16), orientation)) for plane in stored.planes
        )

    def copy(self, planes: Planes) -> UInt8Array:
        """The 8-bit copy, uint8 (H, W, 3) BGR."""
        high, wide = planes[0].shape
        size = (planes[1].shape[1] * 2, planes[1].shape[0] * 2)
        chroma = [
            cv2.resize(plane, size, interpolation=cv2.INTER_CUBIC)[:high, :wide] for plane in planes[1:]
        ]
        yuv = cv2.merge([planes[0], *chroma]).astype(np.float32)
        codes = cv2.transform(yuv, self.colour.to_bgr(high) * [[self._unit, self._unit, self._unit, 1]])
        if not self.is_hdr:
            return np.asarray(np.clip(codes + 0.5, 0, 255), dtype=np.uint8)
        light: Any = self._curves[0][_index(codes / 255)]
        if self.colour.primaries == BT2020:
            light = cv2.transform(light, _TO_709)
        return np.asarray(self._curves[1][_index(cv2.sqrt(np.maximum(light, 0)))], dtype=np.uint8)

    def changed(self, planes: Planes, before: UInt8Array, after: UInt8Array) -> Planes:
        """The samples with the change between two copies, uint8 (H, W, 3); equal pixels keep theirs."""
        differs = (before != after).any(axis=2)
        rows, columns = np.flatnonzero(differs.any(axis=1)), np.flatnonzero(differs.any(axis=0))
        if not len(rows):
            return planes
        box = np.s_[rows[0] // 2 * 2 : rows[-1] + 1, columns[0] // 2 * 2 : columns[-1] + 1]
        change: Any = self._codes(after[box]) - self._codes(before[box])
        high, wide = change.shape[:2]
        change = cv2.copyMakeBorder(change, 0, high % 2, 0, wide % 2, cv2.BORDER_REPLICATE)
        moved = cv2.transform(change, self.colour.from_bgr(len(before))[:, :3] / self._unit)
        halved = cv2.resize(moved, (moved.shape[1] // 2, moved.shape[0] // 2), interpolation=cv2.INTER_AREA)
        result = tuple(plane.copy() for plane in planes)
        top, left = box[0].start, box[1].start
        for channel, source in enumerate((moved[:high, :wide], halved, halved)):
            y, x = (top, left) if channel == 0 else (top // 2, left // 2)
            place = result[channel][y : y + source.shape[0], x : x + source.shape[1]]
            place[:] = np.clip(np.rint(place + source[:, :, channel]), 0, 1023)
        return result

    def _codes(self, copy: UInt8Array) -> FloatArray:
        """What the film says where it looks as the copy does: R'G'B' as BGR, 0 to 255."""
        if not self.is_hdr:
            return copy.astype(np.float32)
        light: Any = np.power(np.arange(256, dtype=np.float32) / 255, GAMMA)[copy]
        if self.colour.primaries == BT2020:
            light = cv2.transform(light, np.linalg.inv(_TO_709))
        light = np.clip(light, 0, 0.999)
        above = KNEE - (1 - KNEE) * np.log(1 - (np.maximum(light, KNEE) - KNEE) / (1 - KNEE))
        nits = WHITE * np.where(light > KNEE, above, light)
        return np.asarray(255 * (pq_code(nits) if self.colour.transfer == PQ else hlg_code(nits)), np.float32)

    @cached_property
    def _curves(self) -> tuple[FloatArray, UInt8Array]:
        """Codes to the copy's light; square roots of light to the copy's values."""
        steps = np.linspace(0, 1, _STEPS + 1)
        light = (pq_light(steps) if self.colour.transfer == PQ else hlg_light(steps)) / WHITE
        rolled = KNEE + (1 - KNEE) * (1 - np.exp(-(np.maximum(light, KNEE) - KNEE) / (1 - KNEE)))
        copy = np.rint(255 * steps ** (2 / GAMMA)).astype(np.uint8)
        return np.where(light > KNEE, rolled, light).astype(np.float32), copy


def deep_frame(planes: Planes, even: bool) -> av.VideoFrame:
    """A frame for an encoder; `even`: where a side is odd, its last column or row is repeated once."""
    high, wide = planes[0].shape
    frame = av.VideoFrame(wide + even * (wide % 2), high + even * (high % 2), FORMAT)
    for given, plane in zip(planes, frame.planes, strict=True):
        missing = ((0, plane.height - given.shape[0]), (0, plane.width - given.shape[1]))
        samples(plane, np.uint16)[:] = np.pad(given, missing, mode="edge")
    return frame


def resized(planes: Planes, width: int, height: int) -> Planes:
    """Samples of another size."""
    sizes = [(width, height), *[((width + 1) // 2, (height + 1) // 2)] * 2]
    grown = [cv2.resize(p, size, interpolation=cv2.INTER_AREA) for p, size in zip(planes, sizes, strict=True)]
    return tuple(np.asarray(plane, dtype=np.uint16) for plane in grown)


def _index(values: Any) -> npt.NDArray[np.uint16]:
    return np.asarray(np.clip(values * _STEPS + 0.5, 0, _STEPS), dtype=np.uint16)


def pq_light(code: Any) -> Any:
    """SMPTE ST 2084: codes 0 to 1 to cd/m2."""
    root = np.power(code, 1 / 78.84375)
    return 10_000 * np.power(
        np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root), 1 / 0.1593017578125
    )


def pq_code(light: Any) -> Any:
    """The inverse of `pq_light`."""
    root = np.power(light / 10_000, 0.1593017578125)
    return np.power((0.8359375 + 18.8515625 * root) / (1 + 18.6875 * root), 78.84375)


def hlg_light(code: Any) -> Any:
    """ITU-R BT.2100: codes 0 to 1 to cd/m2 of a screen of 1000, each channel by itself."""
    scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - 0.55991073) / 0.17883277) + 0.28466892) / 12)
    return 1000 * np.power(scene, 1.2)


def hlg_code(light: Any) -> Any:
    """The inverse of `hlg_light`."""
    scene = np.power(light / 1000, 1 / 1.2)
    high = 0.17883277 * np.log(np.maximum(12 * scene, 1) - 0.28466892) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), high)
