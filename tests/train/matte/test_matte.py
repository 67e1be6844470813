"""The matte network: its data, that it learns, goes on where it stopped, and what the runtime gets."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import PurePath

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from aif.runtime.errors import CheckpointError, DataError, ExportError
from aif.runtime.faces.matte import MatteNet as RuntimeNet
from aif.train.data.hair import read_hair_pairs
from aif.train.matte.data import MatteBatch, MatteSamples
from aif.train.matte.network import (
    MatteConfig,
    MatteNet,
    export_matte,
    load_matte,
    matte_loss,
    score_matte,
    train_matte,
)
from aif.train.small_graphs import export_small

TINY = MatteConfig(image_size=32, widths=(8, 12), samples=64, batch_size=8, learning_rate=1e-2, ema=0.5)


def faces(count, size=32):
    """Dark hair of varying height above a light face."""
    rng = np.random.default_rng(count)
    images = np.full((count, size, size, 3), (220, 180, 160), dtype=np.uint8)
    masks = np.zeros((count, size, size), dtype=np.uint8)
    for image, mask in zip(images, masks, strict=True):
        rows = int(rng.integers(size // 4, size // 2))
        image[:rows] = rng.integers(0, 90, 3)
        mask[:rows] = 255
    return images, masks


def png(image):
    return cv2.imencode(".png", image)[1].tobytes()


def pair_files(count):
    files = {}
    for number, (image, mask) in enumerate(zip(*faces(count), strict=True)):
        files[f"{number:05d}.webp"] = cv2.imencode(".webp", image[..., ::-1], [1, 100])[1].tobytes()
        files[f"{number:05d}_hair.png"] = png(mask)
    return files


def write(root, split, files, zipped=True):
    (root / split).mkdir()
    for name, data in files.items():
        (root / split / name).write_bytes(data)
    if zipped:
        shutil.make_archive(root / split, "zip", root / split)
        shutil.rmtree(root / split)


@pytest.mark.parametrize("zipped", [True, False])
def test_pairs_are_read_in_order(tmp_path, zipped):
    write(tmp_path, "val", {**pair_files(3), "README.txt": b"words"}, zipped)
    images, masks = read_hair_pairs(tmp_path, "val", 32)
    np.testing.assert_array_equal(masks, faces(3)[1])
    np.testing.assert_allclose(images, faces(3)[0], atol=8)
    assert read_hair_pairs(tmp_path, "val", 16)[0].shape == (3, 16, 16, 3)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (None, "no hair masks for 'train'"),
        ({"a.txt": b"", "b_hair.png": b""}, "no images"),
        ({"a.webp": b"", "a.png": b""}, "have no mask: a.png"),
        (dict.fromkeys(pair_files(1), b"rubbish"), "cannot be read"),
        (dict.fromkeys(pair_files(12), b"rubbish"), "cannot be read"),
    ],
    ids=["nothing", "no image", "no mask", "all damaged", "too many damaged"],
)
def test_what_is_no_such_layout(tmp_path, files, words):
    if files is not None:
        write(tmp_path, "train", files)
    with pytest.raises(DataError, match=words):
        read_hair_pairs(tmp_path, "train", 32)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("00001.webp", b"rubbish"),
        ("00001_hair.png", b""),
        ("00001_hair.png", png(np.zeros((32, 31), dtype=np.uint8))),
        ("00001_hair.png", png(np.zeros((16, 16), dtype=np.uint8))),
    ],
    ids=["rubbish", "empty mask", "another shape", "another size"],
)
def test_a_damaged_pair_is_left_out(tmp_path, name, data, caplog):
    write(tmp_path, "val", {**pair_files(3), name: data})
    assert len(read_hair_pairs(tmp_path, "val", 32)[0]) == 2 and "00001" in caplog.text


def test_samples_depend_on_seed_and_number_alone():
    data = faces(5)
    one, other = MatteSamples(*data, 4, 0)[3], MatteSamples(*data, 4, 0)[3]
    for field in dataclasses.fields(MatteBatch):
        assert torch.equal(getattr(one, field.name), getattr(other, field.name))
    assert not torch.equal(one.images, MatteSamples(*data, 4, 1)[3].images)
    assert one.images.shape == (4, 3, 32, 32) and one.images.dtype == torch.uint8
    assert one.matte.shape == one.known.shape == (4, 1, 32, 32)
    assert one.matte.min() >= 0 and one.matte.max() <= 1
    assert set(one.known.unique().tolist()) <= {0.0, 1.0}


def test_masks_move_with_their_images():
    """Where the mask says hair the image is dark, whatever the showing; not where something covers both."""
    samples = MatteSamples(*faces(20), 1, 0)
    agreement = []
    for number in range(60):
        image, mask, known = samples.sample(number)
        grey = image.mean(axis=2)
        sure = known & ((mask < 10) | (mask > 245))
        if (mask[sure] > 245).any() and (mask[sure] < 10).any():
            agreement.append(grey[sure & (mask < 10)].mean() - grey[sure & (mask > 245)].mean())
    assert np.mean(np.array(agreement) > 0) > 0.9


def test_the_default_network_is_small():
    network = MatteNet(MatteConfig().widths).eval()
    assert 300_000 < sum(p.numel() for p in network.parameters()) < 450_000
    assert network(torch.rand(2, 3, 64, 64)).shape == (2, 1, 64, 64)


@pytest.mark.parametrize(
    ("logit", "matte", "known", "low", "high"),
    [
        (20.0, 1.0, 1.0, 0.0, 1e-3),
        (-20.0, 0.0, 1.0, 0.0, 1e-3),
        (-20.0, 1.0, 1.0, 20.0, 22.0),
        (-20.0, 1.0, 0.0, 0.0, 1e-3),
        (0.0, 0.0, 1.0, 1.0, 2.0),
    ],
    ids=["right", "no hair", "wrong", "unknown", "unsure"],
)
def test_loss(logit, matte, known, low, high):
    ones = torch.ones(2, 1, 8, 8)
    batch = MatteBatch(torch.zeros(2, 3, 8, 8), ones * matte, ones * known)
    assert low <= matte_loss(ones * logit, batch, 1.0).item() <= high


def test_it_learns_and_the_runtime_takes_its_graph(tmp_path):
    data, lines = faces(16), []
    config = dataclasses.replace(TINY, samples=480)
    folder = tmp_path / "matte.checkpoints"
    train_matte(*data, folder, config, log=lines.append)
    assert lines[-1].startswith("matte: 480 of 480")
    with pytest.raises(CheckpointError, match="other settings"):
        train_matte(*data, folder, dataclasses.replace(config, seed=1))
    network, read = load_matte(folder)
    assert read == config
    score = score_matte(network, *data)
    assert score.iou > 0.8 and score.face_iou > 0.8 and score.false_share < 0.2 and score.images == 16
    path = tmp_path / "new" / "matte.onnx"
    assert export_matte(folder, path) < 2e-3
    assert [file.name for file in path.parent.iterdir()] == ["matte.onnx"]
    crops = data[0].transpose(0, 3, 1, 2).astype(np.float32) / 255
    with torch.no_grad():
        expected = network(torch.from_numpy(crops)).sigmoid()[:, 0].numpy()
    np.testing.assert_allclose(RuntimeNet(path.read_bytes(), 1).matte(crops), expected, atol=2e-3)
    assert str(PurePath(__file__).parents[3]).encode() not in path.read_bytes()


def test_checkpoints_that_are_none(tmp_path):
    """Without one, of another network, and with damaged weights."""

    def refused(words):
        with pytest.raises(CheckpointError, match=words):
            export_matte(tmp_path, tmp_path / "matte.onnx")
        assert not (tmp_path / "matte.onnx").exists()

    refused("no checkpoint of a matte network")
    train_matte(*faces(4), tmp_path, TINY)
    (checkpoint,) = tmp_path.iterdir()
    state = checkpoint / "state.json"
    state.write_text(state.read_text().replace('"widths"', '"breadths"'))
    refused("is no checkpoint of a matte network")
    (checkpoint / "ema.safetensors").write_bytes(b"{}")
    refused("cannot be read")


@pytest.mark.parametrize(("images", "masks"), [faces(0), (faces(2)[0], np.zeros((2, 32, 32), np.uint8))])
def test_nothing_to_measure(images, masks):
    with pytest.raises(DataError, match="there are none"):
        score_matte(MatteNet((8, 12)).eval(), images, masks)


def test_measures_of_known_answers():
    """A network that calls the right half hair, where the upper half is: a third."""

    def right(image):
        logits = torch.full_like(image[:, :1], -1)
        logits[..., image.shape[-1] // 2 :] = 1
        return logits

    masks = np.zeros((2, 8, 8), dtype=np.uint8)
    masks[0, :4] = 255  # the second face is bald
    score = score_matte(right, np.zeros((2, 8, 8, 3), dtype=np.uint8), masks)
    assert score.face_iou == pytest.approx(16 / 48) and score.iou == pytest.approx(16 / (48 + 32))
    assert score.false_share == pytest.approx((16 + 32) / (32 + 64))


class TwoAnswers(nn.Module):
    """The mean of the image, twice; the other is off by `error`, in PyTorch alone."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def forward(self, image):
        mean = image.mean((1, 2, 3))
        return mean, mean if torch.compiler.is_compiling() else mean + self.error


@pytest.mark.parametrize(
    ("error", "limit", "fits"),
    [(0.1, 1e-4, False), (0.1, (1e-4, 0.2), True), (float("nan"), 1e-4, False)],
)
def test_small_graphs_are_checked(tmp_path, error, limit, fits):
    path = tmp_path / "small.onnx"

    def write():
        return export_small(TwoAnswers(error), (3, 8, 8), ["one", "other"], path, limit=limit)

    if fits:
        assert write() == pytest.approx(error, abs=1e-5)
    else:
        with pytest.raises(ExportError, match="exported other differs"):
            write()
    assert path.exists() == fits and len(list(tmp_path.iterdir())) == fits
