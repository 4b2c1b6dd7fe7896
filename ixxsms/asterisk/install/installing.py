"""What is installed on a PBX, one step after the other."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass, field
from pathlib import Path

from ixxsms.asterisk import credentials
from ixxsms.asterisk.install import layout as layouts
from ixxsms.asterisk.install import lines, manager, settings, shipped
from ixxsms.asterisk.install.changes import CREATED, KEPT, UPDATED, Action, Changes
from ixxsms.asterisk.install.layout import Flavour, Layout
from ixxsms.asterisk.install.lines import Line
from ixxsms.asterisk.install.root import OF_ROOT, Owner, Root
from ixxsms.errors import Error

DAEMON = "asterisk"
OF_ASTERISK = Owner(DAEMON, DAEMON)
#: The daemon may read it and cannot change it.
SHARED = Owner("root", DAEMON)

CONFIG = "/etc/ixxsms/ixxsms.conf"
STATE = "/var/lib/ixxsms"
LOG = "/var/log/ixxsms"
INIT_SCRIPT = "/etc/init.d/ixxmassivesms"
DIALPLAN = "extensions_ixxsms.conf"
UNIT_FOLDERS = ("/lib/systemd/system", "/usr/lib/systemd/system")
UNITS = ("ixxmassivesms.service", "ixxmassivesms@.service")
#: Logrotate reads whatever lies in its folder, but for some endings; this is one of them.
_UNREAD = ".new.disabled"


@dataclass
class Report:
    """What was done, what to look at, and what has to be told to whom for it to take effect."""

    flavour: Flavour
    actions: list[Action]
    warnings: list[str] = field(default_factory=list)
    reload: list[str] = field(default_factory=list)
    failed: bool = False  # something could not be done, and its action says why


def check_rights(root: Root, dry_run: bool) -> None:
    if root.is_this_machine and not dry_run and os.geteuid() != 0:
        raise Error("This needs root's rights; with --dry-run it only tells what it would do.")


def install(top: Path, template: str, flavour: Flavour | None = None, *, dry_run: bool = False) -> Report:
    """Install on the system in the folder `top`. `template` is a first configuration file.

    What is there and the same stays; what an administrator has changed stays. Raises Error: no rights, no Asterisk.
    """
    root = Root(top)
    check_rights(root, dry_run)
    layout = layouts.read(root, flavour)
    root.stand_in(layout.runs_as, layout.etc)
    source = shipped.folder()
    changes = Changes(root, dry_run)
    report = Report(layout.flavour, changes.actions)
    try:
        _folders(changes)
        dialplan = _dialplan(changes, layout, source)
        users = _manager(changes, layout, template, report)
        units = _service(changes, source)
        if layout.flavour is Flavour.FREEPBX:
            _chown_list(changes, layout)
    finally:
        changes.save()
    _look_at_programs(root, report)
    _say_what_to_reload(report, layout, dialplan, users, units)
    _say_how_to_start(report, root)
    return report


def _folders(changes: Changes) -> None:
    changes.folder(STATE, 0o750, OF_ASTERISK)  # first: the list of what is done lies there
    changes.folder("/etc/ixxsms", 0o750, SHARED)
    changes.folder(f"{STATE}/scripts", 0o755, OF_ROOT)
    changes.folder(LOG, 0o750, OF_ASTERISK)
    for ending in ("", "-wal", "-shm", "-turn"):
        changes.give(f"{STATE}/ixxsms.db{ending}", 0o640, OF_ASTERISK)
    sample = Path(credentials.__file__).parent.parent / "data" / "scripts" / "sample"
    changes.file(f"{STATE}/scripts/sample", sample.read_bytes(), 0o755, OF_ROOT)


def _dialplan(changes: Changes, layout: Layout, source: Path) -> bool:
    """Returns whether Asterisk has to read its dialplan again."""
    interpreter = shipped.python(changes.root)
    for script in sorted((source / "agi").glob("ixxsms-*.agi")):
        data = shipped.with_python(script.read_bytes(), interpreter)
        changes.file(f"{layout.agi}/{script.name}", data, 0o755, OF_ASTERISK)
    dialplan = (source / "dialplan" / DIALPLAN).read_bytes()
    done = [
        changes.file(f"{layout.etc}/{DIALPLAN}", dialplan, 0o644, OF_ASTERISK),
        changes.lines(layout.dialplan, [lines.include(layout.etc, DIALPLAN)], OF_ASTERISK),
    ]
    return CREATED in done or UPDATED in done


def _manager(changes: Changes, layout: Layout, template: str, report: Report) -> bool:
    """Manager user and configuration, which share the secret. Returns whether Asterisk has to read its users again."""
    place = manager.place(changes.root, layout)
    found = manager.find(changes.root, layout, place)
    text = changes.root.read(CONFIG) or template
    secret = found.secret or settings.value(text, "ami_secret") or manager.new_secret()
    _configuration(changes, text, {"ami_host": "127.0.0.1", "ami_secret": secret, **_port(found.port)}, report)
    if settings.value(text, "ami_secret") not in (None, secret):
        report.warnings.append(f"ami_secret in {CONFIG} is not the secret of the manager user {manager.USER}.")
    if not found.enabled:
        report.warnings.append(f"The manager interface is off: {layout.etc}/manager.conf needs enabled = yes.")
    if found.elsewhere:
        changes.note(KEPT, found.elsewhere, f"it has a manager user {manager.USER} already")
        return False
    if place.is_block:
        done = [changes.block(place.path, manager.section(secret), OF_ASTERISK)]
    else:
        done = [changes.file(place.path, manager.section(secret).encode(), 0o640, OF_ASTERISK)]
    if place.included_by:
        line = lines.include(layout.etc, Path(place.path).name)
        done.append(changes.lines(place.included_by, [line], OF_ASTERISK))
    return CREATED in done or UPDATED in done


def _port(port: str) -> dict[str, str]:
    return {} if port == manager.PORT else {"ami_port": port}


def _configuration(changes: Changes, text: str, values: dict[str, str], report: Report) -> None:
    database = credentials.find(changes.root.read)
    if database is not None:
        values["cdr_url"] = database.url
        if database.table != "cdr":
            values["cdr_table"] = database.table
        here = f"Or a database of its own on this PBX's server: database_url = {database.shown('ixxsms')}"
        text = settings.hint(text, "database_url", here)
        if database.engine == "mysql" and importlib.util.find_spec("MySQLdb") is None:
            report.warnings.append("To read the call records, install: pip install ixxsms[mysql]")
    changes.text(CONFIG, settings.fill(text, values), SHARED, 0o640)


def _service(changes: Changes, source: Path) -> bool:
    """Init script and units, defaults and log rotation. Returns whether systemd has to read its units again."""
    root, folder = changes.root, source / "initscripts"
    program = shipped.program(root, "ixxmassivesms")

    def text(name: str) -> bytes:
        return shipped.with_program((folder / name).read_text(encoding="utf-8"), program).encode()

    defaults = "/etc/sysconfig" if root.is_folder("/etc/sysconfig") else "/etc/default"
    changes.file(f"{defaults}/ixxmassivesms", text("ixxmassivesms.default"), 0o644, OF_ROOT)
    logrotate = (folder / "ixxsms.logrotate").read_bytes()
    changes.file("/etc/logrotate.d/ixxsms", logrotate, 0o644, OF_ROOT, beside=_UNREAD)
    systemd = next((path for path in UNIT_FOLDERS if root.is_folder(path)), "")
    if root.is_folder("/etc/init.d") or not systemd:
        changes.file(INIT_SCRIPT, (folder / "ixxmassivesms").read_bytes(), 0o755, OF_ROOT)
    done = [changes.file(f"{systemd}/{unit}", text(unit), 0o644, OF_ROOT) for unit in UNITS if systemd]
    return CREATED in done or UPDATED in done


def _chown_list(changes: Changes, layout: Layout) -> None:
    """`fwconsole chown` takes the x from every script that is not in this list."""
    scripts = [action.path for action in changes.actions if action.path.startswith(f"{layout.agi}/")]
    wanted = [
        Line(f"file = {path},0755,{DAEMON},{DAEMON}", rf"file\s*=>?\s*{path.replace('.', '[.]')}\s*,.*", "custom")
        for path in reversed(scripts)
    ]
    changes.lines(f"{layout.etc}/freepbx_chown.conf", wanted, OF_ASTERISK)


def _look_at_programs(root: Root, report: Report) -> None:
    if not root.has_user(DAEMON):
        report.warnings.append(
            f"There is no user {DAEMON}, as whom the daemon runs: make one, or name another in the defaults file."
        )
    elif not root.has_group(DAEMON):
        report.warnings.append(f"There is no group {DAEMON}, which may read what the daemon writes: make one.")
    for path in (shipped.python(root), str(root.at(shipped.python(root)))):
        if path.startswith(("/root/", "/home/")):
            report.warnings.append(f"{DAEMON} cannot run programs in {path}: install ixxsms in /opt/ixxsms, for one.")
            return


def _say_what_to_reload(report: Report, layout: Layout, dialplan: bool, users: bool, units: bool) -> None:
    if dialplan:
        freepbx = layout.flavour is Flavour.FREEPBX
        report.reload.append("fwconsole reload" if freepbx else "asterisk -rx 'dialplan reload'")
    if users:
        report.reload.append("asterisk -rx 'manager reload'")
    if units:
        report.reload.append("systemctl daemon-reload")


def _say_how_to_start(report: Report, root: Root) -> None:
    created = {action.path for action in report.actions if action.what == CREATED}
    if CONFIG in created:
        report.reload.append(f"runuser -u {DAEMON} -- {shipped.program(root, 'ixxsms')} init")
    if any(path.endswith(UNITS[0]) for path in created):
        report.reload.append("systemctl enable ixxmassivesms")
    elif INIT_SCRIPT in created:
        redhat = root.exists("/sbin/chkconfig")
        report.reload.append("chkconfig --add ixxmassivesms" if redhat else "update-rc.d ixxmassivesms defaults")
    if any(action.what in (CREATED, UPDATED) for action in report.actions):
        report.reload.append(f"service ixxmassivesms {'start' if CONFIG in created else 'restart'}")
