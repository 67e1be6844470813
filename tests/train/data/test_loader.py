"""Batches are a pure function of (dataset, seed, step), whatever the workers, ranks and starting point."""

import itertools
import logging
import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from aif.runtime.errors import ConfigError, DataError
from aif.train.data.augment import Augmentation
from aif.train.data.base import CorruptImageError, FaceDataset
from aif.train.data.batch import evaluation_batches
from aif.train.data.loader import FaceLoader, start_worker
from aif.train.data.sampling import SampleOrder, balanced_weights

JITTER = Augmentation(flip=True, rotation=5, scale=0.05, shift=0.03)


class NoiseFaces(FaceDataset):
    """Coloured noise, with some images unreadable."""

    def __init__(self, count, corrupt=frozenset(), side=24):
        self.name, self.attributes, self.fingerprint = "noise", ("Common", "Rare"), "0"
        rng = np.random.default_rng(count)
        self.labels = (rng.random((count, 2)) < [0.5, 0.1]).astype(np.uint8)
        self.pixels = rng.integers(0, 256, (count, side, side, 3), dtype=np.uint8)
        self.bad = corrupt

    def image(self, index):
        if index in self.bad:
            raise CorruptImageError(self.file_name(index))
        return self.pixels[index]

    def file_name(self, index):
        return f"noise-{index}"


def take(loader, count):
    return list(itertools.islice(loader, count))


def same(a, b):
    return len(a) == len(b) and all(
        torch.equal(x.images, y.images) and torch.equal(x.y, y.y) and torch.equal(x.indices, y.indices)
        for x, y in zip(a, b, strict=True)
    )


@pytest.mark.parametrize("balance", [False, True])
@pytest.mark.parametrize("augment", [None, JITTER])
def test_resume_and_workers_change_nothing(augment, balance):
    faces = NoiseFaces(37, corrupt=frozenset({3, 20}))
    whole = take(FaceLoader(faces, 16, 8, 5, augment=augment, balance=balance, workers=0), 12)
    for workers in (0, 1, 2):
        later = FaceLoader(faces, 16, 8, 5, augment=augment, balance=balance, workers=workers, start_step=4)
        assert same(whole[4:], take(later, 8)), workers
    other_seed = take(FaceLoader(faces, 16, 8, 6, augment=augment, balance=balance, workers=0), 12)
    assert not same(whole, other_seed)


@pytest.mark.parametrize("world_size", [2, 4])
def test_ranks_together_are_the_global_batch(world_size):
    faces = NoiseFaces(37, corrupt=frozenset({1}))
    whole = take(FaceLoader(faces, 16, 8, 0, augment=JITTER, workers=0), 6)
    for rank in range(world_size):
        loader = FaceLoader(faces, 16, 8, 0, augment=JITTER, workers=0, rank=rank, world_size=world_size)
        for batch, share in zip(whole, take(loader, 6), strict=True):
            assert torch.equal(batch.images[rank::world_size], share.images)
            assert torch.equal(batch.indices[rank::world_size], share.indices)


def test_batch_contents():
    faces = NoiseFaces(10)
    batch = take(FaceLoader(faces, 24, 4, 0, workers=0), 1)[0]
    dtypes = (batch.images.dtype, batch.y.dtype, batch.indices.dtype)
    assert dtypes == (torch.uint8, torch.float32, torch.int64)
    assert batch.images.shape == (4, 3, 24, 24) and batch.y.shape == (4, 2) and len(batch) == 4
    for image, y, index in zip(batch.images, batch.y, batch.indices, strict=True):
        assert np.array_equal(image.numpy().transpose(1, 2, 0), faces.pixels[index])
        assert np.array_equal(y.numpy(), faces.labels[index])


def test_every_face_once_an_epoch():
    faces = NoiseFaces(21)
    seen = torch.cat([b.indices for b in take(FaceLoader(faces, 8, 6, 0, workers=0), 7)])
    for epoch in (seen[:21], seen[21:42]):
        assert sorted(epoch.tolist()) == list(range(21))
    assert not torch.equal(seen[:21], seen[21:42])


def test_torch_random_state_is_left_alone():
    states = []
    for workers in (0, 1):
        torch.manual_seed(1)
        take(FaceLoader(NoiseFaces(10), 8, 4, 0, workers=workers), 2)
        states.append(torch.get_rng_state())
    assert torch.equal(states[0], states[1])


@pytest.mark.parametrize(
    ("rates", "least"), [((0.5, 0.5), 0.49), ((0.2, 0.6), 0.49), ((0.1, 0.3, 0.8), 0.48), ((0.02,), 0.15)]
)
def test_balanced_rates(rates, least):
    labels = (np.random.default_rng(0).random((4000, len(rates))) < rates).astype(np.uint8)
    shown = labels[SampleOrder(labels, seed=3, balance=True).epoch(2)].mean(axis=0)
    assert (shown > least).all() and (shown < 1 - least).all()


@pytest.mark.parametrize(
    ("labels", "weights"),
    [
        (np.zeros((5, 1)), [1] * 5),
        (np.ones((5, 2)), [1] * 5),
        (np.zeros((5, 0)), [1] * 5),
        (np.array([[0, 1], [0, 1]]), [1, 1]),
        (np.array([[1, 0]] * 99 + [[0, 1]]), [90 / 99] * 99 + [10]),  # one face against ninety-nine
    ],
)
def test_weights_of_one_sided_attributes(labels, weights):
    assert balanced_weights(labels.astype(np.uint8)) == pytest.approx(weights)


@pytest.mark.parametrize("workers", [0, 2])
def test_corrupt_images_are_replaced_and_named(workers, caplog):
    faces = NoiseFaces(40, corrupt=frozenset({7, 11}))
    loader = FaceLoader(faces, 8, 8, 0, workers=workers)
    with caplog.at_level(logging.WARNING):
        batches = take(loader, 15)
    assert loader.corrupt == ("noise-7", "noise-11")
    assert all(len(b) == 8 for b in batches)
    assert not {7, 11} & set(torch.cat([b.indices for b in batches]).tolist())
    assert len(caplog.records) == 2 and "noise-7;" in caplog.text and "noise-11;" in caplog.text


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux alone")
def test_workers_may_find_unreadable_images_while_they_are_listed():
    loader = FaceLoader(NoiseFaces(40), 8, 8, 0)

    def worker():
        while True:
            loader._corrupt[7] = 1 - loader._corrupt[7]

    process = multiprocessing.get_context("fork").Process(target=worker)
    process.start()
    try:
        assert {loader.corrupt for _ in range(5_000)} <= {(), ("noise-7",)}
    finally:
        process.kill()
        process.join()


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("corrupt", [range(11), range(40)])
def test_too_many_corrupt_images(corrupt, workers):
    loader = FaceLoader(NoiseFaces(40, corrupt=frozenset(corrupt)), 8, 8, 0, workers=workers)
    with pytest.raises(DataError, match=r"(?s)noise-\d+.*take their lines") as error:
        take(loader, 60)
    assert "cannot be read" in error.value.message and error.value.fix


def test_what_cannot_be_batches():
    with pytest.raises(ConfigError, match="multiple of 3"):
        FaceLoader(NoiseFaces(4), 8, 4, 0, world_size=3)
    with pytest.raises(DataError, match="has no faces"):
        FaceLoader(NoiseFaces(0), 8, 4, 0)


@pytest.mark.parametrize(
    ("indices", "sizes"), [(None, [4, 4, 1]), ([5, 0, 5], [3]), ([], []), (range(4), [4])]
)
def test_evaluation_in_order(indices, sizes):
    faces = NoiseFaces(9)
    batches = list(evaluation_batches(faces, 24, 4, indices))
    assert [len(b) for b in batches] == sizes
    shown = [i for b in batches for i in b.indices.tolist()]
    assert shown == list(range(9) if indices is None else indices)
    for batch in batches:
        assert np.array_equal(batch.images[0].numpy().transpose(1, 2, 0), faces.pixels[batch.indices[0]])


def test_evaluation_leaves_unreadable_images_out(caplog):
    batches = list(evaluation_batches(NoiseFaces(9, corrupt=frozenset({0, 4})), 8, 4))
    assert [b.indices.tolist() for b in batches] == [[1, 2, 3, 5], [6, 7, 8]]
    assert "noise-4" in caplog.text
    for faces in (NoiseFaces(9, frozenset(range(9))), NoiseFaces(30, frozenset(range(11)))):
        with pytest.raises(DataError, match="cannot be read"):
            list(evaluation_batches(faces, 8, 4))


def test_workers_hand_over_plain_memory():
    batch = take(FaceLoader(NoiseFaces(8), 16, 4, 0, workers=1), 1)[0]
    assert not any(tensor.is_shared() for tensor in (batch.images, batch.y, batch.indices))
    batch.images.add_(1)  # writable, and its own


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux alone")
def test_workers_end_with_a_parent_that_is_killed():
    """The queue is full, so that the worker waits in the middle of a batch."""
    mine, theirs = multiprocessing.Pipe()

    def parent():
        batches = iter(FaceLoader(NoiseFaces(40), 16, 8, 0, workers=2))
        next(batches)
        theirs.send([child.pid for child in multiprocessing.active_children()])
        time.sleep(600)

    process = multiprocessing.get_context("fork").Process(target=parent)
    process.start()
    assert mine.poll(120)
    workers = mine.recv()
    assert len(workers) == 2 and all(map(alive, workers))
    process.kill()
    process.join()
    end = time.monotonic() + 60
    while any(map(alive, workers)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(map(alive, workers))


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux alone")
def test_a_worker_whose_parent_is_already_dead_ends():
    mine, theirs = multiprocessing.Pipe()

    def worker(parent):
        while os.getppid() == parent:
            time.sleep(0.01)
        start_worker(0)
        theirs.send("went on")

    def parent():
        multiprocessing.get_context("fork").Process(target=worker, args=(os.getpid(),)).start()
        os.kill(os.getpid(), signal.SIGKILL)

    process = multiprocessing.get_context("fork").Process(target=parent)
    process.start()
    theirs.close()
    process.join()
    with pytest.raises(EOFError):  # the last process that could have sent something is gone
        mine.recv()


def alive(pid):
    """Whether a process is there, and not just its exit code."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
