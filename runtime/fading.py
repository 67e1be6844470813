"""Faces shown at less than the full strength of their edit, so that effects come and go gently."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np

from aif.runtime.align import UInt8Array, transform_points
from aif.runtime.compose import FacePatch, composite
from aif.runtime.manifest import Mode


def composite_faded(
    frame_hwc_bgr: UInt8Array, patches: Sequence[FacePatch], mode: Mode, strengths: Sequence[float]
) -> UInt8Array:
    """`composite`, with each face shown at its strength, 0 to 1, between the frame and its full edit."""
    whole = [patch for patch, strength in zip(patches, strengths, strict=True) if strength >= 1]
    image = composite(frame_hwc_bgr, whole, mode)
    for patch, strength in zip(patches, strengths, strict=True):
        if strength < 1:
            left, top, right, bottom = _crop_bounds(patch, image.shape)
            matrix = patch.matrix.copy()
            matrix[:, 2] += matrix[:, :2] @ np.array([left, top], dtype=np.float32)
            part = image[top:bottom, left:right]
            if part.size:
                edited = composite(part, [dataclasses.replace(patch, matrix=matrix)], mode)
                part[:] = cv2.addWeighted(edited, strength, part, 1 - strength, 0)
    return image


def _crop_bounds(patch: FacePatch, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom in the frame of all pixels that the crop touches."""
    size = patch.crop_chw.shape[-1]
    inverse = cv2.invertAffineTransform(patch.matrix.astype(np.float64))
    corners = transform_points([[x, y] for x in (-1, size) for y in (-1, size)], inverse)
    low = np.clip(np.floor(corners.min(axis=0)), 0, (shape[1], shape[0]))
    high = np.clip(np.ceil(corners.max(axis=0)) + 1, 0, (shape[1], shape[0]))
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])
