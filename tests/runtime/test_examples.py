"""The examples of docs/, run as they stand: with the embedded bundle, a real face and real files."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from films import frames_of

from aif.runtime.bundle.bundle import EMBEDDED_BUNDLE

FOLDER = Path(__file__).parents[2] / "docs" / "examples"
FRAMES = 6

pytestmark = pytest.mark.skipif(not EMBEDDED_BUNDLE.exists(), reason="the embedded bundle is not here")


@pytest.fixture
def example(monkeypatch):
    """Load an example by its name, as `python NAME.py` would."""

    def load(name):
        spec = importlib.util.spec_from_file_location(f"example_{name}", FOLDER / f"{name}.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture
def clip(tmp_path, make_clip, portrait_bgr):
    images = [np.roll(portrait_bgr, i, axis=1) for i in range(FRAMES)]
    return make_clip(tmp_path / "clip.mp4", images=images, audio="aac", options={"crf": "10"})


def is_edited(before, after):
    """Whether the face has changed and the ground of the picture has not: int (H, W, 3) each."""
    change = np.abs(after - before)
    return bool(change[60:200, 40:190].max() > 25 and change[:, :20].mean() < 3)


@pytest.mark.parametrize(("keys", "shown"), [("", FRAMES), ("--", FRAMES), ("  q", 3)])
def test_opencv_loop(example, clip, monkeypatch, keys, shown):
    """The loop as it stands, with a window that remembers and a keyboard that plays a script."""
    seen: list[np.ndarray] = []
    pressed = iter(keys)
    monkeypatch.setattr(cv2, "imshow", lambda title, image: seen.append(image.astype(int)))
    monkeypatch.setattr(cv2, "waitKey", lambda wait: ord(next(pressed, "\xff")))
    monkeypatch.setattr(cv2, "destroyAllWindows", lambda: None)
    example("opencv_loop").main(str(clip), "Mustache")
    assert len(seen) == shown
    assert is_edited(frames_of(clip)[1], seen[1])


@pytest.mark.parametrize(
    ("source", "said"), [("nowhere.mp4", "nowhere.mp4 cannot be opened"), (None, "Smiling")]
)
def test_opencv_loop_says_what_is_wrong(example, clip, monkeypatch, source, said):
    monkeypatch.setattr(cv2, "destroyAllWindows", lambda: None)
    with pytest.raises(SystemExit, match=said):
        example("opencv_loop").main(source or str(clip), "Smilng")


def test_fastapi_endpoint(example, portrait_bgr):
    testing = pytest.importorskip("fastapi.testclient", reason="needs pip install fastapi httpx")
    photo = cv2.imencode(".png", portrait_bgr)[1].tobytes()
    empty = cv2.imencode(".png", np.full((64, 64, 3), 90, np.uint8))[1].tobytes()
    module = example("fastapi_endpoint")
    with testing.TestClient(module.app) as client:
        assert b"Smiling" in client.get("/attributes").content
        answer = client.post("/edit", content=photo, params={"attribute": "Smiling", "value": 0})
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
        edited = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)
        assert is_edited(portrait_bgr.astype(int), edited.astype(int))
        for content, wish, code, said in (
            (empty, {"attribute": "Smiling"}, 422, "No face"),
            (b"no picture", {"attribute": "Smiling"}, 415, "The upload"),
            (photo, {"attribute": "Smilng"}, 400, "Did you mean Smiling"),
            (photo, {}, 422, "attribute"),
            (bytes(module.MOST_BYTES + 1), {"attribute": "Smiling"}, 413, "too large"),
        ):
            answer = client.post("/edit", content=content, params=wish)
            assert (answer.status_code, said in answer.text) == (code, True), answer.text


def test_asyncio_worker(example, clip, monkeypatch, capsys):
    """Three videos for two workers, one of them no video at all."""
    other, broken = clip.with_name("other.mp4"), clip.with_name("broken.mp4")
    other.write_bytes(clip.read_bytes())
    broken.write_bytes(b"no video")
    module = example("asyncio_worker")
    monkeypatch.setattr(module, "EDITS", {"Smiling": 0.0})
    done = asyncio.run(module.main(str(clip), str(broken), str(other)))
    assert done == {clip: FRAMES, other: FRAMES}
    for path in (clip, other):
        edited = frames_of(path.with_stem(f"{path.stem}_edited"))
        assert len(edited) == FRAMES and is_edited(frames_of(path)[1], edited[1])
    out, err = capsys.readouterr()
    assert out.count(f"{FRAMES} frames") == 2 and "broken.mp4 is not a video" in err
    assert not broken.with_stem("broken_edited").exists()


def test_asyncio_worker_cancelled(example, make_clip, tmp_path):
    """A cancelled worker leaves a playable file, and no thread behind."""
    path = make_clip(tmp_path / "long.mp4", frames=2000)
    module = example("asyncio_worker")

    async def cancelled():
        task = asyncio.create_task(module.main(str(path)))
        while not list(tmp_path.glob(".aif-*.part")):
            assert not task.done()
            await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(asyncio.wait_for(cancelled(), 60))
    out = tmp_path / "long_edited.mp4"
    assert not list(tmp_path.glob(".aif-*.part"))
    assert not out.exists() or 0 < len(frames_of(out)) < 2000
    assert not [each.name for each in threading.enumerate() if each.name.startswith("aif-")]


def test_frame_generator(example, clip, tmp_path, monkeypatch, capsys):
    module = example("frame_generator")
    monkeypatch.setattr(module, "EVERY", 2)
    module.main(str(clip), str(tmp_path / "stills"), "Mustache", "2")
    stills = sorted((tmp_path / "stills").iterdir())
    assert [path.name for path in stills] == ["0000.png", "0001.png"]
    assert "2 pictures" in capsys.readouterr().out
    image = cv2.imread(str(stills[0]))
    assert image is not None and is_edited(frames_of(clip)[0], image.astype(int))
    frames = module.edited_frames(str(clip), {"Smiling": 1.0})
    assert next(frames).image_hwc_bgr.shape == (240, 200, 3)
    frames.close()
    with pytest.raises(SystemExit, match="There is no file"):
        module.main(str(tmp_path / "nowhere.mp4"), str(tmp_path / "stills"))
