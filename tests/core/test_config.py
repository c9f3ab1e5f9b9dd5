"""Options: global, per context, and restored."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import warnings
from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback.core.config import parse


def test_names_work_with_and_without_prefix() -> None:
    for name in ("enable_x64", "jax_enable_x64"):
        pb.config.update(name, True)
        try:
            assert pb.config.jax_enable_x64 is True and pb.config.enable_x64 is True
            assert jnp.asarray(1.0).dtype == np.float64
        finally:
            pb.config.update(name, False)


def test_unknown_option_names_the_known_ones() -> None:
    with pytest.raises(AttributeError, match="enable_x64"):
        pb.config.update("jax_no_such_option", 1)
    with pytest.raises(AttributeError, match="no_such_option"):
        _ = pb.config.no_such_option


def test_values_are_checked() -> None:
    with pytest.raises(TypeError, match="takes a bool"):
        pb.config.update("enable_x64", "maybe")
    with pytest.raises(ValueError, match="'standard', 'strict'"):
        pb.config.update("numpy_dtype_promotion", "loose")


def test_contexts_nest_and_are_restored_after_exceptions() -> None:
    with pb.enable_x64(True):
        with pytest.raises(RuntimeError), pb.enable_x64(False):
            assert jnp.zeros(1).dtype == np.float32
            raise RuntimeError
        assert jnp.zeros(1).dtype == np.float64
    assert jnp.zeros(1).dtype == np.float32


def test_a_setting_may_be_entered_twice() -> None:
    setting = pb.enable_x64(True)
    with setting, setting:
        pass
    assert not pb.config.enable_x64


def test_contexts_do_not_reach_other_threads() -> None:
    seen = []
    with pb.enable_x64(True):
        thread = threading.Thread(target=lambda: seen.append(jnp.zeros(1).dtype))
        thread.start()
        thread.join()
    assert seen == [np.float32]


@pytest.mark.parametrize(
    "text, expected", [("1", "float64"), ("true", "float64"), ("0", "float32"), ("off", "float32")]
)
def test_environment_sets_the_default(text: str, expected: str) -> None:
    program = "import pullback.numpy as jnp; print(jnp.zeros(1).dtype)"
    out = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PULLBACK_ENABLE_X64": text},
        capture_output=True,
        text=True,
        check=True,
    )
    assert out.stdout.strip() == expected


def test_strict_promotion() -> None:
    with pb.numpy_dtype_promotion("strict"):
        with pytest.raises(ValueError, match="strict"):
            jnp.ones(2, jnp.int32) + jnp.ones(2, jnp.float32)
        assert (jnp.ones(2) + 1).dtype == np.float32  # weak types still give way


def test_rank_promotion() -> None:
    with pb.numpy_rank_promotion("raise"), pytest.raises(ValueError, match="rank_promotion"):
        jnp.ones((2, 3)) + jnp.ones(3)
    with pb.numpy_rank_promotion("warn"), pytest.warns(UserWarning, match="rank_promotion"):
        jnp.ones((2, 3)) + jnp.ones(3)


def test_setting_an_attribute_sets_the_option() -> None:
    pb.config.jax_enable_x64 = True
    try:
        assert pb.config.enable_x64 is True and jnp.asarray(1.0).dtype == np.float64
        with pytest.raises(TypeError, match="takes a bool"):
            pb.config.enable_x64 = "maybe"
    finally:
        pb.config.enable_x64 = False
    assert pb.config.read("enable_x64") is False and jnp.asarray(1.0).dtype == np.float32
    with pytest.raises(AttributeError, match="no_such_option"):
        pb.config.no_such_option = 1


@pytest.mark.parametrize("name, value", [
    ("compilation_cache_max_size", "large"), ("compilation_cache_max_size", -5), ("compilation_cache_max_size", True),
    ("num_cpu_devices", 1.5), ("compilation_cache_dir", 5), ("platforms", ["cpu"]), ("default_matmul_precision", 3),
    ("default_matmul_precision", "nope"), ("default_matmul_precision", "HIGHEST"),
])  # fmt: skip
def test_numbers_and_texts_are_checked(name: str, value: Any) -> None:
    before = pb.config.read(name)
    with pytest.raises(ValueError, match=name):
        pb.config.update(name, value)
    assert pb.config.read(name) == before


def test_environment_variables_that_are_no_numbers() -> None:
    with pytest.raises(ValueError, match="'compilation_cache_max_size': 'two' is not a number"):
        parse(pb.config.option("compilation_cache_max_size"), "two")
    assert parse(pb.config.option("compilation_cache_max_size"), "-1") == -1


def test_options_of_jax_that_mean_nothing_are_accepted_with_one_warning(monkeypatch):
    from pullback.core import config as module
    from pullback.core.foreign_options import REASONS

    monkeypatch.setattr(module, "_foreign_values", {})
    with pytest.warns(UserWarning, match="'jax_logging_level' means nothing here: it is about how JAX reports"):
        pb.config.update("jax_logging_level", "INFO")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pb.config.update("jax_logging_level", "DEBUG")
    assert pb.config.jax_logging_level == "DEBUG"
    assert pb.config.read("jax_traceback_filtering") == "auto"
    assert not set(REASONS) & set(pb.config._options)


def test_names_that_are_nobodys_are_refused_with_the_nearest():
    with pytest.raises(AttributeError, match="unknown option 'enable_x46'; did you mean 'enable_x64'?"):
        pb.config.update("enable_x46", True)
    with pytest.raises(AttributeError, match="did you mean 'logging_level'?"):
        pb.config.update("jax_loging_level", "allow")
    with pytest.raises(AttributeError, match="unknown option 'zzzzzz'. Known: "):
        pb.config.update("zzzzzz", 1)
    with pytest.raises(AttributeError):
        pb.config.update(3, 1)


def test_the_older_name_of_platforms():
    kept = pb.config.platforms
    try:
        pb.config.update("jax_platform_name", "cpu")
        assert pb.config.platforms == "cpu"
    finally:
        pb.config.update("platforms", kept)


def test_disable_jit_by_name():
    with pb.disable_jit(disable=True):
        assert pb.config.disable_jit
        with pb.disable_jit(False):
            assert not pb.config.disable_jit


def test_options_that_are_set_together():
    directions = [
        pb.transfer_guard_host_to_device,
        pb.transfer_guard_device_to_device,
        pb.transfer_guard_device_to_host,
    ]
    values = lambda: [pb.transfer_guard.value, *[d.value for d in directions]]
    with pb.transfer_guard("log"):
        assert values() == ["log"] * 4
        with pb.transfer_guard_device_to_host("allow"):
            assert values() == ["log", "log", "log", "allow"]
            with pb.transfer_guard("disallow"):
                assert values() == ["disallow"] * 4
    assert values() == [None] * 4
    try:
        pb.config.update("jax_transfer_guard", "log")
        pb.config.update("transfer_guard_device_to_host", "allow")
        assert values() == ["log", "log", "log", "allow"]
    finally:
        pb.config.update("transfer_guard", None)
    assert values() == [None] * 4
    with pytest.raises(ValueError, match="must be one of None, 'allow', 'log', 'disallow'"):
        pb.transfer_guard("never")


def test_options_that_are_accepted_say_what_they_do_not_do():
    with pb.debug_key_reuse(True):
        assert pb.config.jax_debug_key_reuse
    with pb.debug_key_reuse(False), pb.enable_custom_prng(True), pb.explain_cache_misses(False):
        assert pb.config.jax_enable_custom_prng


def test_disable_jit_takes_its_argument_by_name():
    with pb.disable_jit(disable=True):
        assert pb.config.jax_disable_jit and pb.jit(lambda x: type(x))(1.0) is float
        with pb.disable_jit(False):
            assert not pb.config.jax_disable_jit

    @pb.disable_jit()
    def within():
        return pb.config.jax_disable_jit

    assert within() and not pb.config.jax_disable_jit


def test_options_by_arguments_of_the_program(monkeypatch):
    monkeypatch.setattr(
        "sys.argv",
        ["program", "--jax_enable_x64=true", "-x", "3", "--jax_log_compiles", "--nojax_enable_checks", "jax_y=3"],
    )
    before = [pb.config.enable_x64, pb.config.log_compiles]
    try:
        pb.config.parse_flags_with_absl()
        assert (pb.config.x64_enabled, pb.config.log_compiles, pb.config.enable_checks) == (True, True, False)
    finally:
        for name, value in zip(("enable_x64", "log_compiles"), before):
            pb.config.update(name, value)
    assert pb.config.x64_enabled is bool(before[0])
    monkeypatch.setattr("sys.argv", ["program", "--jax_enable_x64=perhaps"])
    with pytest.raises(ValueError, match="not a truth value"):
        pb.config.parse_flags_with_absl()
    monkeypatch.setattr("sys.argv", ["program", "--jax_enable_x46"])
    with pytest.raises(AttributeError, match="did you mean"):
        pb.config.parse_flags_with_absl()


def test_checking_leaks():
    with pb.checking_leaks():
        assert pb.config.jax_check_tracer_leaks
