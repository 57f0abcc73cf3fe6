from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from cmrjax.core.errors import EXIT_USER, UserError, without_text


def fail(text: str) -> None:
    raise ValueError(f"invalid literal: {text}")


def caught(call) -> Exception:
    try:
        call()
    except ValueError as error:
        return error
    raise AssertionError("nothing was raised")


def test_an_error_is_one_line_of_what_where_and_fix():
    error = UserError("is\nbroken", where="--input", fix="mend it")
    assert str(error) == "--input: is broken; mend it"
    assert error.exit_code == EXIT_USER


def test_an_unforeseen_error_says_its_kind_and_place_but_not_its_text():
    told = str(without_text(caught(lambda: fail("SECRET"))))
    assert told.startswith("ValueError at test_errors.py:")
    assert "SECRET" not in told
    assert "/" not in told.split(";")[0]


def test_the_place_in_a_worker_is_told_too():
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        error = caught(pool.submit(fail, "SECRET").result)
    told = str(without_text(error))
    assert "test_errors.py:8" in told
    assert "SECRET" not in told
