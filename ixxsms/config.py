"""Settings: each declared once, with its default and its help. The only file that reads the environment.

A value comes from the environment (IXXSMS_ and the name in capitals), else from the configuration file, else it is
the default. The file is INI with the one section [ixxsms].
"""

from __future__ import annotations

import configparser
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ixxsms.errors import ConfigError

SECTION = "ixxsms"
ENVIRONMENT_PREFIX = "IXXSMS_"
SYSTEM_FILE = Path("/etc/ixxsms/ixxsms.conf")

#: The daemon's own group may read the file, nobody else: it may hold the database's password.
FILE_MODE = 0o640


class Setting(NamedTuple):
    name: str
    default: Any
    help: str


SETTINGS = (
    Setting(
        "database_url",
        "",
        "Where everything is kept: an SQLAlchemy URL (sqlite:////file, mysql://user:password@host/database, postgresql://…);"
        " several hosts: mysql://user:password@/database?host=a&host=b.",
    ),
    Setting("cdr_url", "", "Asterisk's call records: an SQLAlchemy URL, or the path of a Master.csv."),
    Setting("cdr_table", "cdr", "The table of the call records."),
    Setting(
        "harvest_overlap_hours", 24, "How far before its mark a harvest reads again: a call is recorded at its end."
    ),
    Setting(
        "state_dir",
        "",
        "Where a daemon keeps what it has on its way, for the time after a crash; empty: beside an SQLite database,"
        " else /var/lib/ixxsms.",
    ),
    Setting("script_dir", "/var/lib/ixxsms/scripts", "Where the scripts of script trunks must lie."),
    Setting("script_timeout", 30.0, "Seconds after which a script is ended and its message is in doubt."),
    Setting("max_segments", 10, "The most segments that one text may need."),
    Setting("response_timeout", 30.0, "Seconds after which an unanswered message is in doubt."),
    Setting("max_attempts", 5, "How often a message is tried before it is refused."),
    Setting("retry_seconds", 30.0, "Seconds before the second attempt; each further wait is twice the one before."),
    Setting("message_lifetime_hours", 48.0, "Hours after which a queued message without a campaign expires; 0: never."),
    Setting(
        "resend_in_doubt", False, "Send a message in doubt again: it may arrive more than once, five times at most."
    ),
    Setting("receipts", True, "Ask the SMSC for receipts."),
    Setting("poll_seconds", 0.03, "Seconds between two looks at the database for new messages."),
    Setting("heartbeat_seconds", 5.0, "Seconds between two signs of life of a daemon; six missed, and it is dead."),
    Setting("stop_seconds", 10.0, "Seconds that a stopping daemon waits for the answers it is owed."),
    Setting("drain_receipt_seconds", 5.0, "Seconds that ixxmassivesms --drain waits for receipts of what it sent."),
    Setting("send_seconds", 30.0, "Seconds that a single send waits for its outcome."),
    Setting("fastagi_host", "127.0.0.1", "Where the daemon listens for Asterisk's FastAGI calls."),
    Setting("fastagi_port", 4573, "The port of FastAGI; 0: the daemon does not listen."),
    Setting("fastagi_connections", 100, "The most FastAGI calls at a time."),
    Setting("webhook_host", "127.0.0.1", "Where the daemon listens for receipts and incoming SMS over HTTP."),
    Setting("webhook_port", 0, "The port of the webhook; 0: the daemon does not listen."),
    Setting(
        "webhook_url", "", "How others reach the webhook, https://sms.example.net for a proxy; empty: by host and port."
    ),
    Setting("request_wait_seconds", 5.0, "Seconds that a call from the dialplan waits for the outcome of its SMS."),
    Setting(
        "request_prefixes",
        "",
        "What the dialplan, AMI and SIP phones may write to: first digits, by commas; empty: the own country.",
    ),
    Setting("request_per_caller_hour", 10, "The most SMS in an hour that one caller may cause; 0: no limit."),
    Setting("request_per_caller_day", 30, "The most SMS in a day that one caller may cause; 0: no limit."),
    Setting("request_per_day", 1000, "The most SMS in a day that all callers together may cause; 0: no limit."),
    Setting("optout", True, "Write no more to who writes STOP, BAJA or the like, until he writes START or ALTA."),
    Setting("optout_keywords", "", "More words to opt out with, by commas."),
    Setting("optout_text", "", "What a mobile that opts out is answered, once a day at most; empty: nothing."),
    Setting("optin_text", "", "What a mobile that comes back is answered, once a day at most; empty: nothing."),
    Setting("otp_digits", 6, "Digits of a one-time code."),
    Setting("otp_seconds", 300.0, "Seconds for which a one-time code holds."),
    Setting("otp_tries", 3, "How often a one-time code may be tried."),
    Setting("ami_host", "", "Where Asterisk's manager interface listens; empty: the daemon does not connect to it."),
    Setting("ami_port", 5038, "The port of the manager interface."),
    Setting("ami_user", "ixxsms", "The user of the manager interface."),
    Setting("ami_secret", "", "The secret of that user."),
    Setting("incoming_context", "ixxsms-incoming", "The dialplan context that a call back on a keyword is put into."),
    Setting("sip_domain", "localhost", "What stands behind the @ of the number from which a SIP phone gets an SMS."),
    Setting("smtp_host", "", "The mail server for SMS whose SIP phone is away; empty: no mail is sent."),
    Setting("smtp_from", "ixxsms@localhost", "Whom such a mail comes from."),
    Setting(
        "cdr_sms",
        False,
        "Write a call record for each accepted message; the same for all daemons, of which the oldest writes them.",
    ),
    Setting("log_level", "info", "What the daemon logs: debug, info, warning or error."),
)

#: No number of a setting is higher: what INTEGER holds in every database, and as seconds a lifetime.
_MOST = 2_147_483_647

_TRUE = {"yes", "true", "on", "1"}
_FALSE = {"no", "false", "off", "0"}


@dataclass(frozen=True)
class Config:
    """The settings in force. `path` is the file they came from, None where there is none."""

    path: Path | None
    values: Mapping[str, Any]

    def __getattr__(self, name: str) -> Any:
        try:
            return self.values[name]
        except KeyError:
            raise AttributeError(name) from None

    def __repr__(self) -> str:
        return f"Config({self.path})"  # the values may hold passwords


def config_path(environ: Mapping[str, str] = os.environ) -> Path:
    """The configuration file: IXXSMS_CONFIG, else the system's, else the user's own where the system has none."""
    if environ.get("IXXSMS_CONFIG"):
        return Path(environ["IXXSMS_CONFIG"])
    if _exists(SYSTEM_FILE) or os.geteuid() == 0:
        return SYSTEM_FILE
    home = Path(environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME", "/")) / ".config")
    return home / "ixxsms" / "ixxsms.conf"


def load(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Config:
    """Read the settings. A missing file is no error where the environment names the database.

    Raises ConfigError: unreadable file, unknown setting, value of the wrong kind, no database named anywhere.
    """
    path = path or config_path(environ)
    written = _from_file(path) if _exists(path) else {}
    values = {}
    for setting in SETTINGS:
        raw = environ.get(ENVIRONMENT_PREFIX + setting.name.upper(), written.get(setting.name))
        values[setting.name] = setting.default if raw is None else _convert(setting, raw)
    if not values["database_url"]:
        raise ConfigError(f"No database is configured ({path} does not name one); run: ixxsms init")
    return Config(path if _exists(path) else None, values)


def _exists(path: Path) -> bool:
    """What this user may not even look at is there: to take it for missing would send him to `ixxsms init`."""
    try:
        path.stat()
    except OSError as error:
        return not isinstance(error, FileNotFoundError | NotADirectoryError)
    return True


def with_database(url: str, environ: Mapping[str, str] = os.environ) -> Config:
    """The settings in force where a program names the database itself and no file is read."""
    values = {s.name: s.default for s in SETTINGS}
    for setting in SETTINGS:
        raw = environ.get(ENVIRONMENT_PREFIX + setting.name.upper())
        if raw is not None:
            values[setting.name] = _convert(setting, raw)
    return Config(None, {**values, "database_url": url})


def create(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> tuple[Path, bool]:
    """Write a first configuration file, every setting with its help; one that exists is kept as it is.

    Returns its path and whether it was written now.
    """
    path = path or config_path(environ)
    if _exists(path):
        return path, False
    url = environ.get("IXXSMS_DATABASE_URL") or f"sqlite:///{_data_dir(environ) / 'ixxsms.db'}"
    try:
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(_template(url))
    except OSError as error:
        raise ConfigError(f"The configuration file {path} cannot be written: {error.strerror}.") from error
    return path, True


def _data_dir(environ: Mapping[str, str]) -> Path:
    if os.geteuid() == 0:
        return Path("/var/lib/ixxsms")
    home = Path(environ.get("XDG_DATA_HOME") or Path(environ.get("HOME", "/")) / ".local" / "share")
    return home / "ixxsms"


def _template(database_url: str) -> str:
    lines = ["# The settings of ixxsms. A line that begins with # shows a default.", f"[{SECTION}]", ""]
    for setting in SETTINGS:
        lines.append(f"# {setting.help}")
        if setting.name == "database_url":
            lines.append(f"database_url = {database_url}")
        else:
            lines.append(f"# {setting.name} = {_written(setting.default)}")
        lines.append("")
    return "\n".join(lines)


def _written(value: Any) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _from_file(path: Path) -> dict[str, str]:
    parser = configparser.ConfigParser(interpolation=None)  # a password may hold a %
    try:
        with path.open(encoding="utf-8") as file:
            parser.read_file(file)
    except OSError as error:
        raise ConfigError(f"The configuration file {path} cannot be read: {error.strerror}.") from error
    except (configparser.Error, UnicodeDecodeError) as error:
        line = getattr(error, "lineno", None)
        where = f" (line {line})" if line else ""
        raise ConfigError(f"The configuration file {path} is not in the form 'name = value'{where}.") from error
    values = dict(parser[SECTION]) if parser.has_section(SECTION) else {}
    for name in values:
        if name not in {setting.name for setting in SETTINGS}:
            raise ConfigError(f"The configuration file {path} has an unknown setting, {name}.")
    return values


def _convert(setting: Setting, raw: str) -> Any:
    raw = raw.strip()
    kind = type(setting.default)
    if kind is bool:
        if raw.lower() not in _TRUE | _FALSE:
            raise ConfigError(f"The setting {setting.name} must be yes or no.")
        return raw.lower() in _TRUE
    if kind is str:
        return raw
    most = 65535 if setting.name.endswith("_port") else _MOST
    try:
        value = kind(raw)
    except ValueError:
        value = -1
    if not 0 <= value <= most:  # "nan" is neither
        raise ConfigError(f"The setting {setting.name} must be a number from 0 to {most}.")
    return value
