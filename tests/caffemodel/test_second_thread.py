"""The thread that writes: in order, and an error ends it for both sides."""

from __future__ import annotations

import threading
import time

import pytest

from bnfold.caffemodel.second_thread import SecondThread


def fail():
    raise OSError(28, "No space left on device")


def test_jobs_are_done_in_order_in_another_thread_before_it_is_left():
    done = []
    with SecondThread() as thread:
        for number in range(20):
            thread.do(lambda number=number: done.append((number, threading.get_ident())))
    assert [number for number, _ in done] == list(range(20))
    assert threading.get_ident() not in {ident for _, ident in done}


def test_error_of_the_last_job_is_raised_when_it_is_left():
    with pytest.raises(OSError, match="No space left"), SecondThread() as thread:
        thread.do(fail)


def test_after_an_error_no_job_is_done_and_giving_one_raises_it():
    given, done = [], []

    def work(thread):
        thread.do(fail)
        for number in range(1000):
            thread.do(lambda: done.append(1))
            given.append(number)

    with pytest.raises(OSError, match="No space left"), SecondThread() as thread:
        work(thread)
    assert len(given) < 1000
    assert done == []


def test_where_it_is_left_by_an_exception_it_does_no_more_and_has_ended():
    started, hold, done = threading.Event(), threading.Event(), []

    def wait():
        started.set()
        hold.wait(60)

    def work(thread):
        thread.do(wait)
        started.wait(60)
        thread.do(lambda: done.append(1))
        threading.Timer(0.05, hold.set).start()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), SecondThread() as thread:
        work(thread)
    assert done == []
    assert not thread._thread.is_alive()


def test_it_waits_rather_than_gather_what_is_not_written_yet():
    hold, given = threading.Event(), []

    def give():
        with SecondThread() as thread:
            for number in range(10):
                thread.do(lambda: hold.wait(60))
                given.append(number)

    giver = threading.Thread(target=give)
    giver.start()
    time.sleep(0.2)
    assert len(given) <= 2
    hold.set()
    giver.join(60)
    assert len(given) == 10
