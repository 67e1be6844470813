"""The page in a real browser: a photo goes in, a slider is moved, the picture changes; nothing leaves."""

import base64
import json
import re
import secrets
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlparse

import cv2
import httpx
import numpy as np
import pytest
from running_service import until

from aif.runtime.editing.editor import Editor

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def address(toy_bundle):
    """`aif serve --ui` in a process of its own; it must end in peace while a page is still open."""
    words = ["serve", "--ui", "--port", "0", "--bundle", str(toy_bundle.path), "--detector", "haar"]
    process = subprocess.Popen(
        [sys.executable, "-m", "aif.cli.main", *words, "--workers", "1", "--max-megapixels", "0.5"],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    starting, said = process.stderr.readline(), process.stderr.readline()
    assert starting == f"Starting: loading {toy_bundle.path} and the page, some seconds ...\n"
    assert "the page: http://127.0.0.1:" in said, said + process.stderr.read()
    place = said.split("the page: ")[1].removesuffix("/ui\n")
    yield place
    with httpx.stream("GET", f"{place}/ui/gradio_api/heartbeat/open", trust_env=False, timeout=30) as page:
        assert next(page.iter_text()) == "data: ALIVE\n\n"
        process.terminate()
        _, said = process.communicate(timeout=25)  # long before an open page's time would be up
    assert (process.returncode, said) == (0, "")
    assert not list(Path("/dev/shm").glob(f"aif-page-{process.pid}-*"))


class Visit:
    """One page in the browser, with what it asked for over the network and said on its console."""

    def __init__(self, page, address):
        self.page, self.requests, self.errors = page, [], []
        page.set_default_timeout(60_000)
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.goto(f"{address}/")
        page.wait_for_selector("#photo input[type=file]", state="attached")

    def drop(self, path):
        """Choose a file, and wait for the picture."""
        self.page.set_input_files("#photo input[type=file]", str(path))
        self.page.wait_for_selector("#compare img")

    def pictures(self):
        """Before and after as the browser has them: uint8 (H, W, 3) BGR."""
        addresses = self.page.eval_on_selector_all("#compare img", "all => all.map(each => each.src)")
        shown = [httpx.get(each, trust_env=False, timeout=30).content for each in addresses]
        return [cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) for data in shown]

    def move(self, index, value):
        """Set a slider as a hand would, with the keyboard's or the mouse's events."""
        self.page.locator(f"#attribute-{index} input[type=range]").evaluate(
            "(e, value) => { e.value = value; e.dispatchEvent(new Event('input', {bubbles: true})); }",
            str(value),
        )

    def value(self, index):
        return float(self.page.locator(f"#attribute-{index} input[type=range]").input_value())


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("needs Chromium (Debian: apt install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"],
        )
        yield chromium
        chromium.close()


@pytest.fixture
def visit(address, browser):
    """Open the page in a window of so many pixels across: visit(1280)."""
    contexts = []

    def go(width):
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}))
        return Visit(contexts[-1].new_page(), address)

    yield go
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def portrait(tmp_path_factory, photo):
    path = tmp_path_factory.mktemp("photo") / "my portrait.png"
    path.write_bytes(photo)
    return path


def test_a_photo_a_slider_a_sweep_and_a_download(visit, portrait, toy_bundle, address):
    seen = visit(1280)
    seen.drop(portrait)
    photo = cv2.imread(str(portrait))
    before, after = seen.pictures()
    assert before.shape == photo.shape and np.abs(before.astype(int) - photo).mean() < 3
    assert np.array_equal(before, after)
    with Editor.load(toy_bundle, "cpu", "haar", 1) as editor:
        (face,) = editor.analyse(photo)
        wanted = editor.edit(photo, {"Smiling": 2.0}).image_hwc_bgr
    for index, name in enumerate(("Smiling", "Blond_Hair")):
        until(lambda index=index, name=name: abs(seen.value(index) - face.y[name]) < 0.02)
    place = seen.page.eval_on_selector(
        "#attribute-0", "each => getComputedStyle(each).getPropertyValue('--seen')"
    )
    assert float(place) == pytest.approx((face.y["Smiling"] + 1) / 3, abs=0.01)

    seen.move(0, 2)
    until(lambda: not np.array_equal(*seen.pictures()))
    until(lambda: np.abs(seen.pictures()[1].astype(int) - wanted).mean() < 3)
    assert np.array_equal(seen.pictures()[0], before)

    with seen.page.expect_download() as download:
        seen.page.click("#download")
    assert download.value.suggested_filename == "my portrait_edited.png"
    whole = cv2.imread(str(download.value.path()))
    assert np.array_equal(whole, wanted)

    seen.page.click("#show")
    seen.page.wait_for_selector("#strip figure")
    captions = seen.page.eval_on_selector_all("#strip figcaption", "all => all.map(each => each.textContent)")
    assert captions[:2] == ["original", "Smiling -1"] and len(captions) == 8 and captions[-1] == "Smiling 2"
    strip = seen.page.eval_on_selector_all("#strip img", "all => all.map(each => each.src.split(',')[1])")
    panels = [cv2.imdecode(np.frombuffer(base64.b64decode(each), np.uint8), 1).astype(int) for each in strip]
    assert np.abs(panels[1] - panels[-1]).max() > 40

    seen.page.click("#reset")
    until(lambda: abs(seen.value(0) - face.y["Smiling"]) < 0.02 and np.array_equal(*seen.pictures()))

    hosts = {urlparse(each).netloc for each in seen.requests if not each.startswith(("data:", "blob:"))}
    assert hosts == {urlparse(address).netloc} and not seen.errors
    page = httpx.get(f"{address}/metrics", trust_env=False).text
    assert 'aif_requests_total{endpoint="page",outcome="ok"}' in page


def test_what_is_no_use_is_said(visit, tmp_path):
    path = tmp_path / "empty.png"
    cv2.imwrite(str(path), np.full((64, 64, 3), 90, np.uint8))
    seen = visit(800)
    seen.page.set_input_files("#photo input[type=file]", str(path))
    seen.page.get_by_text("No face was found").first.wait_for()
    assert not seen.page.locator("#compare").is_visible()


def test_on_a_telephone_everything_stands_in_one_column(visit, portrait):
    seen = visit(390)
    seen.drop(portrait)
    places = [seen.page.locator(each).bounding_box() for each in ("#compare", "#panel", "#actions", "#sweep")]
    for above, below in pairwise(places):
        assert above["y"] + above["height"] <= below["y"] + 1
    assert all(place["x"] >= 0 and place["x"] + place["width"] <= 390 for place in places)
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_policy_and_the_way_in(address):
    with httpx.Client(base_url=address, trust_env=False, timeout=30) as client:
        assert client.get("/").headers["location"] == "/ui/"
        page = client.get("/ui/")
        assert page.status_code == 200 and "default-src 'self'" in page.headers["content-security-policy"]
        assert "content-security-policy" not in client.get("/health").headers
        assert client.get("/nowhere").json()["error"]["code"] == "not_found"
        for path in ("/etc/passwd", "/dev/shm", str(Path(__file__))):
            assert client.get(f"/ui/gradio_api/file={path}").status_code in (403, 404)


class Caller:
    """A client that speaks Gradio's protocol itself, and may send what no page would."""

    def __init__(self, address):
        self.client = httpx.Client(base_url=f"{address}/ui", trust_env=False, timeout=120)
        self.config = self.client.get("/config").json()
        self.names = {part["props"].get("elem_id"): part["id"] for part in self.config["components"]}

    def call(self, touched, *data):
        """What comes of touching a part: the whole answer, as text."""
        (event,) = (
            each for each in self.config["dependencies"] if each["targets"][0][0] == self.names[touched]
        )
        session = secrets.token_hex(5)
        call = {"data": data, "fn_index": event["id"], "session_hash": session, "trigger_id": None}
        joined = self.client.post("/gradio_api/queue/join", json=call)
        if joined.status_code != 200:
            return joined.text
        said, where = "", {"session_hash": session}
        with self.client.stream("GET", "/gradio_api/queue/data", params=where) as answer:
            for line in answer.iter_lines():
                said += line
                if "process_completed" in line:
                    break
        return said

    def upload(self, data, name="photo.png"):
        return self.client.post("/gradio_api/upload", files={"files": (name, data)})


@pytest.fixture(scope="module")
def caller(address):
    calling = Caller(address)
    yield calling
    calling.client.close()


def as_file(path):
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def test_only_uploaded_files_are_taken(caller, portrait, tmp_path):
    """Neither another picture of the machine nor a key, neither as the photo nor where no file belongs."""
    uploaded = caller.upload(portrait.read_bytes()).json()[0]
    answer = caller.call("photo", as_file(uploaded))
    assert '"success":true' in answer and "before" not in answer
    key = tmp_path / "key.txt"
    key.write_text("secret")
    picture, text = as_file(str(portrait)), as_file(str(key))
    drawing = caller.upload(b"<svg/>", "photo.svg").json()[0]
    for touched, data in (
        ("photo", [picture]),
        ("photo", [{**picture, "is_stream": True}]),
        ("photo", [as_file(f"{uploaded}/../../../../..{portrait}")]),
        ("photo", [as_file(drawing)]),
        ("photo", [as_file(f"{caller.client.base_url}/config")]),
        ("faces", [None, text]),
        ("faces", [None, [{"deep": text}]]),
    ):
        assert caller.call(touched, *data) == "The page takes uploaded files only."
    for data in (b"no JSON", b"[" * 100_000, b"[" + bytes(300_000) + b"]"):
        answer = caller.client.post("/gradio_api/queue/join", content=data)
        assert (answer.status_code, answer.text) == (400, "This is no call of the page.")


def test_faces_have_the_numbers_that_aif_edit_takes(caller, portrait):
    picture = cv2.imread(str(portrait))
    two = cv2.imencode(".png", np.hstack([picture, picture]))[1].tobytes()
    answer = caller.call("photo", as_file(caller.upload(two).json()[0]))
    (choices,) = re.findall(r'"choices":\s*(\[\[.*?\]\])', answer)
    assert [value for _, value in json.loads(choices)] == ["all", "0", "1"]


def test_a_photo_that_was_forgotten_is_said_to_be_and_one_in_use_is_kept(caller):
    for touched, data in (
        ("attribute-0", [None, "all", "delta", 0, 0]),
        ("show", ["Smiling", None, "all", "delta", 0, 0]),
        ("download", [None, "all", "delta", 0, 0]),
        ("reset", [None, "all"]),
    ):
        assert "drop it again" in caller.call(touched, *data)
    events = caller.config["dependencies"]
    opened = next(part["id"] for part in caller.config["components"] if part["type"] == "state")
    uses = {each["id"] for each in events if opened in each["inputs"] and each["targets"][0][0] is not None}
    renewed = {each["trigger_after"] for each in events if each["inputs"] == each["outputs"] == [opened]}
    assert uses == renewed and len(uses) == 7


@pytest.mark.parametrize("name", ["process_recording", "run/open"])
def test_what_the_page_does_not_send_is_not_taken(caller, name):
    answer = caller.client.post(f"/gradio_api/{name}", json={"data": []})
    assert answer.status_code == 404 and "no such address" in answer.text
