"""Each setting is one variable, and a wrong value is a sentence that names it."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from digits.cores import cores
from service.settings import Settings, misspelt, table


def test_defaults() -> None:
    settings = Settings.from_env({})
    assert (settings.host, settings.port, settings.models, settings.workers) == ("127.0.0.1", 8000, Path("models"), 0)
    assert settings == Settings()


def test_as_many_processes_as_cores_are_the_default_but_no_more_than_four() -> None:
    assert Settings().processes == min(cores(), 4)
    assert Settings(workers=7).processes == 7


def test_every_field_is_read_from_its_variable() -> None:
    other = {
        "host": "::1", "port": 81, "models": Path("/m"), "default_model": False, "model_name": "mnist", "workers": 2,
        "threads": 3,
        "max_body": 4, "max_images": 5, "max_batch": 6, "max_queue": 7, "root_path": "/digits", "log_level": "debug",
    }  # fmt: skip
    assert other.keys() == {item.name for item in fields(Settings)}
    settings = Settings.from_env({f"DIGITS_{name.upper()}": str(value) for name, value in other.items()})
    assert settings == Settings(**other)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HOST", ""),
        ("PORT", "many"), ("PORT", "65536"), ("DEFAULT_MODEL", "maybe"), ("MODEL_NAME", "a/b"), ("MODEL_NAME", ""),
        ("WORKERS", "-1"), ("THREADS", "-1"), ("MAX_BODY", "0"), ("MAX_IMAGES", "0"), ("MAX_BATCH", "0"),
        ("MAX_QUEUE", "9999"), ("ROOT_PATH", "digits"), ("ROOT_PATH", "/digits/"), ("LOG_LEVEL", "loud"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"DIGITS_{name}"):
        Settings.from_env({f"DIGITS_{name}": value})


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("DIGITS_MAX_IMAGE", "DIGITS_MAX_IMAGES"), ("DIGITS_WORKER", "DIGITS_WORKERS"),
        ("DIGITS_BATCH", "DIGITS_MAX_BATCH"), ("DIGITS_LOGLEVEL", "DIGITS_LOG_LEVEL"),
        ("DIGITS_port", "DIGITS_PORT"), ("DIGITS_MODEL", "DIGITS_MODELS"),
    ],
)  # fmt: skip
def test_a_misspelt_variable_is_told_with_the_setting_that_it_may_be(name: str, setting: str) -> None:
    assert misspelt({name: "1", "DIGITS_PORT": "1"}) == [f"{name} is no setting; did you mean {setting}?"]


def test_variables_of_clients_clusters_and_others_are_no_misspelt_settings() -> None:
    others = ["URL", "API_KEY", "FLAGS", "REPOSITORY", "SERVICE_HOST", "SERVICE_PORT", "PORT_8000_TCP_ADDR"]
    assert not misspelt({f"DIGITS_{name}": "1" for name in others} | {"DIGIT_PORT": "1", "PATH": "/"})
    assert not misspelt({f"DIGITS_{item.name.upper()}": "1" for item in fields(Settings)})


def test_the_address_of_a_service_of_the_same_name_is_no_port() -> None:
    assert Settings.from_env({"DIGITS_PORT": "tcp://10.96.0.12:80"}).port == Settings().port


def test_the_table_names_every_variable_with_its_default() -> None:
    lines = table().splitlines()
    for line, item in zip(lines, fields(Settings), strict=True):
        assert line.split()[0] == f"DIGITS_{item.name.upper()}"
        assert str(item.default) in line
