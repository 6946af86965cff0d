"""What we run says nothing, and nobody else is silenced by that: not a thread, not for good."""

import contextlib
import io
import sys
import threading
import warnings

import pytest

from netwright.core.unheard import unheard, unwarned


def warn():
    warnings.warn("again", UserWarning, stacklevel=2)


def side_by_side(block):
    """Two threads enter `block` one after the other, and leave it in the same order."""
    turns = [threading.Event() for _ in range(4)]

    def first():
        with block():
            turns[0].set()
            turns[1].wait(5)
        turns[2].set()

    def second():
        turns[0].wait(5)
        with block():
            turns[1].set()
            turns[2].wait(5)

    threads = [threading.Thread(target=each) for each in (first, second)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()


def test_what_a_block_prints_is_dropped_and_what_follows_is_not(capsys):
    with unheard():
        print("of ours")
        sys.stdout.writelines(["of ours"])
        sys.stdout.flush()
    print("of the loop")
    assert capsys.readouterr().out == "of the loop\n"


def test_two_threads_that_take_turns_leave_the_output_where_it_was():
    before = sys.stdout
    side_by_side(unheard)
    assert sys.stdout is before


def test_two_threads_that_take_turns_leave_the_filters_as_they_were():
    before = list(warnings.filters)
    side_by_side(unwarned)
    assert warnings.filters == before


def test_another_thread_prints_and_warns_meanwhile(capsys):
    def other():
        print("of a thread")
        warn()

    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        with unheard():
            warn()
            thread = threading.Thread(target=other)
            thread.start()
            thread.join()
    assert len(heard) == 1
    assert capsys.readouterr().out == "of a thread\n"


def test_warnings_that_are_errors_are_none_within(recwarn):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with unwarned(), unwarned():
            warn()
        with pytest.raises(UserWarning):
            warn()
    assert len(recwarn) == 0


def test_a_warning_that_was_shown_once_is_not_shown_again():
    """As `catch_warnings` would have it, which makes Python forget."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("default")
        for _ in range(3):
            warn()
            with unheard():
                warn()
        assert len(heard) == 1


def test_filters_put_aside_meanwhile_keep_nothing_that_silences():
    aside = warnings.catch_warnings(record=True)
    with unwarned():
        heard = aside.__enter__()
    warnings.simplefilter("always")
    warn()
    assert len(heard) == 1
    aside.__exit__(None, None, None)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        warn()
    assert len(heard) == 1


def test_an_output_that_somebody_lays_within_stays():
    before, own = sys.stdout, io.StringIO()
    try:
        with unheard():
            sys.stdout = own
        assert sys.stdout is own
    finally:
        sys.stdout = before


def test_a_program_without_an_output_is_no_trouble():
    with contextlib.redirect_stdout(None), unheard():
        print("nobody hears that")
    assert sys.stdout is not None
