"""A real face, small videos, made with PyAV when a test asks for them, and a camera on the network."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import aif.runtime  # noqa: F401 - before ONNX Runtime, whose telemetry it turns off

NTSC = Fraction(30000, 1001)


def picture(index: int, width: int = 64, height: int = 48) -> np.ndarray:
    """Frame `index` of a test video: uint8 (H, W, 3) BGR, brighter frame by frame, three coloured corners."""
    image = np.full((height, width, 3), (30 + 6 * index) % 256, np.uint8)
    side = min(width, height) // 3
    image[:side, :side] = (200, 40, 40)  # top left: blue
    image[:side, -side:] = (40, 180, 40)  # top right: green
    image[-side:, :side] = (40, 40, 220)  # bottom left: red
    return image


@pytest.fixture(scope="session")
def astronaut_bgr():
    """A real face: uint8 (512, 512, 3) BGR, the eyes near (200, 103) and (246, 105)."""
    data = pytest.importorskip("skimage.data")
    return np.ascontiguousarray(data.astronaut()[:, :, ::-1])


@pytest.fixture(scope="session")
def portrait_bgr(astronaut_bgr):
    """A face, and nothing else that a detector could take for one: uint8 (240, 200, 3) BGR."""
    return np.ascontiguousarray(astronaut_bgr[:240, 110:310])


@pytest.fixture(scope="session")
def make_clip(tmp_path_factory):
    """Write a test video: make_clip(path, frames=12, codec="libx264", ...). Each kind is encoded once."""
    av = pytest.importorskip("av")
    folder, known = tmp_path_factory.mktemp("clips"), {}

    def make(path, images=(), **kind):
        pixels = np.stack(images) if images else np.empty(0)
        key = path.suffix, str(kind), pixels.shape, pixels.tobytes()
        if key not in known:
            known[key] = encode(folder / f"{len(known)}{path.suffix}", images=images or None, **kind)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(known[key].read_bytes())
        return path

    def encode(
        path: Path,
        *,
        frames: int = 12,
        size: tuple[int, int] = (64, 48),
        images: Sequence[np.ndarray] | None = None,
        codec: str = "libx264",
        pix_fmt: str = "yuv420p",
        rate: Fraction = NTSC,
        pts: Sequence[int] | None = None,
        time_base: Fraction | None = None,
        options: dict[str, str] | None = None,
        container_options: dict[str, str] | None = None,
        rotation: tuple[int, bool] | None = None,
        colour: tuple[int, int, int, int] | None = None,
        pixel_aspect: Fraction | None = None,
        audio: str | None = None,
        audio_rate: int = 44100,
        subtitles: Sequence[tuple[int, int, str]] = (),
        metadata: dict[str, str] | None = None,
        chapters: Sequence[dict[str, Any]] = (),
    ) -> Path:
        """Frames: `picture(i)` or `images`; sound: a rising tone; subtitles: (from ms, to ms, text)."""
        if images is not None:
            frames, size = len(images), (images[0].shape[1], images[0].shape[0])
        clock = 1 / rate if time_base is None else time_base
        with av.open(str(path), "w", container_options=container_options or {}) as out:
            # On its own threads x265 gave two frames, now and then, in a form that cannot be muxed.
            alone = {"x265-params": "frame-threads=1:pools=none:bframes=0:log-level=none"}
            usual = {"g": "6", **(alone if codec == "libx265" else {})}
            stream = out.add_stream(codec, rate=rate, options={**usual, **(options or {})})
            stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
            stream.time_base = stream.codec_context.time_base = clock
            if rotation is not None:
                stream.set_display_rotation(rotation[0], hflip=rotation[1])
            if colour is not None:
                context = stream.codec_context
                context.color_range, context.colorspace, context.color_primaries, context.color_trc = colour
            if pixel_aspect is not None:
                stream.codec_context.sample_aspect_ratio = pixel_aspect
            sound = None if audio is None else out.add_stream(audio, rate=audio_rate, layout="mono")
            texts = _subtitles(path.with_suffix(".srt"), subtitles)
            words = None if texts is None else out.add_stream_from_template(texts.streams.subtitles[0])
            out.metadata.update(metadata or {})
            if chapters:
                out.set_chapters(list(chapters))
            if sound is not None:
                sound.metadata["language"] = "deu"
                length = float((pts[-1] * clock if pts else (frames - 1) / rate) + 1 / rate)
                for start in range(0, round(length * audio_rate), 1024):
                    steps = np.arange(start, start + 1024) / audio_rate
                    tone = np.sin(2 * np.pi * (300 + 200 * steps) * steps).astype(np.float32) / 4
                    block = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
                    block.sample_rate, block.pts, block.time_base = audio_rate, start, Fraction(1, audio_rate)
                    out.mux(sound.encode(block))
                out.mux(sound.encode(None))
            for packet in [] if texts is None else texts.demux():
                if packet.size:
                    packet.stream = words
                    out.mux(packet)
            for i in range(frames):
                image = picture(i, *size) if images is None else images[i]
                frame = av.VideoFrame.from_ndarray(image, format="bgr24")
                if colour is not None:
                    frame.color_range, frame.colorspace = colour[0], colour[1]
                frame = frame.reformat(format=pix_fmt, dst_color_range=colour and colour[0])
                frame.pts, frame.time_base = i if pts is None else pts[i], clock
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
        return path

    def _subtitles(path: Path, lines: Sequence[tuple[int, int, str]]) -> Any:
        """An opened SubRip file with these lines: begin and end in milliseconds, and the text."""
        if not lines:
            return None
        blocks = []
        for number, (begin, end, text) in enumerate(lines, start=1):
            times = [f"00:00:0{time // 1000},{time % 1000:03d}" for time in (begin, end)]
            blocks.append(f"{number}\n{' --> '.join(times)}\n{text}\n")
        path.write_text("\n".join(blocks))
        return av.open(str(path))

    return make


class Broadcast:
    """A camera on the network, as cheap ones are: JPEG after JPEG over HTTP.

    Attributes:
        url: its address, with a password in it.
        pictures: how many a connection gets; then it is cut in mid picture.
        on: whether it answers.
        served: connections so far.
    """

    def __init__(self, picture: np.ndarray) -> None:
        self.data = cv2.imencode(".jpg", picture)[1].tobytes()
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://user:secret@127.0.0.1:{self.socket.getsockname()[1]}/video.mjpg"
        self.pictures, self.served, self.on = 10**9, 0, True
        self._calls = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), connection:
                connection.recv(4096)
                if self.on:
                    self.served += 1
                    self._stream(connection)

    def _stream(self, connection: socket.socket) -> None:
        kind = b"Content-Type: multipart/x-mixed-replace; boundary=cut\r\n\r\n"
        connection.sendall(b"HTTP/1.0 200 OK\r\n" + kind)
        head = b"--cut\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(self.data)
        calls = self._calls
        for _ in range(self.pictures):
            if calls != self._calls:
                break
            connection.sendall(head + self.data + b"\r\n")
            time.sleep(0.02)
        connection.sendall(head + self.data[: len(self.data) // 2])

    def hang_up(self) -> None:
        """Cut the connection of now in mid picture."""
        self._calls += 1

    def close(self) -> None:
        """Serve nobody any more."""
        self.hang_up()
        self.socket.close()


@pytest.fixture
def broadcast():
    """Start a network camera that shows a picture, uint8 (H, W, 3) BGR: broadcast(picture)."""
    with contextlib.ExitStack() as stack:

        def start(picture: np.ndarray) -> Broadcast:
            return stack.enter_context(contextlib.closing(Broadcast(picture)))

        yield start


@pytest.fixture
def stand_in_card(monkeypatch, tmp_path):
    """A card with TensorRT that is not there (stand_in_tensorrt.py); the cache is a new folder."""
    pytest.importorskip("polygraphy")
    from stand_in_tensorrt import Card

    from aif.runtime.tensorrt.library import load_library

    card = Card()
    card.plug_in(monkeypatch)
    monkeypatch.setenv("AIF_CACHE", str(tmp_path / "cache"))
    yield card
    load_library.cache_clear()


@pytest.fixture
def plug_in(monkeypatch):
    """Plug a card in again after its version, capability or name was changed."""
    return lambda card: card.plug_in(monkeypatch)
