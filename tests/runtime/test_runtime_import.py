"""The public names of the runtime."""

from importlib.metadata import version

import pytest

import aif.runtime


@pytest.mark.parametrize("name", aif.runtime.__all__)
def test_every_public_name_is_there(name):
    assert getattr(aif.runtime, name).__name__ == name
    assert name in dir(aif.runtime)


def test_the_version_is_that_of_the_package():
    assert aif.__version__ == aif.runtime.__version__ == version("aif")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        aif.nothing  # noqa: B018


@pytest.mark.parametrize("name", ["editor_", "Nothing", "torch"])
def test_other_names_are_not(name):
    with pytest.raises(AttributeError, match=name):
        getattr(aif.runtime, name)
