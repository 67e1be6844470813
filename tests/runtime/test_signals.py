"""One way to end on Ctrl-C and SIGTERM."""

from __future__ import annotations

import signal
import threading

import pytest

from aif.runtime.signals import Stop, Terminated, stop_on_signals


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        *((signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)),
        *([(signal.SIGHUP, Terminated)] if hasattr(signal, "SIGHUP") else []),
    ],
)
def test_the_first_signal_asks_and_the_second_interrupts(number, kind, request):
    usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
    inherited = signal.signal(number, usual)  # nohup leaves SIGHUP ignored
    request.addfinalizer(lambda: signal.signal(number, inherited))
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt) as caught, stop_on_signals() as stop:
        stop.check()
        signal.raise_signal(number)
        assert stop.is_set()
        signal.raise_signal(number)
        pytest.fail("went on")
    assert type(caught.value) is kind and signal.getsignal(number) is before


def test_a_thread_leaves_the_handlers_alone():
    seen: list[object] = []

    def work():
        with stop_on_signals() as stop:
            seen.append((isinstance(stop, Stop), signal.getsignal(signal.SIGINT)))

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(True, before)]
