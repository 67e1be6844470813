"""Files that are no picture, or no longer one: each ends in one error that says what it is."""

import numpy as np
import pytest
from pictures import KINDS, file_bytes, noise
from PIL import Image, TiffImagePlugin

from aif.runtime.errors import ImageError
from aif.runtime.image.io import read_image

NOISE = Image.fromarray(noise(64, 64, 3))
FRAMES = {"save_all": True, "append_images": [Image.new("RGB", (64, 64), (255, 0, 0))]}


@pytest.mark.parametrize(
    ("data", "name", "said"),
    [
        (b"", "a.jpg", "a.jpg is empty"),
        (b"hello world\n", "a.jpg", "a text file"),
        (b"\xef\xbb\xbf<!DOCTYPE html><html></html>", "a.jpg", "a web page"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "a.svg", "SVG"),
        (b"%PDF-1.7\n", "a.pdf", "a PDF"),
        (b"PK\x03\x04" + bytes(30), "a.zip", "a zip archive"),
        (b"8BPS\0\1", "a.psd", "Photoshop"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "a.heic", "begins like a HEIF file but is damaged"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0", "a.jpg", "begins like a HEIF file but is damaged"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif", "a.avif", "begins like a AVIF file but is damaged"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "a.mp4", "a video.*\n.*mp4"),
        (b"\x1a\x45\xdf\xa3" + bytes(20), "a.webm", "a video"),
        (b"RIFF\0\0\0\0AVI LIST", "a.avi", "a video"),
        (b"\0\0\0\x18ftypcrx \0\0\0\0", "a.cr3", "camera raw"),
        (b"II*\0\x08\0\0\0", "a.NEF", "camera raw"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "a.jp2", "JPEG 2000"),
        (b"\xff\x0a\0\0", "a.jxl", "JPEG XL"),
        (file_bytes(NOISE, "GIF"), "a.gif", "a GIF"),
        (b"\0\0\0\x20ftypavif\0\0\0\0", "a.avif", "begins like a AVIF file but is damaged"),
        (bytes(range(200, 256)) * 4, "a.jpg", "not a picture, or is damaged"),
        (b"\0" * 1000, "a.jpg", r"not a picture, or is damaged at its start\.\n"),
        (b"P5\n4 4\n255\n" + bytes(16), "a.pgm", "a PNM picture, which aif does not read"),
        (b"words", "a.jpg", r"is a text file, not a picture\.\n"),
        (b"\xff\xd8\xff", "a.jpg", "begins like a JPEG file but is damaged"),
        (b"\x89PNG\r\n\x1a\n", "a.png", "begins like a PNG file but is damaged"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "a.webp", "begins like a WEBP file but is damaged"),
        (b"II*\0\x08\0\0\0", "a.tif", "begins like a TIFF file but is damaged"),
        (b"BM", "a.bmp", "begins like a BMP file but is damaged"),
        (file_bytes(NOISE, "PNG", **FRAMES), "a.png", "several frames of an animation"),
        (file_bytes(NOISE, "WEBP", **FRAMES), "a.webp", "several frames of an animation"),
        (file_bytes(NOISE, "AVIF", **FRAMES), "a.avif", "several frames of an animation"),
        (file_bytes(NOISE, "TIFF", **FRAMES), "a.tif", "several pages"),
        (file_bytes(Image.new("F", (4, 4)), "TIFF"), "a.tif", "floating point"),
        (file_bytes(Image.new("I", (4, 4)), "TIFF"), "a.tif", "32-bit whole numbers"),
        (file_bytes(Image.new("LAB", (4, 4)), "TIFF"), "a.tif", "CIE Lab"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow remarks on damaged TIFF tags
def test_what_the_file_is_and_how_to_mend_it(data, name, said):
    with pytest.raises(ImageError, match=said) as caught:
        read_image(data, name=name)
    assert caught.value.message.startswith(name)
    assert caught.value.fix


def test_the_pages_of_a_file_are_not_counted(monkeypatch):
    """Which takes Pillow a time that grows with their number's square."""

    def counted(_):
        raise AssertionError

    monkeypatch.setattr(TiffImagePlugin.TiffImageFile, "n_frames", property(counted))
    with pytest.raises(ImageError, match="several pages"):
        read_image(file_bytes(NOISE, "TIFF", **FRAMES), name="a.tif")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_file_cut_short_is_an_error_and_not_a_half_grey_picture(kind, share):
    whole = file_bytes(NOISE, kind)
    with pytest.raises(ImageError, match=r"cut short|damaged"):
        read_image(whole[: int(len(whole) * share)])


def test_a_png_with_a_wrong_checksum_is_damaged():
    data = bytearray(file_bytes(NOISE, "PNG"))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(ImageError, match=r"damaged|cut short"):
        read_image(bytes(data))


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow remarks on damaged TIFF tags
@pytest.mark.parametrize("kind", KINDS)
def test_bytes_turned_at_random_end_in_a_picture_or_an_image_error(kind):
    whole = file_bytes(NOISE.resize((16, 16)), kind)
    rng = np.random.default_rng(1)
    refused = 0
    for _ in range(150):
        damaged = bytearray(whole)
        for at in rng.integers(0, len(whole), 4):
            damaged[at] = rng.integers(0, 256)
        try:
            picture = read_image(bytes(damaged), max_megapixels=1)
            assert picture.pixels_hwc_bgr.dtype == np.uint8 and picture.pixels_hwc_bgr.ndim == 3
        except ImageError:
            refused += 1
    assert refused > 0


def test_paths_that_hold_no_picture(tmp_path):
    (tmp_path / "portrait.jpg").write_bytes(file_bytes(NOISE, "JPEG"))
    with pytest.raises(ImageError, match=r"There is no file .*portrat.jpg\.\nDid you mean portrait.jpg\?"):
        read_image(tmp_path / "portrat.jpg")
    with pytest.raises(ImageError, match="There is no folder"):
        read_image(tmp_path / "missing" / "a.jpg")
    with pytest.raises(ImageError, match="is a folder"):
        read_image(tmp_path)
    with pytest.raises(ImageError, match="Cannot read"):
        read_image("a\0b.jpg")
