"""The cache hands out the same pixels, decodes once for all workers, and leaves nothing behind."""

import itertools
import logging
import pickle
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from aif.train.data import cache
from aif.train.data.base import CorruptImageError, FaceDataset
from aif.train.data.cache import CachedFaces, cached
from aif.train.data.loader import FaceLoader


class CountingFaces(FaceDataset):
    """Noise that counts in shared memory how often each image is decoded."""

    def __init__(self, count, odd=frozenset(), bad=frozenset()):
        self.name, self.attributes, self.fingerprint = "counting", ("A",), "f"
        self.labels = np.zeros((count, 1), dtype=np.uint8)
        self.decoded = torch.zeros(count, dtype=torch.int32).share_memory_()
        self.odd, self.bad = odd, bad

    def image(self, index):
        self.decoded[index] += 1
        if index in self.bad:
            raise CorruptImageError(self.file_name(index))
        side = 20 if index in self.odd else 16
        return np.random.default_rng(index).integers(0, 256, (side, side, 3), dtype=np.uint8)

    def file_name(self, index):
        return f"image-{index}"


def test_same_pixels_decoded_once(tmp_path):
    plain, inner = CountingFaces(6), CountingFaces(6)
    faces = cached(inner, tmp_path)
    assert isinstance(faces, CachedFaces) and faces.filled == 0
    inner.decoded.zero_()
    for _ in range(3):
        for index in range(6):
            got = faces.image(index)
            assert np.array_equal(got, plain.image(index))
            got[:] = 0  # what the caller does with its copy must not reach the cache
    assert inner.decoded.tolist() == [1] * 6 and faces.filled == 6
    assert list(tmp_path.iterdir()) == []  # the file has no name: whatever ends the process, nothing is left
    assert (faces.name, faces.fingerprint, faces.attributes) == ("counting", "f", ("A",))
    assert faces.labels is inner.labels and faces.file_name(2) == "image-2"


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux alone")
def test_workers_fill_one_cache(tmp_path):
    inner = CountingFaces(12)
    faces = cached(inner, tmp_path)
    inner.decoded.zero_()
    assert len(list(itertools.islice(FaceLoader(faces, 16, 12, 0, workers=2), 30))) == 30
    assert inner.decoded.max() <= 2  # at worst both workers meet a face at the same moment
    assert faces.filled == 12  # what the workers stored is seen here


def test_odd_sizes_and_unreadable_images_are_not_kept(tmp_path):
    inner = CountingFaces(5, odd=frozenset({2}), bad=frozenset({0, 3}))
    faces = cached(inner, tmp_path)
    for _ in range(2):
        assert faces.image(2).shape == (20, 20, 3)
        with pytest.raises(CorruptImageError, match="image-3"):
            faces.image(3)
        assert faces.image(1).shape == (16, 16, 3)
    assert faces.filled == 1 and inner.decoded[2] == 2


def test_nothing_readable_is_returned_as_it_is(tmp_path):
    for inner in (CountingFaces(3, bad=frozenset(range(3))), CountingFaces(0)):
        assert cached(inner, tmp_path) is inner
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("how", ["little space", "full while reserving"])
def test_no_room(how, tmp_path, monkeypatch, caplog):
    def full(*_):
        raise OSError(28, "No space left on device")

    if how == "little space":
        monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: SimpleNamespace(free=1))
    else:
        monkeypatch.setattr(cache.os, "posix_fallocate", full, raising=False)
    inner = CountingFaces(3)
    with caplog.at_level(logging.WARNING):
        assert cached(inner, tmp_path) is inner
    assert "not cached" in caplog.text and list(tmp_path.iterdir()) == []


def test_pickled_copy_reads_the_same(tmp_path):
    faces = cached(CountingFaces(4), tmp_path)
    copy = pickle.loads(pickle.dumps(faces))
    assert np.array_equal(copy.image(3), faces.image(3)) and len(copy) == 4
