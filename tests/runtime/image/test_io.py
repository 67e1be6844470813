"""Reading and writing pictures: what was in the file comes back, and only the edit changes."""

import io
import os
import stat
import struct
import sys
import zlib

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, JpegImagePlugin
from pillow_heif import register_heif_opener

from aif.runtime.errors import ConfigError, ImageError
from aif.runtime.image.codecs import Extras, encode_samples
from aif.runtime.image.io import demo_picture, encode_image, read_image, write_bytes, write_image
from aif.runtime.image.kinds import format_for
from aif.runtime.image.meta import without_location

register_heif_opener()
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


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


def edited(picture, box, colour):
    pixels = picture.pixels_hwc_bgr.copy()
    pixels[box] = colour
    return pixels


BOX = (slice(2, 5), slice(3, 7))


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
    again = read_image(encode_image(picture, picture.pixels_hwc_bgr))
    wanted = np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))
    for found in (picture, again):
        assert (found.format, found.width, found.height) == (kind, 11, 9)
        np.testing.assert_array_equal(found.pixels_hwc_bgr[:, :, ::-1], wanted[:, :, :3])
        alpha = np.full((9, 11), 255, np.uint8) if found.alpha_hw is None else found.alpha_hw
        np.testing.assert_array_equal(alpha, wanted[:, :, 3])
    assert again.channels == (1 if mode in ("1", "L", "LA") and kind in ("PNG", "TIFF") else picture.channels)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("kind", "bits"),
    [("JPEG", 8), ("PNG", 8), ("TIFF", 8), ("PNG", 16), ("TIFF", 16), ("HEIF", 8), ("HEIF", 16), ("AVIF", 8)],
)
def test_exif_orientation_is_applied_and_reset(kind, bits, orientation):
    upright = smooth(16, 24)
    turn = Image.Transpose
    undo = (
        *(None, None, turn.FLIP_LEFT_RIGHT, turn.ROTATE_180, turn.FLIP_TOP_BOTTOM, turn.TRANSPOSE),
        *(turn.ROTATE_90, turn.TRANSVERSE, turn.ROTATE_270),
    )[orientation]
    image = Image.fromarray(upright)
    stored = np.asarray(image if undo is None else image.transpose(undo))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.Make] = "Camera"
    samples = stored if bits == 8 else stored.astype(np.uint16) * 257
    data = encode_samples(samples, kind, Extras(exif=exif.tobytes()), None)
    picture = read_image(data)
    assert (picture.height, picture.width) == (16, 24)
    assert (picture.deep_hwc is not None) == (bits == 16)
    halved = kind in ("HEIF", "AVIF")  # half the chroma samples, of a steep ramp
    np.testing.assert_allclose(
        picture.pixels_hwc_bgr[:, :, ::-1].astype(int), upright, atol=14 if halved else 3
    )
    again = Image.open(io.BytesIO(encode_image(picture, picture.pixels_hwc_bgr)))
    assert again.size == (24, 16)
    assert again.getexif().get(ExifTags.Base.Orientation, 1) == 1
    assert again.getexif()[ExifTags.Base.Make] == "Camera"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "HEIF", "AVIF"])
def test_metadata_are_kept_and_the_old_preview_is_not(kind):
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "Ana Müller"
    exif[0x8769] = {0x9003: "2020:01:02 03:04:05", 0x829A: 0.01, 0xA002: 99, 0xA003: 77}
    exif[0x8825] = {1: "N", 2: (47.0, 22.0, 8.5)}
    plain = exif.tobytes()
    image = Image.fromarray(smooth(20, 30))
    if kind == "TIFF":
        data = encode_samples(np.asarray(image), "TIFF", Extras(SRGB, plain, (300, 300)), None)
    else:
        data = file_bytes(image, kind, exif=plain, icc_profile=SRGB, dpi=(300, 300))
    again = Image.open(
        io.BytesIO(encode_image(read_image(data), np.zeros((20, 30, 3), np.uint8), quality=None))
    )
    kept = again.getexif()
    assert kept[ExifTags.Base.Artist].startswith("Ana M")
    assert kept.get_ifd(0x8769)[0x9003] == "2020:01:02 03:04:05"
    assert (kept.get_ifd(0x8769)[0xA002], kept.get_ifd(0x8769)[0xA003]) == (30, 20)
    assert [float(v) for v in kept.get_ifd(0x8825)[2]] == [47.0, 22.0, 8.5]
    assert again.info["icc_profile"] == SRGB
    if kind not in ("WEBP", "HEIF", "AVIF"):
        assert [round(float(v)) for v in again.info["dpi"]] == [300, 300]


def test_an_embedded_preview_of_the_unedited_face_does_not_survive():
    preview = file_bytes(Image.new("RGB", (16, 16), (255, 0, 0)), "JPEG")
    # TIFF structure by hand: IFD0 with one tag (orientation), IFD1 with the preview's place and length.
    body = b"II*\0" + struct.pack("<I", 8)
    body += struct.pack("<HHHIII", 1, 0x0112, 3, 1, 1, 26)
    body += struct.pack("<HHHIIHHIII", 2, 0x0201, 4, 1, 56, 0x0202, 4, 1, len(preview), 0)
    block = b"Exif\0\0" + body + preview
    data = file_bytes(Image.fromarray(smooth(32, 32)), "JPEG", exif=block)
    assert preview in data
    picture = read_image(data)
    assert preview not in encode_image(picture, picture.pixels_hwc_bgr)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow remarks on it, too
def test_damaged_exif_costs_only_the_exif():
    data = file_bytes(Image.fromarray(smooth(8, 8)), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    picture = read_image(data)
    assert picture.extras.exif is None
    assert encode_image(picture, picture.pixels_hwc_bgr)


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
    again = read_image(encode_image(picture, edited(picture, box, (250, 250, 250))))
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
    deep = np.repeat(np.linspace(0, 65535, 64).astype(np.uint16)[None], 64, axis=0)[:, :, None].repeat(
        3, axis=2
    )
    hdr = {
        "color_primaries": 9,
        "transfer_characteristics": 16,
        "matrix_coefficients": 9,
        "full_range_flag": 1,
    }
    picture = read_image(encode_samples(deep, "HEIF", Extras(coding=hdr), None), name="hdr.heic")
    assert picture.deep_hwc is not None and picture.deep_hwc.dtype == np.uint16
    again = read_image(encode_image(picture, edited(picture, BOX, (250, 250, 250))))
    assert again.extras.coding == hdr and again.deep_hwc is not None
    np.testing.assert_allclose(again.deep_hwc[16:].astype(int), deep[16:], atol=257)
    encode_image(picture, picture.pixels_hwc_bgr, "JPEG")
    assert "hdr.heic is HDR, which JPEG files do not say" in caplog.text


XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:exif="http://ns.adobe.com/exif/1.0/" '
    'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" '
    'xmlns:xmp="http://ns.adobe.com/xap/1.0/" hdrgm:Version="1.0" exif:GPSLatitude="47,22.1N" '
    'tiff:Orientation="1">'
    "<dc:title>Ana Müller</dc:title><xmp:Thumbnails>/9j/4AAQ</xmp:Thumbnails><xmp:Rating>3</xmp:Rating>"
    '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
).encode()


@pytest.mark.parametrize(
    ("kind", "bits"), [*((kind, 8) for kind in ("JPEG", "PNG", "WEBP", "TIFF", "HEIF", "AVIF")), ("PNG", 16)]
)
def test_xmp_is_kept_but_for_what_is_no_longer_so(kind, bits):
    samples = noise(20, 30, 3, np.uint8 if bits == 8 else np.uint16)
    picture = read_image(encode_samples(samples, kind, Extras(xmp=XMP), None))
    again = Image.open(io.BytesIO(encode_image(picture, picture.pixels_hwc_bgr))).info["xmp"]
    for word, kept in [
        *(("Ana Müller", True), ("xmp:Rating>3", True), ('<?xpacket end="w"?>', True), ("GPSLatitude", True)),
        *(("hdrgm:Version", False), ("tiff:Orientation", False), ("/9j/4AAQ", False)),
    ]:
        assert (word.encode() in again) == kept, word


@pytest.mark.parametrize(
    "xmp", [b"", b"\0", b"<x", b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", b"\xff\xfe\0"]
)
def test_damaged_xmp_costs_only_the_xmp(xmp):
    picture = read_image(file_bytes(Image.fromarray(smooth(8, 8)), "WEBP", xmp=xmp))
    assert picture.extras.xmp is None and encode_image(picture, picture.pixels_hwc_bgr)


def test_location_can_be_left_out():
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "Ana"
    exif[0x8769] = {0x9003: "2020:01:02 03:04:05"}
    exif[0x8825] = {1: "N", 2: (47.0, 22.0, 8.5)}
    extras = without_location(Extras(icc=SRGB, exif=exif.tobytes(), xmp=XMP))
    left = Image.Exif()
    left.load(extras.exif or b"")
    assert left[ExifTags.Base.Artist] == "Ana" and left.get_ifd(0x8769) and not left.get_ifd(0x8825)
    assert extras.xmp is not None and b"GPS" not in extras.xmp and "Ana Müller".encode() in extras.xmp
    assert without_location(Extras()) == Extras()


def test_metadata_that_a_jpeg_cannot_hold_are_left_out_and_said(caplog):
    extras = Extras(exif=b"Exif\0\0" + bytes(70_000), xmp=bytes(70_000))
    assert encode_samples(noise(8, 8, 3), "JPEG", extras, None)
    assert caplog.text.count("do not fit into a JPEG") == 2


def test_16_bit_files_are_seen_alike_by_other_readers():
    deep = noise(40, 30, 3, dtype=np.uint16)
    for kind in ("PNG", "TIFF"):
        image = Image.open(io.BytesIO(encode_samples(deep, kind, Extras(), None)))
        np.testing.assert_array_equal(np.asarray(image), deep >> 8)


def test_16_bits_to_an_8_bit_kind_are_rounded_and_said(caplog):
    deep = np.full((8, 8, 3), 128 * 257 + 120, np.uint16)
    picture = read_image(encode_samples(deep, "PNG", Extras(), None), name="deep.png")
    again = read_image(encode_image(picture, picture.pixels_hwc_bgr, "BMP"))
    assert again.deep_hwc is None and (again.pixels_hwc_bgr == 128).all()
    assert "deep.png has more than 8 bits" in caplog.text


def test_white_is_zero_tiff_is_not_a_negative():
    deep = np.full((4, 4), 60000, np.uint16)
    data = file_bytes(Image.fromarray(deep), "TIFF", tiffinfo={262: 0})
    assert (read_image(data).pixels_hwc_bgr < 30).all()


@pytest.mark.parametrize("stored", ["L", "RGB"])
def test_grey_stays_grey_also_where_the_edit_is_coloured(stored):
    grey = noise(9, 9, 1)
    image = Image.fromarray(grey[:, :, 0]).convert(stored)
    picture = read_image(file_bytes(image, "PNG"))
    assert picture.is_grey
    out = Image.open(io.BytesIO(encode_image(picture, edited(picture, BOX, (0, 0, 255)))))
    assert out.mode == stored
    pixels = np.asarray(out.convert("RGB"))
    assert (pixels[BOX] == 76).all()  # luma of pure red
    pixels = pixels.copy()
    pixels[BOX] = picture.pixels_hwc_bgr[BOX]
    np.testing.assert_array_equal(pixels, picture.pixels_hwc_bgr)


def test_one_coloured_pixel_makes_a_picture_coloured():
    pixels = np.full((40, 40, 3), 100, np.uint8)
    pixels[17, 23] = (100, 100, 101)
    assert not read_image(file_bytes(Image.fromarray(pixels), "PNG")).is_grey


def test_transparency_survives_and_jpeg_shows_it_on_white(caplog):
    rgba = np.zeros((32, 32, 4), np.uint8)
    rgba[:, 16:, 3] = 255
    picture = read_image(file_bytes(Image.fromarray(rgba), "PNG"), name="clear.png")
    for kind in ("JPEG", "BMP"):
        flat = read_image(encode_image(picture, picture.pixels_hwc_bgr, kind))
        assert (flat.pixels_hwc_bgr[:, :8] > 250).all() and (flat.pixels_hwc_bgr[:, 24:] < 5).all()
        assert f"clear.png has transparency, which {kind} cannot hold" in caplog.text
    for kind in ("PNG", "WEBP", "TIFF"):
        again = read_image(encode_image(picture, picture.pixels_hwc_bgr, kind))
        np.testing.assert_array_equal(again.alpha_hw, rgba[:, :, 3])


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("quality", [40, 85])
def test_jpeg_is_written_as_it_was_coded(quality, subsampling):
    data = file_bytes(
        Image.fromarray(smooth(64, 64)), "JPEG", quality=quality, subsampling=subsampling, progressive=True
    )
    picture = read_image(data)
    before = Image.open(io.BytesIO(data))
    after = Image.open(io.BytesIO(encode_image(picture, picture.pixels_hwc_bgr)))
    assert after.quantization == before.quantization
    assert JpegImagePlugin.get_sampling(after) == subsampling
    assert after.info.get("progressive")
    asked = Image.open(io.BytesIO(encode_image(picture, picture.pixels_hwc_bgr, quality=95)))
    assert asked.quantization != before.quantization


@pytest.mark.parametrize("lossless", [True, False])
def test_webp_stays_lossless_or_lossy(lossless):
    image = Image.fromarray(noise(32, 32, 3))
    picture = read_image(file_bytes(image, "WEBP", lossless=lossless))
    again = read_image(encode_image(picture, picture.pixels_hwc_bgr))
    assert np.array_equal(again.pixels_hwc_bgr, picture.pixels_hwc_bgr) == lossless


def test_cmyk_jpeg_is_read_in_its_colours_and_written_as_rgb():
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    picture = read_image(file_bytes(image, "JPEG", quality=95))
    blue, green, red = picture.pixels_hwc_bgr[8, 8]
    assert red > 180 and green < 80 and blue < 80
    assert Image.open(io.BytesIO(encode_image(picture, picture.pixels_hwc_bgr))).mode == "RGB"


def test_a_phone_jpeg_with_a_second_picture_is_its_first():
    buffer = io.BytesIO()
    first, second = Image.new("RGB", (16, 16), (200, 30, 90)), Image.new("RGB", (16, 16), (0, 255, 0))
    first.save(buffer, "MPO", save_all=True, append_images=[second])
    picture = read_image(buffer.getvalue())
    assert picture.format == "JPEG"
    np.testing.assert_allclose(picture.pixels_hwc_bgr[8, 8].astype(int), (90, 30, 200), atol=4)


@pytest.mark.parametrize("name", ["plain.png", "two words.png", "Übung 笑顔 😀.png", "a" * 250 + ".png"])
def test_any_file_name(tmp_path, name):
    path = tmp_path / "Ordner mit Ümlaut" / name
    picture = demo_picture()
    write_image(picture, picture.pixels_hwc_bgr[:, ::-1], path)
    again = read_image(path)
    assert again.name == str(path)
    np.testing.assert_array_equal(again.pixels_hwc_bgr, picture.pixels_hwc_bgr[:, ::-1])
    assert [entry.name for entry in path.parent.iterdir()] == [name]


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        *(("o.jpg", "JPEG"), ("o.JPEG", "JPEG"), ("o.webp", "WEBP"), ("o.heic", "HEIF"), ("o.avif", "AVIF")),
        *(("o.tif", "TIFF"), ("o.bmp", "BMP"), ("o", "PNG")),
    ],
)
def test_the_suffix_chooses_the_format(tmp_path, target, kind):
    picture = read_image(file_bytes(Image.fromarray(smooth(8, 8)), "PNG"))
    write_image(picture, picture.pixels_hwc_bgr, tmp_path / target)
    assert Image.open(tmp_path / target).format == kind


def test_names_of_formats():
    assert [format_for(name) for name in (".JPG", "jpg", "jpeg", "JPEG", "webp", "TIFF", ".tif")] == [
        *["JPEG"] * 4,
        "WEBP",
        *["TIFF"] * 2,
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


def test_standard_streams(monkeypatch):
    data = file_bytes(Image.fromarray(noise(5, 6, 3)), "PNG")

    class Stream:
        def __init__(self, content=b""):
            self.buffer = io.BytesIO(content)

    out = Stream()
    monkeypatch.setattr(sys, "stdin", Stream(data))
    monkeypatch.setattr(sys, "stdout", out)
    picture = read_image("-")
    write_image(picture, picture.pixels_hwc_bgr, "-")
    again = read_image(out.buffer.getvalue())
    assert (picture.name, again.format) == ("standard input", "PNG")
    np.testing.assert_array_equal(again.pixels_hwc_bgr, picture.pixels_hwc_bgr)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIF", "AVIF", "TIFF", "BMP"])
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1)])
def test_very_small_and_thin_pictures(kind, size):
    picture = read_image(file_bytes(Image.new("RGB", size, (10, 200, 90)), kind))
    again = read_image(encode_image(picture, picture.pixels_hwc_bgr))
    assert (again.width, again.height) == size
    np.testing.assert_allclose(again.pixels_hwc_bgr[0, 0].astype(int), (90, 200, 10), atol=6)


def test_the_size_limit_is_ours_and_pillows_stays_as_it_was(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    data = file_bytes(Image.new("1", (2000, 1000)), "PNG")
    with pytest.raises(ImageError, match=r"2000 x 1000 = 2 megapixels.*\n.*--max-megapixels 3"):
        read_image(data, max_megapixels=1.5)
    assert read_image(data, max_megapixels=2).width == 2000
    assert Image.MAX_IMAGE_PIXELS == 1000


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
        encode_image(picture, picture.pixels_hwc_bgr, kind)


def test_pixels_of_another_size_are_a_mistake_of_the_caller():
    picture = read_image(file_bytes(Image.new("RGB", (4, 4)), "PNG"))
    with pytest.raises(ValueError, match="do not fit"):
        encode_image(picture, np.zeros((4, 5, 3), np.uint8))


def test_a_sheet_keeps_the_colour_space_and_nothing_of_the_photo():
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "x"
    rgba = Image.fromarray(noise(4, 4, 4))
    picture = read_image(file_bytes(rgba, "PNG", icc_profile=SRGB, exif=exif.tobytes()))
    sheet = picture.sheet(noise(10, 20, 3))
    again = read_image(encode_image(sheet, sheet.pixels_hwc_bgr))
    assert (again.width, again.height, again.alpha_hw, again.extras.exif) == (20, 10, None, None)
    assert again.extras.icc == SRGB


def test_the_demo_portrait(monkeypatch):
    pytest.importorskip("skimage")
    picture = demo_picture()
    assert (picture.name, picture.width, picture.height, picture.is_grey) == ("demo", 512, 512, False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImageError, match=r'pip install "aif\[demo\]"'):
        demo_picture()
