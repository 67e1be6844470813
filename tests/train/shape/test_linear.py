"""The linear baseline on faces whose attributes are known movements and tints."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from made_up_face import face_picture, face_points, made_up_frame

from aif.runtime.bundle.manifest import HairColour, HairInfo
from aif.runtime.editing.shape.bare_skin import SIDE, BareSkin
from aif.runtime.errors import CheckpointError, ConfigError
from aif.runtime.geometry import points as dense
from aif.train.evaluators.probe import probe
from aif.train.shape.faces.known import attribute_infos, region_hint
from aif.train.shape.faces.mean_shape import aligned
from aif.train.shape.faces.textures import Textures
from aif.train.shape.linear.effects import fit_detail
from aif.train.shape.linear.files import already_there, save_linear
from aif.train.shape.linear.fit import LinearConfig, clean, fit_linear
from aif.train.shape.linear.networks import LinearDecoder
from aif.train.shape.model import is_shape_run, load_shape_run
from aif.train.shape.shape_run import ShapeRun

FRAME = made_up_frame()
NAMES = ("Smiling", "Bushy_Eyebrows")
SMILE, BROWS = 0, 1
CONFIG = LinearConfig(shape_components=8, texture_components=12)


def made_up_faces(count=160, size=32):
    """Faces that differ in place, light and opening of the mouth; a smile lifts the corners, bushy brows are
    black."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (count, 2)).astype(np.uint8)
    images, points = [], []
    for smile, bushy in labels:
        face = face_points(float(rng.uniform(0, 8)))
        face[[36, 46, 56, 66], 1] -= 5 * smile
        face += rng.normal(0, 0.4, (1, 2)) + rng.normal(0, 0.15, face.shape)
        picture = face_picture(face, 128)
        for ring in (dense.LEFT_BROW, dense.RIGHT_BROW):
            x, y = face[ring].mean(axis=0)
            rows, columns = np.indices((128, 128))
            near = (np.abs(rows - y) < 3) & (np.abs(columns - x) < 11)
            picture[near] = 25 if bushy else 120
        light = rng.uniform(0.6, 1.1)
        images.append(FRAME.normalise((picture * light).clip(0, 255).astype(np.uint8), face, size)[..., ::-1])
        points.append(face)
    moved = aligned(np.stack(points), size)
    return Textures(np.stack(images), moved, labels, np.arange(count), NAMES, FRAME)


@pytest.fixture(scope="module")
def fitted():
    faces = made_up_faces()
    return faces, *fit_linear(faces, CONFIG)


def tensors(faces):
    return torch.from_numpy(faces.images).permute(0, 3, 1, 2).float() / 255, torch.from_numpy(faces.points)


def test_it_reads_the_attributes_and_rebuilds_the_face(fitted):
    faces, encoder, decoder = fitted
    image, landmarks = tensors(faces)
    code = encoder(image, landmarks)
    assert ((code.y > 0.5).numpy() == (faces.labels > 0)).mean() > 0.95
    texture, points, _ = decoder(code.mean, code.y)
    assert texture.shape == image.shape
    assert 0 <= texture.min() <= texture.max() <= 1
    assert (points - landmarks).norm(dim=2).mean() * 128 < 1.0
    inner = FRAME.mask(32, dense.FACE_OVAL, grow=0.8) > 0.5
    assert (texture - image).abs().mean(dim=1)[:, torch.from_numpy(inner)].mean() < 0.08


def test_flipping_y_moves_corners_and_darkens_brows_and_little_else(fitted):
    faces, encoder, decoder = fitted
    code = encoder(*tensors(faces))
    absent, present = torch.zeros_like(code.y), torch.zeros_like(code.y)
    present[:, SMILE] = 1
    (_, before, _), (_, after, _) = decoder(code.mean, absent), decoder(code.mean, present)
    move = (after - before)[..., 1].mean(0) * 128
    lifted = move - move[40:43].mean()  # against the lip's middle
    assert -6 < lifted[36] < -3
    assert -6 < lifted[46] < -3
    assert (move[dense.LEFT_BROW] - move[dense.LEFT_BROW].mean()).abs().max() < 1
    present[:, SMILE], present[:, BROWS] = 0, 1
    (light, here, _), (dark, there, _) = decoder(code.mean, absent), decoder(code.mean, present)
    change = (dark - light).mean(dim=(0, 1))
    x, y = np.round(FRAME.mean[dense.LEFT_BROW].mean(axis=0) * 32).astype(int)
    assert change[y, x] < -0.1
    assert change[22, 10].abs() < 0.05  # a cheek
    assert (there - here).norm(dim=2).mean() * 128 < 1


def test_between_the_lips_exaggeration_ends_at_the_values_of_labels(fitted):
    faces, encoder, decoder = fitted
    z = encoder(*tensors(faces)).mean[:4]
    one, three = torch.ones(4, 2), torch.full((4, 2), 3.0)
    mouth = torch.from_numpy(FRAME.mask(32, dense.INNER_LIP) > 0.9)
    assert mouth.any()
    difference = (decoder(z, three)[0] - decoder(z, one)[0]).abs().amax(dim=1)
    assert difference[:, mouth].max() < 0.1 < difference.max()


SKIN = BareSkin(
    np.eye(SIDE, dtype=bool), np.zeros((SIDE, 3), np.float32), np.ones((SIDE, 3, 2), np.float32), 0.5
)


def run_of(fitted):
    faces, encoder, decoder = fitted
    colour = HairColour(lightness=-1, red=0.1, blue=-0.1, contrast=0.3)
    return ShapeRun(
        encoder,
        decoder,
        FRAME,
        attribute_infos(NAMES),
        image_size=32,
        latent_size=encoder.z.out_features,
        preset="linear",
        steps=1,
        faces_seen=len(faces),
        seed=0,
        data_name="made up",
        data_fingerprint="0" * 64,
        hair={"Black_Hair": HairInfo(on=colour, off=colour)},
    )


@pytest.mark.parametrize(("steps", "read"), [(0, (0.85, 1.0)), (300, (0.4, 0.75))])
def test_the_game_takes_out_of_z_what_no_line_divides(steps, read):
    config = LinearConfig(shape_components=3, texture_components=3, game_steps=steps)
    codes = torch.randn(4_000, 9, generator=torch.Generator().manual_seed(0))
    y = (codes[:, :1].abs() > 0.67).float()
    torch.manual_seed(0)  # random features
    encoder, _ = config.networks(32, 1)
    z = clean(encoder, codes, y, config, lambda _: None)
    values, labels = z.numpy(), y[:, 0].numpy()
    found = probe(values[:3_000], labels[:3_000], values[3_000:], labels[3_000:]).balanced_accuracy
    assert read[0] <= found <= read[1]


@pytest.mark.parametrize("steps", [0, 3])
def test_z_has_no_linear_trace_of_y_and_a_saved_model_is_the_same_when_it_is_opened(fitted, tmp_path, steps):
    faces = fitted[0]
    config = replace(CONFIG, game_steps=steps)
    run = run_of((faces, *fit_linear(faces, config)))
    save_linear(tmp_path, replace(run, skin=SKIN))
    assert load_shape_run(tmp_path).skin.stored() == SKIN.stored()
    save_linear(tmp_path, run)
    assert is_shape_run(tmp_path)
    opened = load_shape_run(tmp_path)
    assert opened.skin is None  # that of the earlier model is gone
    assert torch.equal(opened.encoder(*tensors(faces)).mean, run.encoder(*tensors(faces)).mean)
    assert opened.encoder.z.in_features == 23 + config.features
    z, y = run.encoder(*tensors(faces)).mean.double(), torch.from_numpy(faces.labels).double()
    assert ((z - z.mean(0)).T @ (y - y.mean(0)) / len(z)).abs().max() < 1e-4
    assert (opened.attributes, opened.hair, opened.latent_size) == (run.attributes, run.hair, 23)
    np.testing.assert_allclose(opened.frame.mean, FRAME.mean, atol=1e-5)


def test_a_model_is_there_already_and_no_other_takes_its_place(fitted, tmp_path):
    asked = {"settings": {"seed": 0, "names": ("a", "b")}, "regions": {"Lipstick": ["mouth"]}}
    out = tmp_path / "run"
    assert not already_there(out, asked) and not already_there(tmp_path, asked)
    save_linear(out, run_of(fitted), asked)
    assert already_there(out, asked)
    with pytest.raises(ConfigError, match=r"another model \(different: regions\)"):
        already_there(out, asked | {"regions": {}})
    (out / "linear.safetensors").rename(out / "moved")
    with pytest.raises(ConfigError, match="holds no such model"):
        already_there(out, asked)
    (out / "moved").rename(out / "linear.safetensors")
    for damaged in ('{"asked": [1]}', "[]"):
        (out / "linear.json").write_text(damaged)
        with pytest.raises(ConfigError, match="holds no such model"):
            already_there(out, asked)
    (out / "linear.json").write_text('{"asked": null}')
    with pytest.raises(ConfigError, match="different: settings, regions"):
        already_there(out, asked)
    (out / "linear.json").write_text("[]")
    with pytest.raises(ConfigError, match="holds no such model"):
        already_there(out, asked)


@pytest.mark.parametrize("damaged", ["linear.json", "linear.safetensors", "attributes.json", "skin.npz"])
@pytest.mark.parametrize("content", [None, b"", b"{}"])
def test_a_damaged_model_is_an_error_that_says_so(fitted, tmp_path, damaged, content):
    save_linear(tmp_path, run_of(fitted))
    if damaged == "skin.npz":
        content = content or b""  # without one, no beard is shaved
    if content is None:
        (tmp_path / damaged).unlink()
    else:
        (tmp_path / damaged).write_bytes(content)
    with pytest.raises(CheckpointError):
        load_shape_run(tmp_path)


@pytest.mark.parametrize(
    ("names", "regions", "said"),
    [
        (("Smiling", "Male", "Gray_Hair", "Pale_Skin", "Goatee"), (), None),
        (("Smiling", "Blush"), (), "Edits of Blush act on all of the face"),
        (("Smiling", "Blush", "Hat"), ("Blush",), "--region Hat=PART"),
        (("Blush",), ("Blush",), None),
    ],
)
def test_attributes_whose_place_nobody_knows_are_told_of_regions(names, regions, said):
    hint = region_hint(names, regions)
    assert hint is None if said is None else said in hint and "beard" in hint


def test_companions_and_opposites():
    names = ("Smiling", "Mouth_Slightly_Open", "Black_Hair", "Blond_Hair")
    smile, mouth, black, blond = attribute_infos(names)
    assert smile.takes_along == {"Mouth_Slightly_Open": 0.75}
    assert smile.takes_along_off == {"Mouth_Slightly_Open": 0.8}
    assert mouth.takes_along == {}
    assert (black.excludes, blond.excludes) == (("Blond_Hair",), ("Black_Hair",))
    assert (smile.on, smile.off, black.on, black.off) == (1.5, -0.5, 1.0, 0.0)
    assert [each.group for each in (smile, mouth, black)] == ["expression", "expression", "hair"]


def test_an_attribute_that_brings_folds_deepens_detail_where_they_are(small):
    rng = np.random.default_rng(1)
    images = np.full((200, 64, 64, 3), 140, np.float32)
    labels = rng.integers(0, 2, (200, 3)).astype(np.uint8)
    images[:, 40:56, 8:24] += rng.normal(0, 1, (200, 16, 16, 1)) * (4 + 12 * labels[:, :1, None, None])
    faces = replace(small.faces, images=images.clip(0, 255).astype(np.uint8), labels=labels)
    decoder = LinearDecoder(64, 14, 3)
    fit_detail(decoder, faces, np.arange(200), times=1.0, ridge=1e-3)
    smiling, other, _ = decoder.amplitudes(torch.eye(3)).detach().numpy()
    there = np.s_[0, 11:13, 3:5]
    assert smiling[there].mean() == pytest.approx(np.log(4), rel=0.15)
    assert np.abs(smiling[0, :8]).max() < 0.1 and np.abs(other).max() < 0.2


def test_components_that_hardly_vary_are_not_blown_up():
    faces = made_up_faces(60)
    flat = faces.points.mean(axis=0) + 1e-6 * (faces.points - faces.points.mean(axis=0))
    still = replace(faces, points=flat.astype(np.float32))
    encoder, _ = fit_linear(still, CONFIG)
    images, points = tensors(still)
    moved = points + 1e-6 * torch.randn(points.shape, generator=torch.manual_seed(0))
    assert (encoder(images, moved).mean - encoder(images, points).mean).abs().max() < 0.05


def test_what_lies_around_a_face_does_not_crowd_it_out():
    faces, rng = made_up_faces(), np.random.default_rng(1)
    outside = FRAME.mask(32, dense.FACE_OVAL, grow=1.2) < 0.01
    patterns = rng.normal(0, 1, (2 * CONFIG.texture_components, int(outside.sum())))
    images, marks = faces.images.astype(np.float32), rng.uniform(0.5, 1, (len(faces), 1, 1, 1))
    images[:, 18:22, 8:12] *= marks  # of the person, on a cheek
    images[:, outside] = 128 + 9 * (rng.normal(0, 1, (len(faces), len(patterns))) @ patterns)[:, :, None]
    varied = replace(faces, images=images.clip(0, 255).astype(np.uint8))
    encoder, decoder = fit_linear(varied, CONFIG)
    code = encoder(*tensors(varied))
    rebuilt = decoder(code.mean, code.y)[0].permute(0, 2, 3, 1).numpy()
    here, other = np.s_[:, 19:21, 9:11], np.s_[:, 19:21, 21:23]
    depths = [
        np.log(each[here].mean(axis=(1, 2, 3)) / each[other].mean(axis=(1, 2, 3)))
        for each in (rebuilt, varied.images.astype(np.float32))
    ]
    assert np.corrcoef(*depths)[0, 1] > 0.97
