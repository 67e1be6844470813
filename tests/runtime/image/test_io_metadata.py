"""What a picture's file says beside its pixels (EXIF, XMP, colours) is kept where it is still true."""

import struct

import numpy as np
import pytest
from pictures import SRGB, file_bytes, noise, seen, smooth, written
from PIL import ExifTags, Image

from aif.runtime.image.codecs import Extras, encode_samples
from aif.runtime.image.io import read_image
from aif.runtime.image.meta import without_location

PLACE = {1: "N", 2: (47.0, 22.0, 8.5)}


def exif_of(tags):
    exif = Image.Exif()
    for tag, value in tags.items():
        exif[tag] = value
    return exif.tobytes()


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
    exif = exif_of({ExifTags.Base.Orientation: orientation, ExifTags.Base.Make: "Camera"})
    samples = stored if bits == 8 else stored.astype(np.uint16) * 257
    data = encode_samples(samples, kind, Extras(exif=exif), None)
    picture = read_image(data)
    assert (picture.height, picture.width) == (16, 24)
    assert (picture.deep_hwc is not None) == (bits == 16)
    halved = kind in ("HEIF", "AVIF")  # half the chroma samples, of a steep ramp
    np.testing.assert_allclose(
        picture.pixels_hwc_bgr[:, :, ::-1].astype(int), upright, atol=14 if halved else 3
    )
    again = seen(written(picture))
    assert again.size == (24, 16)
    assert again.getexif().get(ExifTags.Base.Orientation, 1) == 1
    assert again.getexif()[ExifTags.Base.Make] == "Camera"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "HEIF", "AVIF"])
def test_metadata_are_kept_and_the_old_preview_is_not(kind):
    settings = {0x9003: "2020:01:02 03:04:05", 0x829A: 0.01, 0xA002: 99, 0xA003: 77}
    plain = exif_of({ExifTags.Base.Artist: "Ana Müller", 0x8769: settings, 0x8825: PLACE})
    image = Image.fromarray(smooth(20, 30))
    if kind == "TIFF":
        data = encode_samples(np.asarray(image), "TIFF", Extras(SRGB, plain, (300, 300)), None)
    else:
        data = file_bytes(image, kind, exif=plain, icc_profile=SRGB, dpi=(300, 300))
    again = seen(written(read_image(data)))
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
    assert preview not in written(picture)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow remarks on it, too
def test_damaged_exif_costs_only_the_exif():
    data = file_bytes(Image.fromarray(smooth(8, 8)), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    picture = read_image(data)
    assert picture.extras.exif is None
    assert written(picture)


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
    again = seen(written(picture)).info["xmp"]
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
    assert picture.extras.xmp is None and written(picture)


def test_location_can_be_left_out():
    exif = exif_of({ExifTags.Base.Artist: "Ana", 0x8769: {0x9003: "2020:01:02 03:04:05"}, 0x8825: PLACE})
    extras = without_location(Extras(icc=SRGB, exif=exif, xmp=XMP))
    left = Image.Exif()
    left.load(extras.exif or b"")
    assert left[ExifTags.Base.Artist] == "Ana" and left.get_ifd(0x8769) and not left.get_ifd(0x8825)
    assert extras.xmp is not None and b"GPS" not in extras.xmp and "Ana Müller".encode() in extras.xmp
    assert without_location(Extras()) == Extras()


def test_metadata_that_a_jpeg_cannot_hold_are_left_out_and_said(caplog):
    extras = Extras(exif=b"Exif\0\0" + bytes(70_000), xmp=bytes(70_000))
    assert encode_samples(noise(8, 8, 3), "JPEG", extras, None)
    assert caplog.text.count("do not fit into a JPEG") == 2


def test_a_sheet_keeps_the_colour_space_and_nothing_of_the_photo():
    exif = exif_of({ExifTags.Base.Artist: "x"})
    picture = read_image(file_bytes(Image.fromarray(noise(4, 4, 4)), "PNG", icc_profile=SRGB, exif=exif))
    sheet = picture.sheet(noise(10, 20, 3))
    again = read_image(written(sheet))
    assert (again.width, again.height, again.alpha_hw, again.extras.exif) == (20, 10, None, None)
    assert again.extras.icc == SRGB
