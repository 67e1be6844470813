"""The line of JSON that a file's record is."""

import json
import os

import pytest

from aif.runtime.batch.record import FileRecord


@pytest.mark.parametrize("name", [b"a.jpg", "Ü 笑 😀.jpg".encode(), b"caf\xe9.jpg", b'\xff\n".jpg'])
def test_any_file_name_is_valid_utf_8_and_comes_back(name):
    line = FileRecord(os.fsdecode(name)).as_json()
    assert "\n" not in line
    assert os.fsencode(json.loads(line.encode())["input"]) == name
    assert ("笑" in line) == ("笑".encode() in name), "text stays readable"
