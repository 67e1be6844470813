"""A picture in memory: upright 8-bit pixels to work on, and what it takes to write the same kind of file."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import UInt8Array
from aif.runtime.image.codecs import Extras, Samples
from aif.runtime.image.kinds import Format

UInt16Array = npt.NDArray[np.uint16]

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture as read.

    Attributes:
        name: what to call it in messages.
        pixels_hwc_bgr: uint8 (H, W, 3), upright (EXIF orientation applied), colours as the file stores them.
        alpha_hw: uint8 or uint16 (H, W), 0 = clear; None when the file has no transparency.
        deep_hwc: uint16 (H, W, 1 or 3), grey or BGR: the full data of files of 10 to 16 bits; else None.
        channels: colour channels of the file: 1 or 3.
        is_grey: the picture shows no colour, whether stored in one channel or in three equal ones.
        format: format of the file.
        extras: ICC profile, EXIF (orientation 1), XMP, resolution and how the file was coded.
    """

    name: str
    pixels_hwc_bgr: UInt8Array
    alpha_hw: Samples | None
    deep_hwc: UInt16Array | None
    channels: int
    is_grey: bool
    format: Format
    extras: Extras

    @property
    def width(self) -> int:
        """Pixels across."""
        return int(self.pixels_hwc_bgr.shape[1])

    @property
    def height(self) -> int:
        """Pixels down."""
        return int(self.pixels_hwc_bgr.shape[0])

    def settle(self, pixels_hwc_bgr: UInt8Array) -> UInt8Array:
        """`pixels_hwc_bgr` (uint8, any size) as this picture shows them: without colour when it is grey.

        An edit of a black-and-white photo stays black and white, also where the network painted a skin tone.
        """
        if not self.is_grey:
            return pixels_hwc_bgr
        grey = cv2.cvtColor(pixels_hwc_bgr, cv2.COLOR_BGR2GRAY)
        return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), dtype=np.uint8)

    def sheet(self, pixels_hwc_bgr: UInt8Array) -> Picture:
        """A contact sheet: an 8-bit picture of any size in this one's colour space and format."""
        return replace(
            self,
            pixels_hwc_bgr=pixels_hwc_bgr,
            alpha_hw=None,
            deep_hwc=None,
            channels=3,
            is_grey=False,
            extras=Extras(icc=self.extras.icc if self.channels == 3 else None),
        )

    def samples(self, pixels_hwc_bgr: UInt8Array, kind: Format) -> Samples:
        """What a file of format `kind` stores for the edited pixels, uint8: (H, W, C), grey or RGB, then
        alpha.

        uint16 when the picture has 16 bits and the format can hold them: the 8-bit change, times 257, is
        added to the 16-bit original, so that a pixel that the edit left alone keeps its exact value. JPEG and
        BMP have no transparency (the picture is laid on white), they, WebP and AVIF no 16 bits: losses are
        logged.
        """
        settled = self.settle(pixels_hwc_bgr)
        colour: Samples = settled[:, :, :1] if self.channels == 1 else settled
        alpha = self.alpha_hw
        if self.deep_hwc is not None and kind in ("PNG", "TIFF", "HEIF"):
            colour = self._deepened(settled)
            if alpha is not None and alpha.dtype == np.uint8:
                alpha = alpha.astype(np.uint16) * np.uint16(257)
        else:
            if self.deep_hwc is not None:
                log.warning("%s has more than 8 bits a channel; %s keeps 8.", self.name, kind)
            if alpha is not None and alpha.dtype == np.uint16:
                alpha = to_8_bit(np.asarray(alpha, dtype=np.uint16))
        if alpha is not None and kind in ("JPEG", "BMP"):
            log.warning("%s has transparency, which %s cannot hold: shown on white.", self.name, kind)
            colour, alpha = _on_white(np.asarray(colour, dtype=np.uint8), alpha), None
        if colour.shape[2] == 3:
            colour = np.asarray(cv2.cvtColor(colour, cv2.COLOR_BGR2RGB), dtype=colour.dtype)
        if alpha is None:
            return colour
        return np.asarray(np.concatenate([colour, alpha[:, :, None]], axis=2), dtype=colour.dtype)

    def _deepened(self, settled: UInt8Array) -> UInt16Array:
        """The 16-bit original plus the 8-bit change, touched only where there is one."""
        assert self.deep_hwc is not None
        deep = self.deep_hwc.copy()
        changed = (settled != self.pixels_hwc_bgr).any(axis=2)
        rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
        if not len(rows):
            return deep
        box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1, : deep.shape[2]]
        change = settled[box].astype(np.int32) - self.pixels_hwc_bgr[box]
        deep[box] = np.clip(deep[box] + 257 * change, 0, 65535).astype(np.uint16)
        return deep


def to_8_bit(deep: UInt16Array) -> UInt8Array:
    """16-bit values rounded to 8 bits: 0 to 0 and 65535 to 255."""
    return np.asarray((deep.astype(np.uint32) * 255 + 32767) // 65535, dtype=np.uint8)


def _on_white(colour: UInt8Array, alpha: Samples) -> UInt8Array:
    share = alpha[:, :, None].astype(np.float32) / 255
    return np.asarray(np.rint(colour * share + 255 * (1 - share)), dtype=np.uint8)
