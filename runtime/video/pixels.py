"""Decoded video frames to BGR pictures and back, with nothing lost that eight bits can hold.

Libswscale's default path from YUV to BGR rounds down (about one level) and repeats chroma samples, and its
accurate path takes twice the time of this one: chroma resized by OpenCV, then one 3 x 4 matrix for colours
and range. There and back leaves luma as it was but for rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any, TypeVar, cast

import av
import cv2
import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import UInt8Array

FloatArray = npt.NDArray[np.float64]
Sample = TypeVar("Sample", np.uint8, np.uint16)

# As FFmpeg numbers them (libavutil/pixfmt.h): matrix, range, primaries and transfer.
MATRIX_RGB, MATRIX_BT709, MATRIX_UNKNOWN = 0, 1, 2
RANGE_LIMITED, RANGE_FULL = 1, 2
UNKNOWN = 2

# Share of red and of blue in luma (Kr, Kb), by matrix: ITU-T H.273, table 4.
_LUMA: dict[int, tuple[float, float]] = {
    1: (0.2126, 0.0722),  # BT.709
    4: (0.30, 0.11),  # FCC
    5: (0.299, 0.114),  # BT.601, 625 lines
    6: (0.299, 0.114),  # BT.601, 525 lines
    7: (0.212, 0.087),  # SMPTE 240M
    9: (0.2627, 0.0593),  # BT.2020
    10: (0.2627, 0.0593),
}

# From this height on, a video that does not name its matrix is taken for BT.709, as players do.
HD_LINES = 720


@dataclass(frozen=True)
class Colour:
    """How the numbers of a video mean colours, in FFmpeg's numbering: matrix of YUV (2 = not said), range (1
    = limited, 2 = full, 0 = not said, which means limited), primaries and transfer, which are carried along
    untouched.
    """

    matrix: int = MATRIX_UNKNOWN
    range: int = 0
    primaries: int = UNKNOWN
    transfer: int = UNKNOWN

    @classmethod
    def of(cls, frame: av.VideoFrame) -> Colour:
        """What a decoded frame says of itself; pictures in RGB and grey become BT.709 in limited range."""
        if _is_rgb(frame):
            return cls(MATRIX_BT709, RANGE_LIMITED, 1, 13)  # 13 = sRGB
        value = int(frame.color_range)
        if len(_colours(frame)) == 1:
            value = RANGE_LIMITED  # as it is written
        elif frame.format.name.startswith("yuvj"):
            value = RANGE_FULL
        return cls(int(frame.colorspace), value, frame.color_primaries, frame.color_trc)

    def to_bgr(self, height: int) -> FloatArray:
        """(3, 4) matrix from (Y, U, V, 1) to B, G, R, all 0 to 255; unnamed ones go by the height."""
        return _matrices(self._weights(height), self.range == RANGE_FULL)[1]

    def from_bgr(self, height: int) -> FloatArray:
        """(3, 4) matrix from (B, G, R, 1) to Y, U, V, all 0 to 255."""
        return _matrices(self._weights(height), self.range == RANGE_FULL)[0]

    def _weights(self, height: int) -> tuple[float, float]:
        return _LUMA.get(self.matrix) or _LUMA[1 if height >= HD_LINES else 6]


@lru_cache(maxsize=32)
def _matrices(weights: tuple[float, float], full: bool) -> tuple[FloatArray, FloatArray]:
    """BGR to YUV and YUV to BGR, each (3, 4)."""
    red, blue = weights
    green = 1 - red - blue
    u, v = 2 * (1 - blue), 2 * (1 - red)
    yuv = np.array(
        [
            [blue, green, red],
            [(1 - blue) / u, -green / u, -red / u],
            [-blue / v, -green / v, (1 - red) / v],
        ]
    )
    if not full:
        yuv *= np.array([[219], [224], [224]]) / 255
    offset = np.array([[0 if full else 16], [128], [128]])
    back = np.linalg.inv(yuv)
    return np.hstack([yuv, offset]), np.hstack([back, -back @ offset])


# EXIF's numbers by whether columns and rows are flipped.
_BY_FLIPS = {(False, False): 1, (True, False): 2, (True, True): 3, (False, True): 4}


def orientation(frame: av.VideoFrame) -> int | None:
    """How a stored frame must be turned to be shown, as EXIF numbers it (1 to 8), from its display matrix;
    None where that turns by an angle other than a right one.
    """
    data = cast(Any, frame.side_data).get("DISPLAYMATRIX")
    if data is None:
        return 1
    # (x, y) goes to (a x + c y, b x + d y); rows count downwards.
    a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].tolist()
    if b == c == 0 and a and d:
        return _BY_FLIPS[a < 0, d < 0]
    if a == d == 0 and b and c:
        return _BY_FLIPS[c < 0, b < 0] + 4  # transposed first
    return None


def frame_to_bgr(frame: av.VideoFrame, colour: Colour) -> UInt8Array:
    """The pixels of a decoded frame: uint8 (H, W, 3) BGR, not turned.

    More than eight bits are rounded to eight; transparent parts of RGB pictures (GIF) are shown on white.
    """
    if _is_rgb(frame):
        return _rgb_to_bgr(frame)
    if len(_colours(frame)) == 1:
        grey: cv2.typing.MatLike = _planes(frame.reformat(format="gray"))[0]
        if frame.color_range == RANGE_LIMITED:
            grey = cv2.LUT(grey, np.clip((np.arange(256) - 16) * 255 / 219 + 0.5, 0, 255).astype(np.uint8))
        return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), dtype=np.uint8)
    y, *chroma = _planes(_planar_8_bit(frame))[:3]
    high, wide = y.shape
    scale = (round(wide / chroma[0].shape[1]), round(high / chroma[0].shape[0]))
    if scale != (1, 1):
        size = (chroma[0].shape[1] * scale[0], chroma[0].shape[0] * scale[1])
        grown = [cv2.resize(plane, size, interpolation=cv2.INTER_CUBIC) for plane in chroma]
        chroma = [np.asarray(plane[:high, :wide], dtype=np.uint8) for plane in grown]
    return np.asarray(cv2.transform(cv2.merge([y, *chroma]), colour.to_bgr(high)), dtype=np.uint8)


def bgr_to_yuv420p(image_hwc_bgr: UInt8Array, colour: Colour, even: bool) -> av.VideoFrame:
    """A frame for an encoder: planar YUV with chroma of half the width and height.

    `even`: where a side is odd, the last column or row is repeated once, for codecs that need even sides.
    """
    high, wide = image_hwc_bgr.shape[:2]
    if high % 2 or wide % 2:
        image_hwc_bgr = np.asarray(
            cv2.copyMakeBorder(image_hwc_bgr, 0, high % 2, 0, wide % 2, cv2.BORDER_REPLICATE), dtype=np.uint8
        )
    yuv = cv2.transform(image_hwc_bgr, colour.from_bgr(high))
    padded_high, padded_wide = yuv.shape[:2]
    # All channels at once, luma for nothing: that spares two planes of full size, whose fresh memory costs
    # more than the arithmetic.
    halved = cv2.resize(yuv, (padded_wide // 2, padded_high // 2), interpolation=cv2.INTER_AREA)
    size = (padded_wide, padded_high) if even else (wide, high)
    frame = av.VideoFrame(*size, "yuv420p")
    luma, *chroma = _planes(frame)
    luma[:] = yuv[: luma.shape[0], : luma.shape[1], 0]
    for channel, target in enumerate(chroma, start=1):
        target[:] = halved[: target.shape[0], : target.shape[1], channel]
    frame.color_range, frame.colorspace = colour.range, colour.matrix
    return frame


class Palette:
    """Frames for a GIF: finds the best 255 colours of each frame and maps it to them, with dithering."""

    def __init__(self, width: int, height: int, ticks: Fraction) -> None:
        """Prepare for BGR frames of that size in pixels, timed in units of `ticks` seconds."""
        self._graph = graph = av.filter.Graph()
        kind = av.VideoFormat("bgr24")
        source = graph.add_buffer(width=width, height=height, format=kind, time_base=ticks)
        split, sink = graph.add("split"), graph.add("buffersink")
        find, use = graph.add("palettegen", "stats_mode=single"), graph.add("paletteuse", "new=1")
        graph.link_nodes(source, split, use, sink)
        split.link_to(find, 1, 0)
        find.link_to(use, 0, 1)
        graph.configure()

    def indexed(self, picture: av.VideoFrame | None) -> Iterator[av.VideoFrame | None]:
        """The frames that are ready once `picture`, or the end, has gone in; None is the end."""
        self._graph.push(picture)
        while True:
            try:
                yield self._graph.pull()  # type: ignore[misc]
            except av.BlockingIOError:
                return
            except av.EOFError:
                yield None
                return


def is_see_through(frame: av.VideoFrame) -> bool:
    """Whether any part of an RGB picture is transparent."""
    return _has_alpha(frame) and int(frame.to_ndarray(format="bgra")[:, :, 3].min()) < 255


def bits(frame: av.VideoFrame) -> int:
    """Bits a channel."""
    return max(part.bits for part in frame.format.components)


def is_coloured_yuv(frame: av.VideoFrame) -> bool:
    """Whether a frame is neither grey nor RGB."""
    return not _is_rgb(frame) and len(_colours(frame)) > 1


def _has_alpha(frame: av.VideoFrame) -> bool:
    return _is_rgb(frame) and (
        frame.format.has_palette or len(_colours(frame)) < len(frame.format.components)
    )


def _is_rgb(frame: av.VideoFrame) -> bool:
    return frame.format.is_rgb or frame.format.has_palette


def _colours(frame: av.VideoFrame) -> list[av.video.format.VideoFormatComponent]:
    return [part for part in frame.format.components if not part.is_alpha]


def _rgb_to_bgr(frame: av.VideoFrame) -> UInt8Array:
    if not _has_alpha(frame):
        return np.asarray(frame.to_ndarray(format="bgr24"), dtype=np.uint8)
    bgra = frame.to_ndarray(format="bgra")
    alpha = bgra[:, :, 3]
    if alpha.min() < 255:
        weight = alpha[:, :, None].astype(np.uint16)
        return ((bgra[:, :, :3] * weight + 255 * (255 - weight) + 127) // 255).astype(np.uint8)
    return np.ascontiguousarray(bgra[:, :, :3], dtype=np.uint8)


def _planar_8_bit(frame: av.VideoFrame) -> av.VideoFrame:
    """The frame with eight bits in three planes of their own; its chroma at most halved, its range kept."""
    parts = _colours(frame)
    ratios = (frame.width / parts[1].width, frame.height / parts[1].height)
    wanted = "yuv444p" if max(ratios) < 1.5 else "yuv422p" if ratios[1] < 1.5 else "yuv420p"
    name = frame.format.name
    return frame if name in {wanted, wanted.replace("yuv", "yuvj")} else frame.reformat(format=wanted)


def samples(plane: av.video.plane.VideoPlane, kind: type[Sample]) -> npt.NDArray[Sample]:
    """A view of a plane without its padding, (H, W) of uint8 or uint16; writable."""
    rows = np.frombuffer(memoryview(plane), kind).reshape(-1, plane.line_size // np.dtype(kind).itemsize)
    return rows[: plane.height, : plane.width]


def _planes(frame: av.VideoFrame) -> list[UInt8Array]:
    return [samples(plane, np.uint8) for plane in frame.planes]
