"""Pictures as arrays and as files."""

import io

import cv2
import numpy as np
from PIL import Image, ImageCms
from pillow_heif import register_heif_opener

from aif.runtime.image.io import encode_image

register_heif_opener()

KINDS = ["JPEG", "PNG", "WEBP", "HEIF", "AVIF", "TIFF", "BMP"]
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
BOX = (slice(2, 5), slice(3, 7))


def noise(height, width, channels, dtype=np.uint8, seed=0):
    top = int(np.iinfo(dtype).max)
    return np.random.default_rng(seed).integers(0, top + 1, (height, width, channels)).astype(dtype)


def smooth(height, width):
    """A picture that survives JPEG: slow ramps, uint8 (H, W, 3)."""
    y, x = np.mgrid[0:height, 0:width]
    ramps = [x * 255 / max(1, width - 1), y * 255 / max(1, height - 1), 128 + 0 * x]
    return np.stack(ramps, axis=2).astype(np.uint8)


def file_bytes(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def written(picture, kind=None, quality=None, box=None, colour=None):
    """The file of a picture whose pixels in a box have been given a colour."""
    pixels = picture.pixels_hwc_bgr.copy()
    if box is not None:
        pixels[box] = colour
    return encode_image(picture, pixels, kind, quality)


def seen(data):
    """A file as Pillow alone reads it."""
    return Image.open(io.BytesIO(data))


def write_crops(folder, count, width=32):
    """Soft made-up crops as PNG files, 32 px high; the folder."""
    folder.mkdir(parents=True)
    for number in range(count):
        corners = noise(3, 3, 3, seed=number)
        cv2.imwrite(str(folder / f"{number:02}.png"), cv2.resize(corners, (width, 32)))
    return folder
