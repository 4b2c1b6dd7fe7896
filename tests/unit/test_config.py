"""Settings: what is no value for them is one sentence before anything begins."""

from __future__ import annotations

import pytest
from users import as_nobody, closed_folder, needs_root

from ixxsms import config
from ixxsms.config import with_database
from ixxsms.errors import ConfigError


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("stop_seconds", "inf"),
        ("retry_seconds", "nan"),
        ("poll_seconds", "-inf"),
        ("poll_seconds", "-1"),
        ("response_timeout", "1e300"),
        ("max_attempts", "9" * 30),
        ("max_attempts", "many"),
        ("max_segments", "1.5"),
    ],
)
def test_a_setting_that_is_no_number_one_can_wait_for_is_refused(name, value):
    with pytest.raises(ConfigError, match=rf"^The setting {name} must be a number from 0 to 2147483647\.$"):
        with_database("sqlite:////x", {f"IXXSMS_{name.upper()}": value})


@pytest.mark.parametrize("name", ["fastagi_port", "webhook_port", "ami_port"])
def test_a_port_that_no_host_has_is_refused(name):
    with pytest.raises(ConfigError, match=rf"^The setting {name} must be a number from 0 to 65535\.$"):
        with_database("sqlite:////x", {f"IXXSMS_{name.upper()}": "65536"})
    assert with_database("sqlite:////x", {f"IXXSMS_{name.upper()}": " 65535 "}).values[name] == 65535


def test_a_number_may_have_a_fraction_where_its_default_has_one():
    assert with_database("sqlite:////x", {"IXXSMS_POLL_SECONDS": "0.5"}).poll_seconds == 0.5


@needs_root
@pytest.mark.parametrize("environ", [{}, {"IXXSMS_DATABASE_URL": "sqlite:////x"}], ids=["file", "environment"])
def test_a_file_in_a_folder_that_a_user_may_not_enter_cannot_be_read_and_is_not_missing(tmp_path, monkeypatch, environ):
    file, _ = config.create(closed_folder(tmp_path) / "ixxsms.conf", {})
    monkeypatch.setattr(config, "SYSTEM_FILE", file)
    with pytest.raises(ConfigError, match=rf"^The configuration file {file} cannot be read: Permission denied\.$"):
        as_nobody(config.load, None, {"HOME": str(tmp_path), **environ})
