"""SIGTERM and SIGHUP end a command as Ctrl-C does."""

import os
import signal
import threading

import pytest

from pcam_sklearn.cli._signals import Terminated, exit_code, signals_as_interrupts


@pytest.fixture(autouse=True)
def defaults():
    """Set the handlers that a new process has, and put those of pytest back."""
    names = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(name, signal.SIG_DFL) for name in names]
    yield
    for name, handler in zip(names, before, strict=True):
        signal.signal(name, handler)


def send(number):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_becomes_an_interrupt_with_its_exit_code(number):
    with pytest.raises(Terminated) as caught, signals_as_interrupts():
        send(number)
    assert exit_code(caught.value) == 128 + number


def test_ctrl_c_has_the_exit_code_of_a_shell():
    assert exit_code(KeyboardInterrupt()) == 130


def test_the_handlers_before_are_put_back():
    with pytest.raises(Terminated), signals_as_interrupts():
        send(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL


def test_a_second_signal_does_not_interrupt_the_cleaning_up():
    cleaned = []

    def work():
        try:
            send(signal.SIGHUP)
        finally:
            send(signal.SIGHUP)
            send(signal.SIGTERM)
            cleaned.append(True)

    with pytest.raises(Terminated), signals_as_interrupts():
        work()
    assert cleaned == [True]


def test_a_signal_that_nohup_ignores_stays_ignored():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with signals_as_interrupts():
        send(signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_a_handler_of_the_calling_program_stays():
    came = []
    signal.signal(signal.SIGTERM, lambda number, _: came.append(number))
    with signals_as_interrupts():
        send(signal.SIGTERM)
    assert came == [signal.SIGTERM]


def test_another_thread_sets_no_handlers():
    done = []

    def work():
        with signals_as_interrupts():
            done.append(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]
