"""What `aif-train --preset linear` and `best` make of the command line, and of data without dense
landmarks."""

import json
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from made_up_face import face_picture, face_points, made_up_frame

from aif.runtime.bundle.bundle import Bundle
from aif.runtime.editing.shape.bare_skin import low_logs
from aif.runtime.editing.shape.hairs import beard_area
from aif.runtime.editing.shape.makeup import places
from aif.runtime.editing.shape.shave import BEARD
from aif.runtime.errors import AifError, ConfigError, DataError
from aif.runtime.faces.landmarks import DenseFaces
from aif.train.data.base import CorruptImageError
from aif.train.shape import command
from aif.train.shape.best import command as best_command
from aif.train.shape.best.command import train_best
from aif.train.shape.best.config import ShapeConfig
from aif.train.shape.best.training import ShapeOptions
from aif.train.shape.command import parse_regions, train_shape_command
from aif.train.shape.faces.bare_skin import fit_bare_skin
from aif.train.shape.faces.dense_faces import dense_landmarks
from aif.train.shape.faces.hair_colours import LEAST, measure_hair, plainest
from aif.train.shape.faces.known import attribute_infos
from aif.train.shape.faces.makeup_colours import plain, with_makeup
from aif.train.shape.faces.textures import Textures, make_crops
from aif.train.shape.linear.fit import LinearConfig
from aif.train.shape.linear.networks import unfitted
from aif.train.shape.model import load_shape_run
from aif.train.shape.shape_run import load_skin, save_attributes


def training(preset, assignments=(), regions=(), **given):
    """What is resolved of the command line's words, printed as --dry-run does."""
    train_shape_command(
        preset,
        Path("nowhere"),
        data=None,
        table=None,
        attributes=("Smiling", "Lipstick"),
        regions=regions,
        given=given,
        assignments=assignments,
        accelerator="cpu",
        checkpoint_every=500,
        log_every=50,
        sample_every=1000,
        dry_run=True,
    )


@pytest.mark.parametrize(
    ("preset", "words", "expected"),
    [
        ("linear", {}, {"preset": "linear", "image_size": 128}),
        ("linear", {"seed": 7, "assignments": ("faces=5000",)}, {"seed": 7, "faces": 5000}),
        ("best", {}, {"preset": "best", "batch_size": 24}),
        ("best", {"steps": 100, "seed": 3}, {"reconstruct_steps": 0, "effect_steps": 100, "seed": 3}),
        ("best", {"assignments": ("effect.mixing=0.25",)}, {"effect.mixing": 0.25}),
        ("best", {"learning_rate": 1e-3}, {"rates.networks": 1e-3}),
    ],
)
def test_settings(preset, words, expected, capsys):
    training(preset, **words)
    said = json.loads(capsys.readouterr().out)
    for name, value in expected.items():
        found = said
        for part in name.split("."):
            found = found[part]
        assert found == value


@pytest.mark.parametrize(
    ("preset", "words", "message"),
    [
        ("linear", {"steps": 5}, "--steps"),
        ("linear", {"width": 16}, "--width"),
        ("linear", {"assignments": ("face=5",)}, "face"),
        ("linear", {"assignments": ("faces",)}, "no assignment"),
        ("linear", {"assignments": ("ridge=-1",)}, "ridge"),
        ("best", {"image_size": 64}, "128 px"),
        ("best", {"precision": "16-mixed"}, "precision"),
        ("best", {"assignments": ("effect.mixng=1",)}, "mixng"),
        ("best", {"assignments": ("effect.mixing=much",)}, "effect.mixing = 'much'"),
        ("best", {"assignments": ("nothing.gain=1",)}, "nothing"),
        ("best", {"batch_size": 1}, "two faces"),
        ("best", {"steps": 0}, "one step"),
        ("best", {"steps": -1}, "effect_steps cannot be negative"),
        ("best", {"assignments": ("ema=1",)}, "ema"),
        ("linear", {"assignments": ("texture_components=2",)}, "at least 3"),
        ("best", {"regions": ("Lipstik=mouth",)}, "Did you mean Lipstick"),
        ("linear", {"regions": ("Lipstick=lips",)}, "Parts: brows, eyes, nose, cheeks, mouth"),
        ("linear", {"regions": ("Lipstick",)}, "is no part"),
    ],
)
def test_settings_that_are_not_there(preset, words, message):
    with pytest.raises(AifError, match=message) as caught:
        training(preset, **words)
    assert caught.value.exit_code == 2


def test_an_edit_acts_where_the_user_says():
    names = ("Smiling", "Lipstick", "Goatee", "Big_Nose")
    regions = parse_regions(("Lipstick=mouth", "Goatee=beard+jaw"), names)
    found = {info.name: info.region for info in attribute_infos(names, regions=regions)}
    assert found == {"Smiling": (), "Lipstick": ("mouth",), "Goatee": ("beard", "jaw"), "Big_Nose": ("nose",)}


@pytest.mark.parametrize(
    ("name", "region", "parts", "still"),
    [
        ("Blush", "Blush=cheeks+nose+colour", ("cheeks", "nose"), True),
        ("Tan", "Tan=colour", (), True),
        ("Scar", "Scar=cheeks", ("cheeks",), False),
        ("Wearing_Lipstick", None, ("mouth",), True),
        ("Wearing_Lipstick", "Wearing_Lipstick=mouth+jaw", ("mouth", "jaw"), False),
        ("Lipstick", None, ("mouth",), True),
    ],
)
def test_attributes_that_tint_and_move_nothing(name, region, parts, still):
    regions = parse_regions(() if region is None else (region,), (name,))
    (info,) = attribute_infos((name,), regions=regions)
    assert (info.region, info.still) == (parts, still)


def test_an_older_run_of_lipstick_goes_on(tmp_path):
    """Which had moved the mouth: it was begun before that was left out."""
    names = ("Smiling", "Lipstick")
    smile, lipstick = attribute_infos(names, True)
    save_attributes(tmp_path, (smile, lipstick.model_copy(update={"still": False})), {})
    for regions in ((), ("Lipstick=mouth",)):
        best_command._check_attributes(tmp_path, names, parse_regions(regions, names), print)
    with pytest.raises(ConfigError, match="another --region of Lipstick"):
        best_command._check_attributes(
            tmp_path, names, parse_regions(("Lipstick=mouth+colour",), names), print
        )


@pytest.mark.parametrize(
    ("names", "regions", "message"),
    [
        (("Smiling", "Black_Hair"), {"Smiling": ("jaw",)}, "was begun with another --region of Smiling"),
        (("Smiling", "Black_Hair"), {"Smiling": ("colour",)}, "was begun with another --region of Smiling"),
        (("Smiling",), {}, "different: attributes"),
        (("Black_Hair", "Gray_Hair"), {}, "are not trained for effect"),
    ],
)
def test_a_run_goes_on_as_it_was_begun(tmp_path, names, regions, message):
    faces = SimpleNamespace(attributes=names)  # at which nobody looks before
    save_attributes(tmp_path, attribute_infos(("Smiling", "Black_Hair"), True), {})
    with pytest.raises(ConfigError, match=message):
        train_best(faces, faces, None, tmp_path, ShapeConfig(), ShapeOptions("cpu", 1, 1, 1), regions)


class Faces:
    """Three made-up faces; the second cannot be read."""

    name, attributes = "made up", ("Black_Hair", "Blond_Hair")

    def __init__(self, sides=(128, 128, 128)):
        self.sides = sides
        self.labels = np.zeros((len(sides), 2), np.uint8)

    def __len__(self):
        return len(self.sides)

    def image(self, index):
        if index == 1:
            raise CorruptImageError("1.webp")
        return face_picture(face_points(), self.sides[index])

    def file_name(self, index):
        return f"{index}.webp"


class Net:
    """Finds the made-up landmarks, and doubts the last face of each batch."""

    def in_crops(self, crops):
        found = DenseFaces.none(len(crops))
        found.points[:] = face_points()
        found.confidence[:-1] = 1
        return found


def test_landmarks_are_those_that_the_network_finds():
    found = dense_landmarks(Faces(), net=Net())
    assert found.sure.tolist() == [True, False, False]  # unreadable, doubted
    np.testing.assert_allclose(found.points[0], face_points())
    crops, rows = make_crops(Faces(), found, np.arange(3), 32)
    assert (rows.tolist(), crops.shape) == ([0, 2], (2, 32, 32, 3))


def test_no_more_faces_are_looked_at_than_are_wanted():
    faces = Faces((128,) * 40)
    found = dense_landmarks(faces, faces=10, net=Net())
    assert found.sure.sum() in (9, 10)  # of 11; the last is doubted, one of them may be the unreadable
    assert (dense_landmarks(faces, faces=10, seed=1, net=Net()).sure != found.sure).any()
    assert dense_landmarks(faces, faces=100, net=Net()).sure.sum() == 38


def test_images_of_several_sizes_have_to_be_packed():
    with pytest.raises(DataError, match="size"):
        dense_landmarks(Faces((128, 128, 64)), net=Net())


class Coloured(Faces):
    """Faces with a cap of black or fair hair."""

    def __init__(self, count):
        super().__init__((128,) * count)
        self.labels[::2, 0] = self.labels[1::2, 1] = 1

    def image(self, index):
        image = np.full((128, 128, 3), (200, 160, 140), np.uint8)
        image[:40] = (30, 25, 20) if self.labels[index, 0] else (190, 150, 90)
        return image


def cap(crops):
    matte = np.zeros((len(crops), 128, 128), np.float32)
    matte[:, :40] = 1
    return matte


def test_the_embedded_bundle_is_what_is_known_of_its_attributes():
    infos = Bundle.open().manifest.attributes
    known = attribute_infos([info.name for info in infos], trained=True)
    assert [info.model_copy(update={"makeup": None}) for info in infos] == list(known)


def test_colours_of_hair_are_those_of_the_labelled():
    net = SimpleNamespace(matte=cap)
    hair = measure_hair(Coloured(2 * LEAST), 0, net=net)
    assert set(hair) == {"Black_Hair", "Blond_Hair"}
    assert hair["Black_Hair"].on.lightness < -1 < hair["Blond_Hair"].on.lightness < 0
    assert hair["Black_Hair"].off == hair["Blond_Hair"].on
    assert hair["Blond_Hair"].on.blue < hair["Black_Hair"].on.blue
    assert measure_hair(Coloured(6), 0, net=net) == {}


def test_colours_of_hair_are_of_people_in_whom_they_are_plain():
    rng = np.random.default_rng(0)
    fair, dark, grey = (
        rng.normal(mean, (0.2, 0.05, 0.05, 0.1), (2_000, 4))
        for mean in ((-0.4, 0.2, -0.2, 0.4), (-1.2, 0.2, -0.2, 0.4), (-0.4, 0.2, 0.0, 0.4))
    )
    # Half of a normal distribution, along the way from the others: its median is 0.67 deviations on.
    np.testing.assert_allclose(plainest(dark, [fair]), (-1.335, 0.2, -0.2, 0.4), atol=0.015)
    np.testing.assert_allclose(plainest(grey, [fair]), (-0.4, 0.2, 0.034, 0.4), atol=0.015)


def made_up(count):
    """Textures, every second one of somebody labelled with make-up, and every twelfth with red lips."""
    frame = made_up_frame()
    lips = places(frame, 64)["lips"] > 0.05
    images = np.full((count, 64, 64, 3), (200, 160, 140), np.uint8)
    images[:, lips] = (190, 140, 120)
    images[::12][:, lips] = (170, 60, 60)
    labels = np.zeros((count, 2), np.uint8)
    labels[::2, 1] = 1
    points = np.zeros((count, 221, 2), np.float32)
    return Textures(images, points, labels, np.arange(count), ("Smiling", "Heavy_Makeup"), frame)


def test_colours_of_make_up_are_those_of_the_plainest():
    smile, makeup = with_makeup(attribute_infos(("Smiling", "Heavy_Makeup")), made_up(240), 0)
    assert smile.makeup is None and set(makeup.makeup.on) == {"lips", "line", "lids"}
    (_, green, _), (_, bare, _) = makeup.makeup.on["lips"], makeup.makeup.off["lips"]
    assert green < -0.7 < -0.2 < bare < 0
    assert with_makeup(attribute_infos(("Smiling", "Heavy_Makeup")), made_up(40), 0)[1].makeup is None
    assert plain(np.repeat([[0.0, 1, 2], [0, 0, 1]], [1, 9], axis=0), np.zeros((5, 3))) == (
        (0, 1, 2),
        (0, 0, 0),
    )


def lit(count):
    """Textures of skin lit from either side; every second one is bearded."""
    frame, rng = made_up_frame(), np.random.default_rng(0)
    x = np.indices((64, 64))[1] / 64 - 0.5
    labels = np.zeros((count, 2), np.uint8)
    labels[::2, 1] = 1
    light = rng.normal(0, 0.6, (count, 1, 1)) * x
    dark = 0.8 * labels[:, 1, None, None] * (beard_area(frame, 64) > 0.5)
    images = 150 * np.exp(light - dark)[..., None] * np.float32([1, 0.8, 0.7])
    points = np.zeros((count, 221, 2), np.float32)
    images = np.clip(images, 0, 255).astype(np.uint8)
    return Textures(images, points, labels, np.arange(count), ("Smiling", "Goatee"), frame)


def test_skin_is_that_of_faces_without_beards():
    faces = lit(640)
    infos = attribute_infos(faces.attributes)
    assert [info.bearded for info in infos] == [None, 1]
    skin = fit_bare_skin(faces, infos, 0)
    bare, bearded = (np.float32(faces.images[row]) / 255 for row in (1, 0))
    for texture in (bare, bearded):
        whole = skin.under(texture, beard_area(faces.frame, 64), BEARD)
        found = cv2.resize(whole, (32, 32), interpolation=cv2.INTER_AREA)[skin.where].mean(axis=1)
        light = low_logs(texture)[skin.where].mean(axis=1)
        beard = cv2.resize(beard_area(faces.frame, 64), (32, 32), interpolation=cv2.INTER_AREA)[skin.where]
        np.testing.assert_allclose(found[beard == 0], light[beard == 0], atol=0.03)
        expected = light + (0 if texture is bare else 0.72)  # 0.8 of the brightness without epsilon
        np.testing.assert_allclose(found[beard > 0.95], expected[beard > 0.95], atol=0.1)
    assert fit_bare_skin(lit(80), infos, 0) is None
    assert fit_bare_skin(faces, attribute_infos(("Mouth_Slightly_Open", "Bald")), 0) is None


class StoppedError(Exception):
    """What stops a training where its files are written."""


@pytest.mark.parametrize("preset", ["linear", "best"])
def test_trainings_keep_the_skin_of_their_faces(tmp_path, monkeypatch, preset):
    faces, module = lit(640), command if preset == "linear" else best_command
    monkeypatch.setattr(module, "dense_landmarks", lambda *_, **__: None)
    monkeypatch.setattr(module, "make_textures", lambda *_: faces)
    monkeypatch.setattr(module, "measure_hair", lambda *_: {})
    dataset = SimpleNamespace(attributes=faces.attributes, name="made up", fingerprint="0" * 64)
    if preset == "linear":
        monkeypatch.setattr(module, "fit_linear", lambda *_: unfitted(64, 4, 4, 2))
        module.train_baseline(dataset, None, tmp_path, 64, LinearConfig(), {})
        assert load_shape_run(tmp_path).skin is not None
        # Once more it is there already, and no other model takes its place.
        monkeypatch.setattr(module, "fit_linear", None)
        module.train_baseline(dataset, None, tmp_path, 64, LinearConfig(), {})
        for changed in ({"fingerprint": "1" * 64}, {"attributes": faces.attributes[:1]}):
            other = SimpleNamespace(**(vars(dataset) | changed))
            with pytest.raises(ConfigError, match="another model"):
                module.train_baseline(other, None, tmp_path, 64, LinearConfig(), {})
        with pytest.raises(ConfigError, match="different: size"):
            module.train_baseline(dataset, None, tmp_path, 32, LinearConfig(), {})
    else:

        def stop(*_):
            raise StoppedError

        monkeypatch.setattr(module, "make_crops", lambda *_: (faces.images, faces.rows))
        monkeypatch.setattr(module, "train_shape", stop)
        with pytest.raises(StoppedError):
            train_best(
                dataset,
                dataset,
                None,
                tmp_path,
                ShapeConfig(reconstruct_steps=1, effect_steps=0),
                ShapeOptions("cpu", 1, 1, 1),
                {},
            )
    skin = load_skin(tmp_path)
    assert skin.stored() == fit_bare_skin(faces, attribute_infos(faces.attributes), 0).stored()
