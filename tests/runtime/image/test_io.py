"""Reading and writing pictures: what was in the file comes back, and only the edit changes."""

import os
import stat
import zlib

import numpy as np
import pytest
from pictures import BOX, KINDS, SRGB, file_bytes, noise, seen, smooth, written
from PIL import Image, JpegImagePlugin

from aif.runtime.errors import ConfigError, ImageError
from aif.runtime.image.codecs import Extras, encode_samples
from aif.runtime.image.io import demo_picture, encode_image, read_image, write_bytes
from aif.runtime.image.kinds import format_for


@pytest.mark.parametrize(
    ("kind", "mode"),
    [(kind, mode) for kind in ("PNG", "TIFF") for mode in ("1", "L", "LA", "P", "RGB", "RGBA")]
    + [("WEBP", mode) for mode in ("L", "LA", "P", "RGB", "RGBA")]
    + [("BMP", mode) for mode in ("1", "L", "P", "RGB")],
)
def test_lossless_kinds_give_back_every_pixel(kind, mode):
    source = Image.fromarray(noise(9, 11, 4), "RGBA").convert(mode)
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    data = file_bytes(source, kind, **options)
    picture = read_image(data)
    again = read_image(written(picture))
    wanted = np.asarray(seen(data).convert("RGBA"))
    for found in (picture, again):
        assert (found.format, found.width, found.height) == (kind, 11, 9)
        np.testing.assert_array_equal(found.pixels_hwc_bgr[:, :, ::-1], wanted[:, :, :3])
        alpha = np.full((9, 11), 255, np.uint8) if found.alpha_hw is None else found.alpha_hw
        np.testing.assert_array_equal(alpha, wanted[:, :, 3])
    assert again.channels == (1 if mode in ("1", "L", "LA") and kind in ("PNG", "TIFF") else picture.channels)


@pytest.mark.parametrize(
    ("shape", "kind"),
    [((12, 10, c), kind) for c in (1, 2, 3, 4) for kind in ("PNG", "TIFF")]
    + [((1, 1, 3), "PNG"), ((1, 1, 4), "TIFF")],
)
def test_16_bits_outside_the_edit_are_exact(shape, kind):
    deep = noise(*shape, dtype=np.uint16)
    picture = read_image(encode_samples(deep, kind, Extras(icc=SRGB), None))
    assert picture.deep_hwc is not None and picture.channels == (1 if shape[2] == 1 else 3)
    box = (slice(0, 1), slice(0, 1))
    again = read_image(written(picture, box=box, colour=(250, 250, 250)))
    assert again.deep_hwc is not None
    expected = picture.deep_hwc.copy()
    stored = deep[:, :, : 1 if shape[2] <= 2 else 3]
    np.testing.assert_array_equal(expected[:, :, ::-1], np.broadcast_to(stored, expected.shape))
    np.testing.assert_allclose(again.deep_hwc[box].astype(int), 250 * 257, atol=129)
    again.deep_hwc[box] = expected[box]
    np.testing.assert_array_equal(again.deep_hwc, np.broadcast_to(expected, again.deep_hwc.shape))
    if shape[2] in (2, 4):
        np.testing.assert_array_equal(again.alpha_hw, deep[:, :, -1])
    else:
        assert again.alpha_hw is None
    assert again.extras.icc == SRGB


def test_10_bits_of_hdr_heic_and_its_colours_are_kept(caplog):
    deep = np.tile(np.linspace(0, 65535, 64).astype(np.uint16)[None, :, None], (64, 1, 3))
    hdr = {
        "color_primaries": 9,
        "transfer_characteristics": 16,
        "matrix_coefficients": 9,
        "full_range_flag": 1,
    }
    picture = read_image(encode_samples(deep, "HEIF", Extras(coding=hdr), None), name="hdr.heic")
    assert picture.deep_hwc is not None and picture.deep_hwc.dtype == np.uint16
    again = read_image(written(picture, box=BOX, colour=(250, 250, 250)))
    assert again.extras.coding == hdr and again.deep_hwc is not None
    np.testing.assert_allclose(again.deep_hwc[16:].astype(int), deep[16:], atol=257)
    written(picture, "JPEG")
    assert "hdr.heic is HDR, which JPEG files do not say" in caplog.text


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_files_are_seen_alike_by_other_readers(kind):
    deep = noise(40, 30, 3, dtype=np.uint16)
    np.testing.assert_array_equal(np.asarray(seen(encode_samples(deep, kind, Extras(), None))), deep >> 8)


def test_16_bits_to_an_8_bit_kind_are_rounded_and_said(caplog):
    deep = np.full((8, 8, 3), 128 * 257 + 120, np.uint16)
    picture = read_image(encode_samples(deep, "PNG", Extras(), None), name="deep.png")
    again = read_image(written(picture, "BMP"))
    assert again.deep_hwc is None and (again.pixels_hwc_bgr == 128).all()
    assert "deep.png has more than 8 bits" in caplog.text


def test_white_is_zero_tiff_is_not_a_negative():
    data = file_bytes(Image.fromarray(np.full((4, 4), 60000, np.uint16)), "TIFF", tiffinfo={262: 0})
    assert (read_image(data).pixels_hwc_bgr < 30).all()


@pytest.mark.parametrize("stored", ["L", "RGB"])
def test_grey_stays_grey_also_where_the_edit_is_coloured(stored):
    picture = read_image(file_bytes(Image.fromarray(noise(9, 9, 1)[:, :, 0]).convert(stored), "PNG"))
    assert picture.is_grey
    out = seen(written(picture, box=BOX, colour=(0, 0, 255)))
    assert out.mode == stored
    expected = picture.pixels_hwc_bgr.copy()
    expected[BOX] = 76  # luma of pure red
    np.testing.assert_array_equal(np.asarray(out.convert("RGB")), expected)


def test_one_coloured_pixel_makes_a_picture_coloured():
    pixels = np.full((40, 40, 3), 100, np.uint8)
    pixels[17, 23] = (100, 100, 101)
    assert not read_image(file_bytes(Image.fromarray(pixels), "PNG")).is_grey


def test_transparency_survives_and_jpeg_shows_it_on_white(caplog):
    rgba = np.zeros((32, 32, 4), np.uint8)
    rgba[:, 16:, 3] = 255
    picture = read_image(file_bytes(Image.fromarray(rgba), "PNG"), name="clear.png")
    for kind in ("JPEG", "BMP"):
        flat = read_image(written(picture, kind))
        assert (flat.pixels_hwc_bgr[:, :8] > 250).all() and (flat.pixels_hwc_bgr[:, 24:] < 5).all()
        assert f"clear.png has transparency, which {kind} cannot hold" in caplog.text
    for kind in ("PNG", "WEBP", "TIFF"):
        np.testing.assert_array_equal(read_image(written(picture, kind)).alpha_hw, rgba[:, :, 3])


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("quality", [40, 85])
def test_jpeg_is_written_as_it_was_coded(quality, subsampling):
    options = {"quality": quality, "subsampling": subsampling, "progressive": True}
    data = file_bytes(Image.fromarray(smooth(64, 64)), "JPEG", **options)
    picture, before = read_image(data), seen(data)
    after = seen(written(picture))
    assert after.quantization == before.quantization
    assert JpegImagePlugin.get_sampling(after) == subsampling
    assert after.info.get("progressive")
    assert seen(written(picture, quality=95)).quantization != before.quantization


@pytest.mark.parametrize("lossless", [True, False])
def test_webp_stays_lossless_or_lossy(lossless):
    picture = read_image(file_bytes(Image.fromarray(noise(32, 32, 3)), "WEBP", lossless=lossless))
    again = read_image(written(picture))
    assert np.array_equal(again.pixels_hwc_bgr, picture.pixels_hwc_bgr) == lossless


def test_cmyk_jpeg_is_read_in_its_colours_and_written_as_rgb():
    picture = read_image(file_bytes(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95))
    blue, green, red = picture.pixels_hwc_bgr[8, 8]
    assert red > 180 and green < 80 and blue < 80
    assert seen(written(picture)).mode == "RGB"


def test_a_phone_jpeg_with_a_second_picture_is_its_first():
    first, second = Image.new("RGB", (16, 16), (200, 30, 90)), Image.new("RGB", (16, 16), (0, 255, 0))
    picture = read_image(file_bytes(first, "MPO", save_all=True, append_images=[second]))
    assert picture.format == "JPEG"
    np.testing.assert_allclose(picture.pixels_hwc_bgr[8, 8].astype(int), (90, 30, 200), atol=4)


def test_names_of_formats():
    names = (".JPG", "jpg", "jpeg", "JPEG", "webp", "TIFF", ".tif", ".heic", "avif", ".bmp")
    assert [format_for(name) for name in names] == [
        *(*["JPEG"] * 4, "WEBP", "TIFF", "TIFF", "HEIF", "AVIF", "BMP")
    ]
    with pytest.raises(ConfigError, match=r"\.xyz"):
        format_for(".xyz")


def test_a_new_file_has_the_mode_that_the_user_set(tmp_path):
    before = os.umask(0o027)
    try:
        write_bytes(tmp_path / "new.png", b"data")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new.png").stat().st_mode) == 0o640


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    for target in (tmp_path / "file" / "out.png", tmp_path / "folder.png"):
        with pytest.raises(ImageError, match="Cannot write"):
            write_bytes(target, b"data")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder.png"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1)])
def test_very_small_and_thin_pictures(kind, size):
    again = read_image(written(read_image(file_bytes(Image.new("RGB", size, (10, 200, 90)), kind))))
    assert (again.format, again.width, again.height) == (kind, *size)
    np.testing.assert_allclose(again.pixels_hwc_bgr[0, 0].astype(int), (90, 200, 10), atol=6)


def test_the_size_limit_is_ours(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    data = file_bytes(Image.new("1", (2000, 1000)), "PNG")
    with pytest.raises(ImageError, match=r"2000 x 1000 = 2 megapixels.*\n.*--max-megapixels 3"):
        read_image(data, max_megapixels=1.5)
    assert read_image(data, max_megapixels=2).width == 2000


def test_a_tiny_file_that_claims_a_huge_size_is_refused_before_decoding():
    data = bytearray(file_bytes(Image.new("1", (8, 8)), "PNG"))
    data[16:24] = (60000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    with pytest.raises(ImageError, match="3600 megapixels"):
        read_image(bytes(data))


@pytest.mark.parametrize(("kind", "size"), [("WEBP", (16384, 4)), ("JPEG", (65536, 1))])
def test_what_a_format_cannot_hold_is_said(kind, size):
    picture = read_image(file_bytes(Image.new("RGB", size), "PNG"))
    with pytest.raises(ImageError, match="Write it as PNG"):
        written(picture, kind)


def test_pixels_of_another_size_are_a_mistake_of_the_caller():
    picture = read_image(file_bytes(Image.new("RGB", (4, 4)), "PNG"))
    with pytest.raises(ValueError, match="do not fit"):
        encode_image(picture, np.zeros((4, 5, 3), np.uint8))


def test_the_demo_portrait(monkeypatch):
    pytest.importorskip("skimage")
    picture = demo_picture()
    assert (picture.name, picture.width, picture.height, picture.is_grey) == ("demo", 512, 512, False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImageError, match=r'pip install "aif\[demo\]"'):
        demo_picture()
