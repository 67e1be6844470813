"""A photo, and services on free ports (tests/running_service.py)."""

import contextlib

import pytest
from running_service import Running, png


@pytest.fixture(scope="session")
def photo(portrait_bgr):
    return png(portrait_bgr)


@pytest.fixture(scope="module")
def service(toy_bundle):
    """One for all tests that do not need limits of their own."""
    with contextlib.closing(Running(toy_bundle, max_bytes=300_000, max_megapixels=1.0)) as running:
        yield running


@pytest.fixture
def start(toy_bundle):
    """Start a service with limits: start(queue=1)."""
    with contextlib.ExitStack() as stack:
        yield lambda **limits: stack.enter_context(contextlib.closing(Running(toy_bundle, **limits)))
