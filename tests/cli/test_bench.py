"""`aif bench` as a user types it: each benchmark for a moment, its JSON, and mistakes; speed is no test."""

import json
from fractions import Fraction

import cv2
import numpy as np
import pytest

TOP = {"schema", "benchmark", "machine", "settings", "not_run", "notes", "results"}
MACHINE = {
    *("processor", "cores", "system", "python", "packages", "onnxruntime_built_for"),
    *("load_average", "load_average_after"),
}


@pytest.fixture
def bench(run, bundle):
    """`aif bench WORDS...` with the toy bundle and the detector that needs no download."""

    def call(what, *words):
        detector = [] if what == "networks" else ["--detector", "haar"]
        return run("bench", what, *words, "--bundle", bundle, *detector)

    return call


@pytest.fixture(scope="session")
def film(tmp_path_factory, make_clip, portrait_rgb):
    """Six frames with a face, with sound."""
    images = [np.roll(portrait_rgb[:, :, ::-1], i, axis=1) for i in range(6)]
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    return make_clip(path, images=images, rate=Fraction(30), audio="aac")


CPU = ("--threads", "1", "--providers", "cpu")
EDITOR = {"provider": "cpu", "threads": 1, "precision": "fp32"}
SHARES = {"edited_share", "frames_with_faces_share", "renewed_share", "networks_share"}


def results(done, what):
    """What stands under "results", once all around it has been looked at."""
    said = done.stderr.splitlines()  # a line every half minute
    assert done.code == 0 and all(line.startswith("Measuring: ") for line in said)
    record = json.loads(done.stdout)
    assert set(record) == TOP and (record["schema"], record["benchmark"]) == (2, what)
    assert set(record["machine"]) == MACHINE and record["machine"]["cores"] >= 1
    for row in record["results"]:
        for spread in row["stages"].values():
            assert set(spread) == {"n", "p50_ms", "p95_ms", "p99_ms"} and spread["n"] >= 1
            assert 0 < spread["p50_ms"] <= spread["p95_ms"] <= spread["p99_ms"]
        assert all(0 <= row["figures"][name] <= 1 for name in SHARES & set(row["figures"]))
    return list(record["results"])


def labels(row):
    return {name: value for name, value in row.items() if name not in ("figures", "stages")}


def test_image(bench, photo):
    words = ("--threads", "1,2", "--providers", "cpu", "--seconds", "0.05", "--rounds", "2", "--json", "-")
    rows = results(bench("image", photo, *words, "--set", "Blond_Hair=0.5"), "image")
    assert [labels(row) for row in rows] == [EDITOR | {"threads": 1}, EDITOR | {"threads": 2}]
    for row in rows:
        assert " ".join(row["stages"]) == "read detect landmarks encode decode_faces composite write"
        assert [*row["figures"]] == ["images_per_second", "edits_per_second", "networks_share"]
        assert row["figures"]["images_per_second"] < row["figures"]["edits_per_second"]
        assert row["stages"]["read"]["n"] == row["stages"]["encode"]["n"] >= 2


def test_steadiness(bench, film):
    rows = results(bench("steadiness", film, film, "--json", "-"), "steadiness")
    ways = ["frame by frame", "tracked", "tracked, filtered"]
    assert [labels(row) for row in rows] == [{"film": "film.mp4", "way": way} for way in ways * 2]
    assert rows[:3] == rows[3:] and rows[0]["figures"] != rows[2]["figures"]
    for figures in (row["figures"] for row in rows):
        assert figures["frames"] == 6 and 0 < figures["edit_change"] <= figures["worst_change"]
        assert figures["strength"] > 0 and figures["acceleration"] > 0
        assert figures["renewed"] == 1  # models of whole crops see every frame
    table = bench("steadiness", film, "--seconds", "0.15").stdout.decode()
    assert "tracked" in table and "change_per_strength" in table


@pytest.mark.parametrize(("seconds", "frames"), [((), 6), (("--seconds", "0.1"), 3)])
def test_video(bench, film, seconds, frames):
    (row,) = results(bench("video", film, *CPU, "--rounds", "1", *seconds, "--json", "-"), "video")
    stages = "read to_bgr track align encode decode_faces composite to_yuv write"
    assert labels(row) == EDITOR and [*row["stages"]] == stages.split()
    assert all(spread["n"] == frames for spread in row["stages"].values())
    figures = row["figures"]
    assert figures["frames"] == figures["frames_with_faces"] == frames and figures["renewed_share"] == 1
    assert figures["copies_per_second"] > 0
    for name, rate in (("ratio", "film"), ("edit_ratio", "edits")):
        ratio = figures[f"{rate}_per_second"] / figures["networks_per_second"]
        assert figures[f"{name}_to_networks"] == pytest.approx(ratio, rel=1e-4)


def test_live(bench):
    pytest.importorskip("skimage")
    words = ("live", "synthetic:320x240@20", *CPU, "--seconds", "1.5", "--json", "-")
    (row,) = results(bench(*words), "live")
    stages = "track align encode decode_faces composite capture_to_edited"
    assert labels(row) == EDITOR and [*row["stages"]] == stages.split()
    figures = row["figures"]
    assert figures["edited_per_second"] <= figures["camera_per_second"] <= 25
    assert figures["free_per_second"] > 0
    ratio = figures["delay_last_ms"] / figures["delay_first_ms"]
    assert figures["delay_growth"] == pytest.approx(ratio, rel=1e-4)


def test_serve(bench, photo):
    """A real service, overrun by clients: refused ones are counted, and nothing is lost."""
    words = ("--clients", "1,6", "--workers", "1", "--queue", "1", "--seconds", "0.3", "--rounds", "1")
    rows = results(bench("serve", photo, *words, "--set", "Blond_Hair=0.5", "--json", "-"), "serve")
    assert [row["clients"] for row in rows] == [0, 1, 6]
    bare, alone, crowd = (row["figures"] for row in rows)
    assert bare["photos_per_second"] > 0 and all(set(row["stages"]) == {"answer"} for row in rows)
    for row in rows[1:]:
        assert row["figures"]["lost"] == 0 and row["figures"]["answered"] == row["stages"]["answer"]["n"]
    assert alone["refused"] == 0 and crowd["refused"] >= 1
    ratio = alone["photos_per_second"] / bare["photos_per_second"]
    assert alone["ratio_to_editor"] == pytest.approx(ratio, rel=1e-4)


def test_networks(bench, tmp_path):
    """Their JSON in a file in a new folder, beside the table."""
    place = tmp_path / "new" / "networks.json"
    words = (*CPU, "--seconds", "0.01", "--rounds", "2", "--batches", "1,20", "--json", place)
    done = bench("networks", *words)
    assert (done.code, done.stderr) == (0, "")
    for wanted in (b"aif bench networks: bundle toy 1 (32 px)", b"load average", b"decoder", b"ratio"):
        assert wanted in done.stdout
    record = json.loads(place.read_text())
    assert [(row["part"], row["batch"]) for row in record["results"]] == [
        *(("encoder", 1), ("decoder", 1), ("encoder", 20), ("decoder", 20))
    ]
    for row in record["results"]:
        assert row["stages"]["call"]["n"] >= 2 and row["figures"]["faces_per_second"] > 0
        assert row["name"] == "aif" and row["figures"]["ratio"] == 1
    assert "--run RUN" in record["notes"][0]
    assert [each.name for each in place.parent.iterdir()] == ["networks.json"]


def test_networks_beside_pytorch_on_the_same_weights(run, tiny_run):
    words = (*CPU, "--seconds", "0.01", "--rounds", "2", "--batches", "2", "--json", "-")
    done = run("bench", "networks", "--run", tiny_run, *words)
    rows = results(done, "networks")
    assert {(row["name"], row["part"]) for row in rows} == {
        (name, part) for name in ("aif", "PyTorch eager") for part in ("encoder", "decoder")
    }
    own = {row["part"]: row["figures"]["faces_per_second"] for row in rows if row["name"] == "aif"}
    for row in rows:
        ratio = own[row["part"]] / row["figures"]["faces_per_second"]
        assert row["figures"]["ratio"] == pytest.approx(ratio, rel=1e-4)
    settings = json.loads(done.stdout)["settings"]
    assert settings["step"] == 4 and settings["graphs_differ_by"] < 1e-4


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["imagine"], 2, "Did you mean image?"),
        (["image", "--threads", "0"], 2, "at least 1, not 0"),
        (["image", "--threads", "one"], 2, "--threads 1,2,4"),
        (["networks", "--providers", "cud"], 2, "Did you mean cuda"),
        (["networks", "--batches", "0"], 2, "1 to 1024"),
        (["image", "--seconds", "0"], 2, "above 0"),
        (["image", "--bundle", "{tmp}/none.aif"], 1, "There is no bundle"),
        (["image", "{tmp}/none.jpg"], 1, "none.jpg"),
        (["image", "{tmp}/grey.png"], 3, "No face"),
        (["image", "--set", "Smilling=1"], 2, "Did you mean Smiling?"),
        (["image", "--detector", "hare"], 2, "haar"),
        (["image", "--run", "{tmp}"], 2, "takes no --run"),
        (["steadiness"], 2, "Which film"),
        (["steadiness", "{tmp}/a.mp4", "--threads", "1"], 2, "takes no --threads"),
        (["image", "{tmp}/a.jpg", "{tmp}/b.jpg"], 2, "one source, not 2"),
        (["networks", "--run", "{tmp}/none"], 1, "not a training run"),
        (["training", "--threads", "1"], 2, "takes no --threads"),
        (["image", "--clients", "1"], 2, "takes no --clients"),
        (["serve", "--clients", "0"], 2, "--clients must be at least 1"),
        (["serve", "--threads", "1,2"], 2, "measures one setup"),
        (["serve", "{tmp}/grey.png"], 3, "No face was found"),
        (["video"], 2, "aif bench video film.mp4"),
        (["video", "{tmp}/none.mp4"], 1, "none.mp4"),
        (["video", "{tmp}/street.mp4", "--threads", "1", "--providers", "cpu"], 3, "no face"),
        (["live", "synthetic:big"], 2, "synthetic:1280x720@30"),
        (["image", "--json", "{tmp}"], 1, "it is a folder"),
        (["image", "--json", "{tmp}/grey.png/x.json"], 1, "is no folder"),
    ],
)
def test_mistakes(aif, bundle, tmp_path, make_clip, words, code, said):
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((64, 64, 3), 128, np.uint8))
    if any("street" in word for word in words):
        make_clip(tmp_path / "street.mp4", frames=3)
    words = [word.replace("{tmp}", str(tmp_path)) for word in words]
    if "--bundle" not in words and "--run" not in words and words[0] != "training":
        words += ["--bundle", str(bundle)]
    done = aif("bench", *words, code=code)
    assert done.stdout == b"" and said in done.stderr


def test_a_provider_that_is_asked_for_must_be_there(bench, monkeypatch):
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    done = bench("networks", "--providers", "cpu,cuda")
    assert done.code == 1 and "CUDA" in done.stderr
    words = ("--threads", "1", "--seconds", "0.01", "--rounds", "1", "--batches", "1", "--json", "-")
    left_out = json.loads(bench("networks", *words).stdout)["not_run"]
    assert list(left_out) == ["cuda", "tensorrt", "openvino", "ort-tensorrt"]
    for provider, name in zip(left_out, ("CUDA", "TensorRT", "OpenVINO", "CUDA"), strict=True):
        assert name in left_out[provider]
