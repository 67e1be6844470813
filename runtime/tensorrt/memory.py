"""Memory and work on the card: buffers that free themselves, one stream, and recorded graphs."""

from __future__ import annotations

import ctypes
import logging
import math
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from aif.runtime.arrays import Float32Array
from aif.runtime.errors import AifError
from aif.runtime.tensorrt.library import Library

logger = logging.getLogger(__name__)


class Card:
    """A stream on the card, and a lock: whoever uses the buffers that belong to it holds the lock.

    Encoder and decoder of one model share a card, so that the decoder may read what the encoder left there.
    """

    def __init__(self, library: Library) -> None:
        """Make a stream that does not wait for what others do on the card, nor spoils their recordings.

        Raises:
            AifError: CUDA refuses.
        """
        self.library = library
        self.lock = threading.Lock()
        cudart = library.cudart
        self._stream = library.cuda(cudart.cudaStreamCreateWithFlags(cudart.cudaStreamNonBlocking))
        _free_with(self, library.cudart.cudaStreamDestroy, self._stream)

    @property
    def stream(self) -> int:
        """The stream's handle, as TensorRT takes it."""
        return int(self._stream)

    def upload(self, source: PinnedArray, target: DeviceBuffer) -> None:
        """Copy to the card, in the stream's order."""
        cudart = self.library.cudart
        kind = cudart.cudaMemcpyKind.cudaMemcpyHostToDevice
        size = source.array.nbytes
        self.library.cuda(cudart.cudaMemcpyAsync(target.address, source.address, size, kind, self._stream))

    def download(self, source: DeviceBuffer, target: PinnedArray) -> None:
        """Copy from the card, in the stream's order."""
        cudart = self.library.cudart
        kind = cudart.cudaMemcpyKind.cudaMemcpyDeviceToHost
        size = target.array.nbytes
        self.library.cuda(cudart.cudaMemcpyAsync(target.address, source.address, size, kind, self._stream))

    def wait(self) -> None:
        """Until all work of the stream is done.

        Raises:
            AifError: some of it failed.
        """
        self.library.cuda(self.library.cudart.cudaStreamSynchronize(self._stream))

    def record(self, work: Callable[[], None]) -> Recording | None:
        """Record what `work` asks of the stream, to be launched as one; None where it cannot be recorded.

        Source: CUDA's documentation of stream capture. Other threads may go on meanwhile (`ThreadLocal`).
        """
        cuda, cudart = self.library.cuda, self.library.cudart
        mode = cudart.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        try:
            cuda(cudart.cudaStreamBeginCapture(self._stream, mode))
            try:
                work()
            finally:
                ended = cudart.cudaStreamEndCapture(self._stream)  # also after a failure, or it goes on
            return Recording(self, cuda(ended))
        except AifError as error:
            logger.warning("No CUDA graph, each call is launched kernel by kernel: %s", error.message)
            return None


class Recording:
    """Work that was recorded once: a CUDA graph."""

    def __init__(self, card: Card, graph: Any) -> None:
        self._card = card
        library = card.library
        try:
            self._runs = library.cuda(library.cudart.cudaGraphInstantiate(graph, 0))
        finally:
            library.cudart.cudaGraphDestroy(graph)
        _free_with(self, library.cudart.cudaGraphExecDestroy, self._runs)

    def launch(self) -> None:
        """Do it again, with what lies in its buffers now."""
        library = self._card.library
        library.cuda(library.cudart.cudaGraphLaunch(self._runs, self._card._stream))


class DeviceBuffer:
    """Bytes on the card. `address` is where they lie."""

    def __init__(self, library: Library, size: int) -> None:
        """Allocate `size` bytes.

        Raises:
            AifError: the card's memory is full.
        """
        self.address = int(library.cuda(library.cudart.cudaMalloc(max(size, 1))))
        _free_with(self, library.cudart.cudaFree, self.address)


class PinnedArray:
    """A float32 array in page-locked memory, which the card copies from and to without a detour.

    Attributes:
        array: in that memory; do not hand it out, it is freed together with this object.
        address: where it lies.
    """

    def __init__(self, library: Library, shape: Sequence[int]) -> None:
        """Allocate; filled with zeros.

        Raises:
            AifError: the memory is full.
        """
        size = max(4 * math.prod(shape), 4)
        self.address = int(library.cuda(library.cudart.cudaMallocHost(size)))
        _free_with(self, library.cudart.cudaFreeHost, self.address)
        floats = (ctypes.c_float * (size // 4)).from_address(self.address)
        self.array: Float32Array = np.frombuffer(memoryview(floats), np.float32, math.prod(shape)).reshape(
            shape
        )
        self.array[...] = 0


def _free_with(owner: object, free: Callable[[Any], object], what: Any) -> None:
    """Free something when its owner goes; at the end of the program it is left to the driver."""
    weakref.finalize(owner, free, what).atexit = False
