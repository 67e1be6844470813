"""Options of `aif serve` that make no sense."""

import socket

import pytest


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--workers", "0"], 2, "--workers"),
        (["--queue", "-1"], 2, "--queue"),
        (["--max-bytes", "0"], 2, "--max-bytes"),
        (["--max-megapixels", "0"], 2, "--max-megapixels"),
        (["--timeout", "0"], 2, "--timeout"),
        (["--threads", "0"], 2, "--threads must be at least 1"),
        (["--provider", "magic"], 2, "Known: cpu, cuda"),
        (["--host", "no.such.host.invalid"], 1, "Choose another --host or --port"),
        (["--port", "{taken}"], 1, "Choose another --host or --port"),
        (["--port", "99999"], 2, "65535"),
        (["--bundle", "nowhere.aif", "--port", "0"], 1, "nowhere.aif"),
        (["--allow-host", "http://a.example", "--port", "0"], 2, "without scheme and port"),
    ],
)
def test_wrong_options(run, words, code, said):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run("serve", *(word.format(taken=port) for word in words))
    assert done.code == code and said in done.stderr and "Traceback" not in done.stderr
