"""Files that take their place only when they are whole."""

import contextlib
import stat
import threading

import pytest

from aif.runtime.errors import TakenError
from aif.runtime.files import replacing, replacing_folder, write_bytes, write_text


def test_a_new_file_takes_the_place_of_the_old_one_with_its_mode(tmp_path):
    path = tmp_path / "made" / "later.txt"
    write_text(path, "one")
    path.chmod(0o640)
    write_bytes(path, "zwölf".encode())
    assert path.read_text(encoding="utf-8") == "zwölf"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [each.name for each in path.parent.iterdir()] == ["later.txt"]


def test_a_failure_leaves_what_was_there_and_nothing_else(tmp_path):
    path = tmp_path / "kept.txt"
    path.write_text("old")

    def fail():
        with replacing(path) as part:
            part.write_text("half")
            raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_keeps_pointing_to_what_is_replaced(tmp_path):
    target, link = tmp_path / "target.txt", tmp_path / "link.txt"
    target.write_text("old")
    link.symlink_to(target)
    write_text(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_what_came_to_a_new_files_place_meanwhile_stays(tmp_path):
    path = tmp_path / "new.txt"
    write_bytes(path, b"one", new=True)
    with pytest.raises(TakenError), replacing(tmp_path / "other.txt", new=True) as part:
        part.write_text("ours")
        (tmp_path / "other.txt").write_text("theirs")
    assert path.read_text() == "one" and (tmp_path / "other.txt").read_text() == "theirs"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_takes_the_place_of_an_empty_one_and_of_what_a_link_points_to(tmp_path):
    place, link = tmp_path / "place", tmp_path / "link"
    place.mkdir()
    link.symlink_to(place)
    for text, new in (("one", True), ("two", False)):
        with replacing_folder(link, new) as part:
            (part / "a").write_text(text)
        assert (place / "a").read_text() == text and link.is_symlink()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["link", "place"]


@pytest.mark.parametrize("folder", [False, True])
def test_of_several_that_make_the_same_at_once_one_wins(tmp_path, folder):
    place, won, start = tmp_path / "out", [], threading.Barrier(8)

    def make(number):
        with contextlib.suppress(TakenError):
            with (replacing_folder if folder else replacing)(place, new=True) as part:
                (part / "a" if folder else part).write_text(str(number) * 100_000)
                start.wait()
            won.append(number)

    threads = [threading.Thread(target=make, args=(number,)) for number in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    (winner,) = won
    assert (place / "a" if folder else place).read_text() == str(winner) * 100_000
    assert list(tmp_path.iterdir()) == [place]
