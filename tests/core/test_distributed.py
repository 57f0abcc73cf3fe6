"""A signal asks a job to stop at the next safe point; a second one ends it."""

import os
import signal

import jax
import pytest

from cmrjax.core.distributed import stop_on_signal, use_compilation_cache


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_asks_and_the_second_interrupts(number):
    with stop_on_signal() as stop:
        assert not stop.asked
        os.kill(os.getpid(), number)
        assert stop.asked
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)


def test_handlers_are_put_back_also_after_an_error():
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)

    def fails():
        with stop_on_signal():
            assert signal.getsignal(signal.SIGTERM) != before[0]
            raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        fails()
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


@pytest.fixture
def cache_settings():
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: getattr(jax.config, name) for name in names}
    yield
    for name, value in before.items():
        jax.config.update(name, value)


def test_compiled_programs_lie_where_only_this_user_writes(tmp_path, monkeypatch, cache_settings):
    monkeypatch.setenv("HOME", str(tmp_path))
    use_compilation_cache()
    cache = tmp_path / ".cache" / "cmrjax" / "xla"
    assert jax.config.jax_compilation_cache_dir == str(cache)
    assert cache.stat().st_mode & 0o777 == 0o700


def test_a_home_that_cannot_be_written_is_not_an_error(tmp_path, monkeypatch, cache_settings):
    (tmp_path / ".cache").write_text("a file where a folder should be")
    monkeypatch.setenv("HOME", str(tmp_path))
    jax.config.update("jax_compilation_cache_dir", None)
    use_compilation_cache()
    assert jax.config.jax_compilation_cache_dir is None
