"""The layout of a folder is recognised, or what was looked for is named."""

from pathlib import Path

import pytest

from aif.runtime.errors import DataError, UnknownAttributeError
from aif.train.data.open import find_layout, open_faces


@pytest.mark.parametrize(
    ("files", "layout"),
    [
        ({"labels.csv": "file,shard,split,A\n"}, "packed"),
        ({"labels.csv": "\ufefffile,shard,split,A\n", "list_attr_celeba.txt": ""}, "packed"),
        ({"labels.csv": "file,A\n"}, "folder"),
        ({"a.csv": "file,A\n", "b.csv": "file,A\n"}, "folder"),
        ({"list_attr_celeba.txt": ""}, "celeba"),
        ({"Anno/list_attr_celeba.txt": ""}, "celeba"),
        ({"list_attr_celeba.txt": "", "labels.csv": "file,A\n"}, "celeba"),
    ],
)
def test_layouts(files, layout, tmp_path):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert find_layout(tmp_path) == layout
    assert find_layout(tmp_path, table=tmp_path / "x.csv") == "folder"


@pytest.mark.parametrize("data", [None, "synthetic", Path("synthetic")])
def test_synthetic_by_default(data):
    train = open_faces(data, "train", ["Smiling", "Bangs"], image_size=32)
    val = open_faces(data, "val", ["Smiling", "Bangs"], image_size=32)
    assert train.attributes == ("Smiling", "Bangs") and train.image(0).shape == (32, 32, 3)
    assert train.file_name(0) != val.file_name(0)
    assert len(open_faces(None, "train")) == 20_000 and len(open_faces(None, "val")) == 2_000
    with pytest.raises(UnknownAttributeError, match="the synthetic faces"):
        open_faces(data, "train", ["Beard"])


def test_nothing_known(tmp_path):
    with pytest.raises(DataError, match=r"(?s)labels\.csv.*list_attr_celeba\.txt.*CSV"):
        open_faces(tmp_path, "train")
    with pytest.raises(DataError, match="There is no folder"):
        open_faces(tmp_path / "gone", "train")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="is not a folder"):
        open_faces(str(tmp_path / "file"), "train")
    (tmp_path / "labels.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="not a readable"):
        open_faces(tmp_path, "train")
