"""`ixxsms asterisk install` on roots of each kind of PBX, as a process: twice, after changes, and away again."""

from __future__ import annotations

import configparser
import hashlib
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from ixxsms.asterisk.install.root import Root, set_owner
from ixxsms.asterisk.install.shipped import with_python
from ixxsms.errors import Error

ROOT = Path(__file__).parent.parent.parent
#: `ixxsms`, killed as soon as it has put so many files in place.
KILLED = """
import os, signal, sys
from ixxsms.cli import main
left, replace = int(sys.argv.pop(1)), os.replace
def replace_and_die(*names):
    global left
    replace(*names)
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
os.replace = replace_and_die
main()
"""
IS_ROOT = os.geteuid() == 0
ASTERISK = (104, 110)

PASSWD = "root:x:0:0:root:/root:/bin/sh\nasterisk:x:104:110::/var/lib/asterisk:/usr/sbin/nologin\n"
GROUP = "root:x:0:\nasterisk:x:110:www-data\n"
DEBIAN = "[directories](!)\nastetcdir => /etc/asterisk\nastagidir => /usr/share/asterisk/agi-bin\n"
FREEPBX = "<?php\n$amp_conf['AMPDBUSER'] = 'freepbxuser';\n$amp_conf['AMPDBPASS'] = 'Geheim%1';\n?>\n"
AMPORTAL = "AMPDBUSER=asteriskuser\nAMPDBPASS=Geheim%1\nAMPDBHOST=localhost\n"

DEBIAN_FILES = {
    "/etc/asterisk/asterisk.conf": DEBIAN,
    "/etc/asterisk/extensions.conf": "[general]\nstatic=yes\n\n[default]\nexten => 1,1,NoOp()",
    "/etc/asterisk/manager.conf": '[general]\nenabled = yes\nport = 5038\n\n#include "manager.d/*.conf"\n',
    "/usr/share/asterisk/agi-bin/.keep": "",
    "/etc/init.d/asterisk": "#!/bin/sh\n",
    "/lib/systemd/system/asterisk.service": "[Unit]\n",
}
UNITS = "/lib/systemd/system"
DIALPLAN = "/etc/asterisk/extensions_ixxsms.conf"
_CUSTOM = {
    "/etc/asterisk/asterisk.conf": "[directories]\nastetcdir=/etc/asterisk\nastagidir=/var/lib/asterisk/agi-bin ; x\n",
    "/etc/asterisk/extensions.conf": "#include extensions_custom.conf\n",
    "/etc/asterisk/extensions_custom.conf": "[from-internal-custom]\nexten => 1234,1,NoOp(Ñandú)\n",
    "/etc/asterisk/manager.conf": "[general]\nenabled = yes\n[admin]\nsecret = x\n#include manager_custom.conf\n",
    "/etc/asterisk/manager_custom.conf": "",
    "/etc/init.d/functions": "",
}
FILES = {
    "plain": DEBIAN_FILES,
    "freepbx": {**_CUSTOM, "/etc/freepbx.conf": FREEPBX},
    "issabel": {
        **_CUSTOM,
        "/etc/amportal.conf": AMPORTAL,
        "/etc/issabel.conf": "mysqlrootpwd=x\n",
        "/etc/sysconfig/x": "",
    },
}


@pytest.fixture(scope="session")
def shipped(tmp_path_factory):
    """A checkout that tests may change."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("ixxsms", "agi", "dialplan", "initscripts"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture
def checkout(shipped, tmp_path):
    return shutil.copytree(shipped, tmp_path / "checkout")


class Pbx:
    """A system in a folder."""

    def __init__(self, folder: Path, checkout: Path, kind: str = "plain") -> None:
        self.root, self.checkout = folder / "root", checkout
        self.write("/etc/passwd", PASSWD)
        self.write("/etc/group", GROUP)
        for path, text in FILES[kind].items():
            self.write(path, text)

    def at(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def write(self, path: str, text: str) -> None:
        self.at(path).parent.mkdir(parents=True, exist_ok=True)
        self.at(path).write_text(text)

    def read(self, path: str) -> str:
        return self.at(path).read_text()

    def run(
        self, *arguments: str, code: int = 0, largest_file: int | None = None, killed_after: int | None = None
    ) -> subprocess.CompletedProcess[str]:
        program = ["-m", "ixxsms"] if killed_after is None else ["-c", KILLED, str(killed_after)]
        command = [sys.executable, *program, "asterisk", *arguments, "--root", str(self.root)]
        if largest_file is not None:
            command = ["/usr/bin/prlimit", f"--fsize={largest_file}", *command]
        environ = {"PATH": "/usr/bin:/bin", "HOME": str(self.root), "PYTHONPATH": str(self.checkout)}
        done = subprocess.run(command, env=environ, cwd=self.checkout, capture_output=True, text=True, timeout=60)
        assert done.returncode == code, done.stdout + done.stderr
        return done

    def install(self, *arguments: str) -> dict:
        return json.loads(self.run("install", "--json", *arguments).stdout)

    def uninstall(self, *arguments: str) -> dict:
        return json.loads(self.run("uninstall", "--json", *arguments).stdout)

    def tree(self) -> dict[str, tuple]:
        """Everything about every file, but for times of reading."""
        found = {}
        for path in sorted(self.root.rglob("*")):
            about = path.lstat()
            content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
            found[str(path.relative_to(self.root))] = (
                about.st_mode, about.st_uid, about.st_gid, about.st_mtime_ns if path.is_file() else 0, content,
            )  # fmt: skip
        return found

    def setting(self, name: str) -> str | None:
        parser = configparser.ConfigParser(interpolation=None)
        parser.read(self.at("/etc/ixxsms/ixxsms.conf"))
        return parser["ixxsms"].get(name)

    def secret(self, path: str) -> str:
        return re.search(r"^\[ixxsms\]\nsecret = (.*)$", self.read(path), re.M)[1]


@pytest.fixture
def pbx(tmp_path, shipped):
    return Pbx(tmp_path, shipped)


@pytest.fixture
def freepbx(tmp_path, shipped):
    return Pbx(tmp_path, shipped, "freepbx")


def whats(report: dict) -> dict[str, str]:
    return {action["path"]: action["action"] for action in report["actions"]}


def notes(report: dict) -> dict[str, str]:
    return {action["path"]: action["note"] for action in report["actions"] if action["note"]}


USER = """[ixxsms]
secret = {}
deny = 0.0.0.0/0.0.0.0
permit = 127.0.0.1/255.255.255.255
read = system,call,user,cdr,agent
write = user,originate,message
eventfilter = Event: UserEvent
eventfilter = Event: Cdr
eventfilter = Event: Hangup
eventfilter = Event: DialEnd
eventfilter = Event: QueueCallerAbandon
eventfilter = Event: MessageWaiting
eventfilter = Event: OriginateResponse
eventfilter = Event: FullyBooted
writetimeout = 1000
"""


# -- each kind of PBX -------------------------------------------------------------------------------------------------


def test_on_a_debian_everything_goes_where_asterisk_and_the_system_look_for_it(pbx, shipped):
    report = pbx.install()
    assert report["flavour"] == "plain" and report["warnings"] == []
    for script in sorted((shipped / "agi").glob("ixxsms-*.agi")):
        installed = pbx.at(f"/usr/share/asterisk/agi-bin/{script.name}").read_bytes()
        assert installed == with_python(script.read_bytes(), sys.executable)
    dialplan = "extensions_ixxsms.conf"
    assert pbx.read(f"/etc/asterisk/{dialplan}") == (shipped / "dialplan" / dialplan).read_text()
    before = DEBIAN_FILES["/etc/asterisk/extensions.conf"]
    assert pbx.read("/etc/asterisk/extensions.conf") == f"{before}\n#include {dialplan}\n"

    secret = pbx.secret("/etc/asterisk/manager.d/ixxsms.conf")
    assert len(secret) > 40
    assert pbx.read("/etc/asterisk/manager.d/ixxsms.conf") == USER.format(secret)
    assert pbx.read("/etc/asterisk/manager.conf") == DEBIAN_FILES["/etc/asterisk/manager.conf"]
    assert (pbx.setting("ami_secret"), pbx.setting("ami_host")) == (secret, "127.0.0.1")
    assert pbx.setting("database_url") == "sqlite:////var/lib/ixxsms/ixxsms.db"

    program = Path(sysconfig.get_path("scripts")) / "ixxmassivesms"
    assert f"\nDAEMON={program}\n" in pbx.read("/etc/default/ixxmassivesms")
    for unit in ("ixxmassivesms.service", "ixxmassivesms@.service"):
        assert f"\nExecStart={program}\n" in pbx.read(f"/lib/systemd/system/{unit}")
    assert pbx.at("/etc/init.d/ixxmassivesms").read_bytes() == (ROOT / "initscripts/ixxmassivesms").read_bytes()
    assert pbx.at("/etc/logrotate.d/ixxsms").exists()
    assert pbx.at("/var/lib/ixxsms/scripts/sample").exists()


MODES = {
    "/usr/share/asterisk/agi-bin/ixxsms-send.agi": (0o755, ASTERISK),
    "/etc/asterisk/extensions_ixxsms.conf": (0o644, ASTERISK),
    "/etc/asterisk/manager.d/ixxsms.conf": (0o640, ASTERISK),
    "/etc/ixxsms": (0o750, (0, 110)),
    "/etc/ixxsms/ixxsms.conf": (0o640, (0, 110)),
    "/var/lib/ixxsms": (0o750, ASTERISK),
    "/var/lib/ixxsms/installed.json": (0o644, (0, 0)),
    "/var/lib/ixxsms/scripts": (0o755, (0, 0)),
    "/var/lib/ixxsms/scripts/sample": (0o755, (0, 0)),
    "/var/log/ixxsms": (0o750, ASTERISK),
    "/etc/init.d/ixxmassivesms": (0o755, (0, 0)),
    "/etc/default/ixxmassivesms": (0o644, (0, 0)),
    "/lib/systemd/system/ixxmassivesms.service": (0o644, (0, 0)),
    "/etc/asterisk/extensions.conf": (0o664, (7, 8)),
}


def test_every_file_has_its_mode_and_its_owner(pbx):
    extensions = pbx.at("/etc/asterisk/extensions.conf")
    extensions.chmod(0o664)
    if IS_ROOT:
        os.chown(extensions, 7, 8)
    pbx.install()
    for path, (mode, owner) in MODES.items():
        about = pbx.at(path).stat()
        assert stat.S_IMODE(about.st_mode) == mode, path
        assert (about.st_uid, about.st_gid) == (owner if IS_ROOT else (os.getuid(), os.getgid())), path


@pytest.mark.parametrize("kind", ["freepbx", "issabel"])
def test_on_freepbx_and_issabel_the_custom_files_get_our_part(tmp_path, shipped, kind):
    pbx = Pbx(tmp_path, shipped, kind)
    report = pbx.install()
    assert report["flavour"] == kind
    assert pbx.at("/var/lib/asterisk/agi-bin/ixxsms-send.agi").exists()
    before = FILES[kind]["/etc/asterisk/extensions_custom.conf"]
    assert pbx.read("/etc/asterisk/extensions_custom.conf") == f"{before}#include extensions_ixxsms.conf\n"
    for file in ("extensions.conf", "manager.conf"):
        assert pbx.read(f"/etc/asterisk/{file}") == FILES[kind][f"/etc/asterisk/{file}"]
    secret = pbx.secret("/etc/asterisk/manager_custom.conf")
    assert USER.format(secret) in pbx.read("/etc/asterisk/manager_custom.conf")
    assert pbx.setting("ami_secret") == secret
    user = "freepbxuser" if kind == "freepbx" else "asteriskuser"
    assert pbx.setting("cdr_url") == f"mysql://{user}:Geheim%251@localhost/asteriskcdrdb"
    defaults = "/etc/default" if kind == "freepbx" else "/etc/sysconfig"
    assert pbx.at(f"{defaults}/ixxmassivesms").exists()
    assert not pbx.at("/lib/systemd").exists()
    dialplan = "fwconsole reload" if kind == "freepbx" else "asterisk -rx 'dialplan reload'"
    assert report["reload"][:2] == [dialplan, "asterisk -rx 'manager reload'"]


def test_freepbx_is_told_not_to_take_the_x_from_our_scripts(freepbx):
    freepbx.write("/etc/asterisk/freepbx_chown.conf", "[blacklist]\nitem = /a\n\n[custom]\nfile = /b,0644,root,root\n")
    freepbx.install()
    lines = freepbx.read("/etc/asterisk/freepbx_chown.conf").splitlines()
    custom = lines[lines.index("[custom]") :]
    for script in ("inbox", "list", "send"):
        assert f"file = /var/lib/asterisk/agi-bin/ixxsms-{script}.agi,0755,asterisk,asterisk" in custom
    assert custom[-1] == "file = /b,0644,root,root"
    freepbx.uninstall()
    assert freepbx.read("/etc/asterisk/freepbx_chown.conf").splitlines() == [
        *("[blacklist]", "item = /a", "", "[custom]", "file = /b,0644,root,root")
    ]


def test_a_flag_goes_before_what_is_found(freepbx):
    assert freepbx.install("--plain", "--dry-run")["flavour"] == "plain"
    assert freepbx.install("--issabel", "--dry-run")["flavour"] == "issabel"
    done = freepbx.run("install", "--plain", "--freepbx", code=2)
    assert "only one" in done.stderr


def test_a_manager_conf_that_includes_no_folder_gets_one_line(pbx):
    pbx.write("/etc/asterisk/manager.conf", "[general]\nenabled = no\nport = 6038\n")
    report = pbx.install()
    assert pbx.read("/etc/asterisk/manager.conf").endswith("port = 6038\n#include manager_ixxsms.conf\n")
    assert pbx.setting("ami_secret") == pbx.secret("/etc/asterisk/manager_ixxsms.conf")
    assert pbx.setting("ami_port") == "6038"
    assert any("needs enabled = yes" in warning for warning in report["warnings"])


@pytest.mark.parametrize("included", ["/opt/pbx/manager.d/*.conf", "../../opt/pbx/manager.d/*.conf"])
def test_the_manager_user_goes_into_the_folder_that_is_included(pbx, included):
    pbx.write("/etc/asterisk/manager.conf", f"[general]\nenabled = yes\n#include {included}\n")
    pbx.install()
    assert pbx.setting("ami_secret") == pbx.secret("/opt/pbx/manager.d/ixxsms.conf")
    assert set(whats(pbx.install()).values()) == {"unchanged"}
    pbx.uninstall()
    assert not pbx.at("/opt").exists()


def test_a_file_that_an_editor_gave_windows_line_ends_still_has_our_block(freepbx):
    freepbx.write("/etc/asterisk/manager_custom.conf", "[other]\nsecret = x\n")
    freepbx.install()
    custom = freepbx.at("/etc/asterisk/manager_custom.conf")
    custom.write_bytes(custom.read_bytes().replace(b"\n", b"\r\n"))
    before = custom.read_bytes()
    assert whats(freepbx.install())["/etc/asterisk/manager_custom.conf"] == "unchanged"
    assert custom.read_bytes() == before
    freepbx.uninstall()
    assert custom.read_bytes() == b"[other]\r\nsecret = x\r\n"


@pytest.mark.parametrize(
    ("text", "folders", "expected"),
    [
        ("[directories]\nastagidir => /opt/agi\n", (), "/opt/agi"),
        ("[directories]\n;astagidir => /no\n;-- astagidir => /no\n--;\nastagidir = /opt/agi/ ; why\n", (), "/opt/agi"),
        ("[directories]\n#include more.conf\n", (), "/opt/included"),
        ("[directories](!)\nastagidir => /opt/told\n", ("/opt/told", "/var/lib/asterisk/agi-bin"), "/opt/told"),
        ("[directories](!)\nastagidir => /opt/told\n", ("/var/lib/asterisk/agi-bin",), "/var/lib/asterisk/agi-bin"),
        ("", ("/usr/share/asterisk/agi-bin",), "/usr/share/asterisk/agi-bin"),
        ("", (), "/var/lib/asterisk/agi-bin"),
    ],
)
def test_the_scripts_go_where_asterisk_looks_for_them(pbx, text, folders, expected):
    shutil.rmtree(pbx.at("/usr/share/asterisk"))
    pbx.write("/etc/asterisk/asterisk.conf", text)
    pbx.write("/etc/asterisk/more.conf", "astagidir => /opt/included\n")
    for folder in folders:
        pbx.at(folder).mkdir(parents=True)
    pbx.install()
    assert pbx.at(f"{expected}/ixxsms-send.agi").exists()


def test_the_configuration_folder_is_the_one_that_asterisk_names(pbx):
    shutil.copytree(pbx.at("/etc/asterisk"), pbx.at("/opt/pbx"))
    pbx.write("/etc/asterisk/asterisk.conf", "[directories]\nastetcdir => /opt/pbx\n")
    pbx.install()
    assert pbx.at("/opt/pbx/extensions_ixxsms.conf").exists()
    assert not pbx.at("/etc/asterisk/extensions_ixxsms.conf").exists()


# -- again, and after changes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(FILES))
def test_a_second_run_finds_everything_unchanged_and_changes_nothing(tmp_path, shipped, kind):
    pbx = Pbx(tmp_path, shipped, kind)
    first = pbx.install()
    before = pbx.tree()
    second = pbx.install()
    assert set(whats(second)) == set(whats(first))
    assert set(whats(second).values()) == {"unchanged"}
    assert second["reload"] == []
    assert pbx.tree() == before
    shown = pbx.run("install").stdout.splitlines()
    assert [line for line in shown if not line.startswith(("unchanged ", "Attention: "))] == []


@pytest.mark.parametrize("kind", sorted(FILES))
def test_a_dry_run_tells_the_same_and_changes_nothing(tmp_path, shipped, kind):
    pbx = Pbx(tmp_path, shipped, kind)
    before = pbx.tree()
    told = pbx.install("--dry-run")
    assert pbx.tree() == before
    done = pbx.install()
    assert told == {**done, "dry_run": True}
    assert pbx.run("install", "--dry-run").stdout.startswith("This would be done; nothing is changed.\n")
    before = pbx.tree()
    told = pbx.uninstall("--dry-run")
    assert pbx.tree() == before
    assert told == {**pbx.uninstall(), "dry_run": True}


def test_a_file_that_was_changed_is_kept_and_the_new_one_put_beside_it(pbx):
    pbx.install()
    changed = "/usr/share/asterisk/agi-bin/ixxsms-send.agi"
    ours = pbx.read(changed)
    pbx.write(changed, "#!/bin/sh\n# mine\n")
    pbx.write("/etc/logrotate.d/ixxsms", "# mine\n")
    report = pbx.install()
    assert pbx.read(changed) == "#!/bin/sh\n# mine\n"
    assert pbx.read(f"{changed}.new") == ours
    assert whats(report)[changed] == "kept"
    assert f"the new one is {changed}.new" in notes(report)[changed]
    assert f"kept       {changed} (it was changed here; the new one is {changed}.new)\n" in pbx.run("install").stdout
    # Logrotate would read a second file of the same logs, and stop at that.
    assert pbx.at("/etc/logrotate.d/ixxsms.new.disabled").exists()
    before = pbx.tree()
    pbx.install()
    assert pbx.tree() == before
    pbx.at(f"{changed}.new").replace(pbx.at(changed))
    assert whats(pbx.install())[changed] == "unchanged"


def test_a_file_of_that_name_that_was_there_before_is_kept(pbx):
    pbx.write("/etc/asterisk/extensions_ixxsms.conf", "; mine\n")
    assert whats(pbx.install())["/etc/asterisk/extensions_ixxsms.conf"] == "kept"
    assert pbx.read("/etc/asterisk/extensions_ixxsms.conf") == "; mine\n"
    pbx.uninstall()
    assert pbx.read("/etc/asterisk/extensions_ixxsms.conf") == "; mine\n"


def test_a_newer_version_replaces_what_nobody_has_changed(tmp_path, checkout):
    pbx = Pbx(tmp_path, checkout)
    pbx.install()
    for name in ("agi/ixxsms-send.agi", "dialplan/extensions_ixxsms.conf", "initscripts/ixxmassivesms.service"):
        with (checkout / name).open("a") as file:
            file.write("# newer\n")
    report = pbx.install()
    updated = {path for path, what in whats(report).items() if what == "updated"}
    assert updated == {
        "/usr/share/asterisk/agi-bin/ixxsms-send.agi",
        "/etc/asterisk/extensions_ixxsms.conf",
        "/lib/systemd/system/ixxmassivesms.service",
    }
    assert pbx.read("/usr/share/asterisk/agi-bin/ixxsms-send.agi").endswith("# newer\n")
    commands = ["asterisk -rx 'dialplan reload'", "systemctl daemon-reload", "service ixxmassivesms restart"]
    assert report["reload"] == commands


def test_a_lost_mode_is_set_again(pbx):
    pbx.install()
    script = pbx.at("/usr/share/asterisk/agi-bin/ixxsms-send.agi")
    script.chmod(0o644)  # as `fwconsole chown` does
    report = pbx.install()
    assert notes(report) == {"/usr/share/asterisk/agi-bin/ixxsms-send.agi": "mode and owner"}
    assert os.access(script, os.X_OK)


def test_what_root_has_made_by_init_is_given_to_the_daemon(pbx):
    database = "/var/lib/ixxsms/ixxsms.db"
    endings = ("", "-wal", "-shm", "-turn")
    for ending in endings:
        pbx.write(f"{database}{ending}", "")
    pbx.write("/etc/ixxsms/ixxsms.conf", "[ixxsms]\ndatabase_url = sqlite:////elsewhere\n")
    pbx.at("/etc/ixxsms").chmod(0o700)
    pbx.install()
    assert pbx.setting("database_url") == "sqlite:////elsewhere"
    assert len(pbx.setting("ami_secret")) > 40
    if IS_ROOT:
        daemons = [(f"{database}{ending}", ASTERISK) for ending in endings]
        for path, owner in (*daemons, ("/etc/ixxsms", (0, 110)), ("/etc/ixxsms/ixxsms.conf", (0, 110))):
            assert (pbx.at(path).stat().st_uid, pbx.at(path).stat().st_gid) == owner, path
        assert stat.S_IMODE(pbx.at("/etc/ixxsms").stat().st_mode) == 0o750
    assert set(whats(pbx.install()).values()) == {"unchanged"}


@pytest.mark.parametrize(
    "line",
    [
        '  #include "extensions_ixxsms.conf" ; ours',
        "#include </etc/asterisk/extensions_ixxsms.conf>",
        "#tryinclude extensions_ixxsms.conf",
    ],
)
def test_a_line_that_is_there_in_another_form_is_not_added_again(pbx, line):
    text = f"[default]\n{line}\n[other]\n"
    pbx.write("/etc/asterisk/extensions.conf", text)
    assert whats(pbx.install())["/etc/asterisk/extensions.conf"] == "unchanged"
    told, report = pbx.uninstall("--dry-run"), pbx.uninstall()
    assert pbx.read("/etc/asterisk/extensions.conf") == text, "what was there before is not ours to take away"
    # Without the file Asterisk would load no dialplan at all.
    assert pbx.at(DIALPLAN).exists() and whats(report)[DIALPLAN] == "kept"
    include = line.strip().partition(" ;")[0]
    assert notes(report)[DIALPLAN] == notes(told)[DIALPLAN] == f"/etc/asterisk/extensions.conf still has {include}"
    pbx.write("/etc/asterisk/extensions.conf", "[default]\n")
    assert whats(pbx.uninstall())[DIALPLAN] == "removed"


def test_a_line_that_was_commented_out_stays_so_and_one_that_was_lost_comes_back(pbx):
    pbx.install()
    before = DEBIAN_FILES["/etc/asterisk/extensions.conf"]
    pbx.write("/etc/asterisk/extensions.conf", f"{before}\n; #include extensions_ixxsms.conf\n")
    report = pbx.install()
    assert whats(report)["/etc/asterisk/extensions.conf"] == "kept"
    assert "commented out" in notes(report)["/etc/asterisk/extensions.conf"]
    pbx.write("/etc/asterisk/extensions.conf", before)
    pbx.install()
    assert pbx.read("/etc/asterisk/extensions.conf").count("#include extensions_ixxsms.conf") == 1


def test_a_line_between_the_marks_of_a_comment_is_commented_out_too(pbx):
    text = "[default]\n;-- not now\n#include extensions_ixxsms.conf\n--;\n"
    pbx.write("/etc/asterisk/extensions.conf", text)
    assert "commented out" in notes(pbx.install())["/etc/asterisk/extensions.conf"]
    assert pbx.read("/etc/asterisk/extensions.conf") == text


def test_other_peoples_files_keep_every_byte(pbx):
    original = b"[default]\r\nexten => 1,1,NoOp(\xf1and\xfa)\r\n;-- open"
    pbx.at("/etc/asterisk/extensions.conf").write_bytes(original)
    pbx.install()
    assert pbx.at("/etc/asterisk/extensions.conf").read_bytes().startswith(original)
    pbx.uninstall()
    assert pbx.at("/etc/asterisk/extensions.conf").read_bytes().rstrip(b"\n") == original


# -- secrets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "file"), [("plain", "manager.d/ixxsms.conf"), ("freepbx", "manager_custom.conf")])
def test_the_secret_is_kept_by_every_further_run(tmp_path, checkout, kind, file):
    pbx = Pbx(tmp_path, checkout, kind)
    path = f"/etc/asterisk/{file}"
    pbx.install()
    first = pbx.secret(path)
    pbx.install()
    assert pbx.secret(path) == first
    pbx.write(path, pbx.read(path).replace(first, "of-the-administrator"))
    report = pbx.install()
    assert pbx.secret(path) == "of-the-administrator"
    assert any("is not the secret of the manager user" in warning for warning in report["warnings"])
    pbx.uninstall()
    assert not pbx.at(path).exists() or "of-the-administrator" not in pbx.read(path)


def test_an_installation_after_an_uninstallation_has_the_secret_of_the_configuration(freepbx):
    freepbx.install()
    secret = freepbx.setting("ami_secret")
    freepbx.uninstall()
    assert secret not in freepbx.read("/etc/asterisk/manager_custom.conf")
    freepbx.install()
    assert freepbx.secret("/etc/asterisk/manager_custom.conf") == secret == freepbx.setting("ami_secret")


def test_a_manager_user_of_that_name_that_was_there_before_is_kept(freepbx):
    freepbx.write("/etc/asterisk/manager_custom.conf", "[ixxsms]\nsecret = its\\;own ; comment\nread = all\n")
    report = freepbx.install()
    assert whats(report)["/etc/asterisk/manager_custom.conf"] == "kept"
    assert freepbx.read("/etc/asterisk/manager_custom.conf").count("[ixxsms]") == 1
    assert freepbx.setting("ami_secret") == "its;own"
    freepbx.uninstall()
    assert "[ixxsms]" in freepbx.read("/etc/asterisk/manager_custom.conf")


def test_rights_that_an_administrator_gave_the_manager_user_are_kept(freepbx):
    freepbx.install()
    text = freepbx.read("/etc/asterisk/manager_custom.conf").replace("write = user,", "write = user,call,")
    freepbx.write("/etc/asterisk/manager_custom.conf", text)
    assert whats(freepbx.install())["/etc/asterisk/manager_custom.conf"] == "kept"
    assert freepbx.read("/etc/asterisk/manager_custom.conf") == text
    assert whats(freepbx.uninstall())["/etc/asterisk/manager_custom.conf"] == "kept"


def test_no_secret_is_ever_printed_or_readable_by_everybody(freepbx):
    printed = "".join(
        done.stdout + done.stderr
        for arguments in (["install", "--dry-run"], ["install"], ["install", "--json"], ["install"], ["uninstall"])
        for done in [freepbx.run(*arguments)]
    )
    secret = freepbx.setting("ami_secret")
    assert "Geheim" not in printed and secret not in printed
    for path in freepbx.root.rglob("*"):
        if path.is_file() and path.name not in ("freepbx.conf", "manager_custom.conf"):
            content = path.read_text()
            if secret in content or "Geheim" in content:
                assert stat.S_IMODE(path.stat().st_mode) & 0o007 == 0, path


def test_a_password_of_the_database_that_is_no_utf_8_does_not_end_the_installation(freepbx):
    freepbx.at("/etc/freepbx.conf").write_bytes(FREEPBX.encode().replace(b"Geheim", b"Se\xf1a"))
    freepbx.install()
    assert freepbx.setting("cdr_url") == "mysql://freepbxuser:Se%F1a%251@localhost/asteriskcdrdb"


def test_a_configuration_that_everybody_could_read_gets_the_secrets_and_is_no_more_for_everybody(freepbx):
    freepbx.write("/etc/ixxsms/ixxsms.conf", "[ixxsms]\n")
    config = freepbx.at("/etc/ixxsms/ixxsms.conf")
    config.chmod(0o644)
    if IS_ROOT:
        os.chown(config, *ASTERISK)
    freepbx.install()
    assert "Geheim" in config.read_text()
    assert stat.S_IMODE(config.stat().st_mode) == 0o640


def test_settings_that_are_there_are_kept(freepbx):
    freepbx.write("/etc/ixxsms/ixxsms.conf", "[ixxsms]\ndatabase_url = sqlite:////x\ncdr_url =\nami_secret = mine\n")
    freepbx.install()
    assert (freepbx.setting("cdr_url"), freepbx.setting("ami_secret")) == ("", "mine")
    assert freepbx.secret("/etc/asterisk/manager_custom.conf") == "mine"


def test_the_configuration_that_was_written_can_be_read(freepbx):
    freepbx.install()
    code = "import sys, pathlib; from ixxsms import config; print(config.load(pathlib.Path(sys.argv[1]), {}).cdr_url)"
    done = subprocess.run(
        [sys.executable, "-c", code, freepbx.at("/etc/ixxsms/ixxsms.conf")],
        env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout == "mysql://freepbxuser:Geheim%251@localhost/asteriskcdrdb\n", done.stderr


# -- away again -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(FILES))
def test_uninstalling_leaves_what_was_there_before_and_the_configuration(tmp_path, shipped, kind):
    pbx = Pbx(tmp_path, shipped, kind)

    def contents() -> dict[str, bytes]:
        files = (path for path in pbx.root.rglob("*") if path.is_file())
        return {str(path.relative_to(pbx.root)): path.read_bytes().rstrip(b"\n") for path in files}

    before = contents()
    pbx.install()
    pbx.write("/var/lib/ixxsms/ixxsms.db", "the database")
    report = pbx.uninstall()
    after = contents()
    configuration = after.pop("etc/ixxsms/ixxsms.conf")
    assert b"ami_secret = " in configuration
    assert after.pop("var/lib/ixxsms/ixxsms.db") == b"the database"
    assert after == before
    assert "asterisk -rx 'manager reload'" in report["reload"]
    assert pbx.run("uninstall").stdout == "Nothing is installed here.\n"


def test_uninstalling_keeps_what_was_changed(pbx):
    pbx.install()
    pbx.write("/etc/init.d/ixxmassivesms", "# mine\n")
    report = pbx.uninstall()
    assert whats(report)["/etc/init.d/ixxmassivesms"] == "kept"
    assert pbx.read("/etc/init.d/ixxmassivesms") == "# mine\n"
    assert not pbx.at("/etc/default/ixxmassivesms").exists()


def test_our_line_goes_though_the_list_of_what_was_installed_was_lost_in_between(pbx):
    pbx.install()
    pbx.at("/var/lib/ixxsms/installed.json").unlink()
    pbx.install()
    pbx.uninstall()
    assert not pbx.at(DIALPLAN).exists()
    assert "ixxsms" not in pbx.read("/etc/asterisk/extensions.conf")


def test_our_line_goes_from_another_file_too_and_lines_that_begin_like_it_stay(pbx):
    others = "#include extensions_ixxsms.conf.mine\n"
    pbx.write("/etc/asterisk/extensions_ixxsms.conf.mine", "")
    pbx.write("/etc/asterisk/extensions.conf", f"#include more.conf\n{others}")
    pbx.write("/etc/asterisk/more.conf", "")
    pbx.install()
    pbx.write("/etc/asterisk/extensions.conf", f"#include more.conf\n{others}")
    pbx.write("/etc/asterisk/more.conf", "[more]\n#include extensions_ixxsms.conf")
    told, report = whats(pbx.uninstall("--dry-run")), whats(pbx.uninstall())
    assert told[DIALPLAN] == report[DIALPLAN] == "removed"
    assert told["/etc/asterisk/more.conf"] == report["/etc/asterisk/more.conf"] == "updated"
    assert pbx.read("/etc/asterisk/more.conf") == "[more]\n"
    assert pbx.read("/etc/asterisk/extensions.conf") == f"#include more.conf\n{others}"


@pytest.mark.parametrize(
    ("link", "file"),
    [
        ("/etc/systemd/system/multi-user.target.wants/ixxmassivesms.service", f"{UNITS}/ixxmassivesms.service"),
        ("/etc/systemd/system/multi-user.target.wants/ixxmassivesms@2.service", f"{UNITS}/ixxmassivesms@.service"),
        ("/etc/rc3.d/S01ixxmassivesms", "/etc/init.d/ixxmassivesms"),
        ("/etc/rc.d/rc3.d/S99ixxmassivesms", "/etc/init.d/ixxmassivesms"),
    ],
)
def test_a_service_that_is_enabled_keeps_its_file_until_it_is_disabled(pbx, link, file):
    pbx.install()
    pbx.at(link).parent.mkdir(parents=True)
    pbx.at(link).symlink_to(file)
    told, report = pbx.uninstall("--dry-run"), pbx.uninstall()
    assert notes(told) == notes(report) == {file: f"{link} starts it: stop and disable the service first"}
    assert [path for path, what in whats(report).items() if what == "kept"] == [file] and pbx.at(file).exists()
    pbx.at(link).unlink()
    assert whats(pbx.uninstall())[file] == "removed"
    assert not pbx.at("/var/lib/ixxsms/installed.json").exists()


def test_a_file_of_ours_that_was_deleted_by_hand_leaves_nothing_to_uninstall(freepbx):
    freepbx.install()
    freepbx.at("/etc/asterisk/freepbx_chown.conf").unlink()
    freepbx.at(DIALPLAN).unlink()
    freepbx.uninstall()
    assert not freepbx.at("/var/lib/ixxsms/installed.json").exists()


def test_what_cannot_be_removed_is_told_with_its_reason_and_the_rest_goes(pbx):
    pbx.write("/etc/asterisk/extensions.conf", f"[default]\n{'; long' * 20_000}\n")
    pbx.install()
    report = json.loads(pbx.run("uninstall", "--json", code=1, largest_file=50_000).stdout)
    assert notes(report)["/etc/asterisk/extensions.conf"] == "File too large"
    assert notes(report)[DIALPLAN] == "/etc/asterisk/extensions.conf still has #include extensions_ixxsms.conf"
    kept = {path for path, what in whats(report).items() if what == "kept"}
    assert kept == {"/etc/asterisk/extensions.conf", DIALPLAN}
    assert not pbx.at("/etc/asterisk/manager.d/ixxsms.conf").exists()
    assert whats(pbx.uninstall())[DIALPLAN] == "removed"


@pytest.mark.parametrize("changes", [1, 2, 5, 11, 17, 23, 29])
def test_an_installation_that_was_killed_can_be_taken_away_with_all_its_files_lines_and_folders(pbx, changes):
    before = {path: about[4] for path, about in pbx.tree().items()}
    pbx.run("install", killed_after=changes, code=-signal.SIGKILL)
    pbx.uninstall()
    for path in ("etc/ixxsms", "etc/ixxsms/ixxsms.conf"):
        before[path] = pbx.tree().get(path, (None,) * 5)[4]
    # A last line without its end has got one.
    after = {path: about[4].removesuffix(b"\n") for path, about in pbx.tree().items()}
    assert after == {path: content.removesuffix(b"\n") for path, content in before.items() if content is not None}


@pytest.mark.parametrize("changes", range(1, 7))
def test_an_upgrade_that_was_killed_is_no_change_by_an_administrator(tmp_path, checkout, changes):
    pbx = Pbx(tmp_path, checkout)
    pbx.install()
    for newer in ("# newer\n", "# newest\n"):
        for name in ("agi/ixxsms-send.agi", "dialplan/extensions_ixxsms.conf", "initscripts/ixxmassivesms.service"):
            with (checkout / name).open("a") as file:
                file.write(newer)
        if newer == "# newer\n":
            pbx.run("install", killed_after=changes, code=-signal.SIGKILL)
    assert "kept" not in whats(pbx.install()).values()
    assert pbx.read("/usr/share/asterisk/agi-bin/ixxsms-send.agi").endswith("# newest\n")
    assert set(whats(pbx.uninstall()).values()) == {"removed", "updated"}
    assert not pbx.at(DIALPLAN).exists()


def test_a_list_that_somebody_else_wrote_does_not_make_root_remove_other_files(pbx):
    pbx.install()
    manifest = pbx.at("/var/lib/ixxsms/installed.json")
    listed = json.loads(manifest.read_text())
    others = (
        "/etc/passwd", "/etc/logrotate.d/../passwd", "/etc/asterisk/manager.d/../../passwd", "/etc/ixxsms/ixxsms.conf",
        "/etc/logrotate.d/ixxsms-others", "/etc/cron.d/ixxsms", "/var/lib/ixxsms/scripts/sample-of-others",
    )  # fmt: skip
    for path in others:
        if not pbx.at(path).exists():
            pbx.write(path, PASSWD)
        listed["files"][path] = hashlib.sha256(pbx.at(path).read_bytes()).hexdigest()
    listed["lines"] |= {"/etc/group": ["root:x:0:"], "/etc/asterisk/asterisk.conf": ["[directories](!)"]}
    listed["lines"] |= {"/etc/cron.d/x": ["#include extensions_ixxsms.conf"]}
    pbx.write("/etc/cron.d/x", "#include extensions_ixxsms.conf\n")
    listed["made"] += ["/etc/cron.d/x"]
    listed["folders"] += ["/etc/empty", "/etc/ixxsms/../empty"]
    pbx.at("/etc/empty").mkdir()
    before = pbx.tree()
    manifest.write_text(json.dumps(listed))
    report = pbx.uninstall()
    after = pbx.tree()
    for path in (*(os.path.normpath(path) for path in others), "/etc/group", "/etc/cron.d/x", "/etc/empty"):
        assert after[path.lstrip("/")] == before[path.lstrip("/")], path
    assert pbx.read("/etc/asterisk/asterisk.conf") == DEBIAN
    assert notes(report)["/etc/passwd"] == "nothing of ixxsms belongs there"
    assert not manifest.exists() and not pbx.at(DIALPLAN).exists()


def test_a_link_in_place_of_the_list_makes_root_write_nowhere_else(pbx):
    pbx.install()
    manifest = pbx.at("/var/lib/ixxsms/installed.json")
    manifest.unlink()
    manifest.symlink_to("/etc/cron.d/x")
    pbx.at("/etc/cron.d").mkdir()
    pbx.install()
    assert list(pbx.at("/etc/cron.d").iterdir()) == []
    assert "kept" not in whats(pbx.uninstall()).values()


@pytest.mark.parametrize("content", ["{", '{"files": []}', '{"unknown": {}}', "null"])
def test_a_list_that_is_damaged_stops_everything(pbx, content):
    pbx.install()
    pbx.write("/var/lib/ixxsms/installed.json", content)
    before = pbx.tree()
    done = pbx.run("uninstall", code=1)
    assert done.stderr.startswith("ixxsms: The list of what was installed") and done.stderr.count("\n") == 1
    assert pbx.run("install", code=1).stderr == done.stderr
    assert pbx.tree() == before


# -- links and rights -------------------------------------------------------------------------------------------------


def test_links_lead_nowhere_but_into_the_root(pbx, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    shutil.rmtree(pbx.at("/usr/share/asterisk"))
    pbx.at("/usr/share/asterisk").symlink_to(outside)  # absolute: in the system it is a folder of that name
    pbx.write("/etc/asterisk/asterisk.conf", "[directories]\nastagidir => /usr/share/asterisk/agi-bin\n")
    pbx.at("/etc/logrotate.d").symlink_to("../../../../../../../../../../var/rotate")
    pbx.at("/etc/asterisk/extensions_ixxsms.conf").symlink_to(outside / "file")
    report = pbx.install()
    assert list(outside.iterdir()) == []
    assert (pbx.root / outside.relative_to("/") / "agi-bin" / "ixxsms-send.agi").exists()
    assert pbx.at("/var/rotate/ixxsms").exists()
    assert "is no plain file" in notes(report)["/etc/asterisk/extensions_ixxsms.conf"]
    pbx.uninstall()
    assert pbx.at("/etc/asterisk/extensions_ixxsms.conf").is_symlink()


@pytest.mark.parametrize("kind", sorted(FILES))
@pytest.mark.parametrize("included", ["manager.d/*.conf", "/opt/asterisk/manager.d/*.conf"])
def test_where_the_folder_of_asterisk_is_a_link_our_manager_user_is_still_ours(tmp_path, shipped, kind, included):
    pbx = Pbx(tmp_path, shipped, kind)
    pbx.at("/opt").mkdir()
    pbx.at("/etc/asterisk").replace(pbx.at("/opt/asterisk"))
    pbx.at("/etc/asterisk").symlink_to("/opt/asterisk")
    custom = "#include /opt/asterisk/manager_custom.conf\n"
    pbx.write("/opt/asterisk/manager.conf", f"[general]\nenabled = yes\n#include {included}\n{custom}")
    pbx.install()
    assert set(whats(pbx.install()).values()) == {"unchanged"}
    assert "kept" not in whats(pbx.uninstall()).values()


def test_links_in_a_circle_are_an_error(pbx):
    pbx.at("/etc/logrotate.d").symlink_to("logrotate.d")
    assert "links lead in a circle" in pbx.run("install", code=1).stderr


def test_a_file_that_is_edited_through_a_link_stays_a_link(pbx):
    pbx.at("/etc/asterisk/extensions.conf").replace(pbx.at("/etc/asterisk/real.conf"))
    pbx.at("/etc/asterisk/extensions.conf").symlink_to("/etc/asterisk/real.conf")
    pbx.install()
    assert pbx.at("/etc/asterisk/extensions.conf").is_symlink()
    assert pbx.read("/etc/asterisk/real.conf").endswith("#include extensions_ixxsms.conf\n")


@pytest.mark.skipif(not IS_ROOT, reason="gives files to others")
@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("/etc/asterisk/freepbx_chown.conf", "/etc/profile.d/z.sh"),  # is not there
        ("/etc/asterisk/manager_custom.conf", "/etc/shadow"),
        ("/etc/asterisk/manager_custom.conf", "/etc/asterisk/of-root"),  # which links to it
        ("/etc/asterisk/extensions_custom.conf", "../shadow"),
        ("/var/lib/asterisk/agi-bin", "/etc/cron.d"),
        ("/var/lib/ixxsms/scripts", "/etc/cron.d"),
    ],
)
def test_root_follows_no_link_of_another_user_to_what_is_not_his(freepbx, link, target):
    freepbx.write("/etc/shadow", "root:*::::::\n")
    for folder in ("/etc/profile.d", "/etc/cron.d", "/var/lib/asterisk", "/var/lib/ixxsms"):
        freepbx.at(folder).mkdir(parents=True)
    freepbx.at("/etc/asterisk/of-root").symlink_to("/etc/shadow")
    freepbx.at(link).unlink(missing_ok=True)
    freepbx.at(link).symlink_to(target)
    for path in ("/etc/asterisk", "/var/lib/asterisk", "/var/lib/ixxsms", link):
        os.chown(freepbx.at(path), *ASTERISK, follow_symlinks=False)
    for arguments in (("--dry-run",), ()):
        done = freepbx.run("install", *arguments, code=1)
        assert done.stderr.startswith(f"ixxsms: {link} is not followed: it is a link of user 104")
        assert done.stderr.count("\n") == 1
    assert freepbx.read("/etc/shadow") == "root:*::::::\n"
    assert [*freepbx.at("/etc/profile.d").iterdir(), *freepbx.at("/etc/cron.d").iterdir()] == []
    os.chown(freepbx.at(link), 0, 0, follow_symlinks=False)  # what the sentence says: it is the administrator's will
    freepbx.install()


@pytest.mark.skipif(not IS_ROOT, reason="gives files to others")
def test_a_link_of_asterisks_user_to_what_is_his_is_followed(freepbx):
    """FreePBX itself makes such links, to the files of its modules."""
    freepbx.write("/var/www/html/admin/modules/core/etc/extensions_custom.conf", "")
    real, link = "/var/www/html/admin/modules/core/etc/extensions_custom.conf", "/etc/asterisk/extensions_custom.conf"
    freepbx.at(link).unlink()
    freepbx.at(link).symlink_to(real)
    for path in ("/etc/asterisk", link, real):
        os.chown(freepbx.at(path), *ASTERISK, follow_symlinks=False)
    freepbx.install()
    assert freepbx.at(link).is_symlink()
    assert freepbx.read(real) == "#include extensions_ixxsms.conf\n"
    assert freepbx.at(real).stat().st_uid == ASTERISK[0]


def test_a_link_that_was_put_in_after_the_look_is_not_read_and_gets_neither_owner_nor_mode(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("secret")
    (tmp_path / "file").chmod(0o600)
    link = tmp_path / "link"
    link.symlink_to("file")
    with pytest.raises(Error, match="link has become a link meanwhile"):
        set_owner(link, 0o644, (os.getuid(), os.getgid()))
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600
    monkeypatch.setattr(Root, "at", lambda *_args, **_options: link)  # what it was when it was no link
    with pytest.raises(Error, match="link has become a link meanwhile"):
        Root(tmp_path)


@pytest.mark.skipif(not IS_ROOT, reason="gives files to others")
@pytest.mark.parametrize("name", ["astetcdir", "astagidir"])
@pytest.mark.parametrize("folder", ["/etc/modprobe.d", "/etc/asterisk/../modprobe.d/", "/etc/modprobe.d/in"])
def test_an_asterisk_conf_that_asterisk_may_write_names_no_folder_of_roots(pbx, name, folder):
    pbx.at("/etc/modprobe.d").mkdir()
    if name == "astetcdir":
        pbx.at(folder).mkdir(exist_ok=True)
    pbx.write("/etc/asterisk/asterisk.conf", f"[directories]\n{name} => {folder}\n")
    os.chown(pbx.at("/etc/asterisk"), *ASTERISK)
    before = pbx.tree()
    done = pbx.run("install", code=1)
    assert done.stderr.startswith(f"ixxsms: asterisk.conf names {folder.rstrip('/')} as {name}, which does not belong")
    assert pbx.tree() == before
    pbx.at(folder).mkdir(exist_ok=True)
    os.chown(pbx.at(folder), *ASTERISK)
    pbx.install()


def test_where_there_is_no_asterisk_it_says_so(pbx):
    shutil.rmtree(pbx.at("/etc/asterisk"))
    before = pbx.tree()
    done = pbx.run("install", code=1)
    assert done.stderr == (
        "ixxsms: There is no Asterisk here: /etc/asterisk is missing. Install Asterisk first, or name another --root.\n"
    )
    assert pbx.tree() == before


def test_where_there_is_no_user_asterisk_it_says_so_and_makes_none(pbx):
    pbx.write("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
    report = pbx.install()
    assert any(warning.startswith("There is no user asterisk") for warning in report["warnings"])
    assert pbx.read("/etc/passwd") == "root:x:0:0:root:/root:/bin/sh\n"
    assert pbx.at("/etc/asterisk/extensions_ixxsms.conf").stat().st_uid == os.getuid()


@pytest.mark.skipif(not IS_ROOT, reason="gives files to others")
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", (31, 32)),
        ("runuser = pbx\nrungroup = calls\n", (21, 22)),
        ("runuser = pbx\nrungroup = nobody-knows\n", (21, 32)),
    ],
)
def test_without_user_and_group_asterisk_files_belong_to_whom_the_pbx_runs_as_or_to_the_owner_of_its_folder(
    pbx, options, expected
):
    pbx.write("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\npbx:x:21:22::/:/bin/sh\n")
    pbx.write("/etc/group", "root:x:0:\ncalls:x:22:\n")
    pbx.write("/etc/asterisk/asterisk.conf", f"{DEBIAN}[options]\n{options}")
    os.chown(pbx.at("/etc/asterisk"), 31, 32)
    pbx.install()
    for path in ("/etc/asterisk/extensions_ixxsms.conf", "/etc/asterisk/manager.d/ixxsms.conf", "/var/log/ixxsms"):
        assert (pbx.at(path).stat().st_uid, pbx.at(path).stat().st_gid) == expected, path
    config = pbx.at("/etc/ixxsms/ixxsms.conf").stat()
    assert (config.st_uid, config.st_gid) == (0, expected[1])
    assert set(whats(pbx.install()).values()) == {"unchanged"}


@pytest.mark.skipif(not IS_ROOT, reason="gives files to others")
def test_a_file_of_the_pbx_keeps_its_owner_though_there_is_no_user_asterisk(pbx):
    pbx.write("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
    extensions = pbx.at("/etc/asterisk/extensions.conf")
    os.chown(extensions, 7, 8)
    for run in (pbx.install, pbx.uninstall):
        assert whats(run())["/etc/asterisk/extensions.conf"] == "updated"
        assert (extensions.stat().st_uid, extensions.stat().st_gid) == (7, 8)


def test_where_only_the_group_asterisk_is_missing_it_says_so(pbx):
    pbx.write("/etc/group", "root:x:0:\n")
    assert any(warning.startswith("There is no group asterisk") for warning in pbx.install()["warnings"])


def test_without_roots_rights_one_sentence_says_so():
    # In a user namespace of its own root is nobody, who may still read the interpreter, wherever that lies.
    nobody = ["unshare", "--user"] if IS_ROOT else []
    if subprocess.run([*nobody, "true"], capture_output=True).returncode != 0:
        assert not os.environ.get("CI"), "user namespaces are not allowed here"
        pytest.skip("user namespaces are not allowed here")
    for verb in ("install", "uninstall"):
        command = [*nobody, sys.executable, "-m", "ixxsms", "asterisk", verb]
        done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == "ixxsms: This needs root's rights; with --dry-run it only tells what it would do.\n"


# -- what is shipped --------------------------------------------------------------------------------------------------


@pytest.fixture
def run_script(tmp_path):
    """What a script of this text prints, installed with that interpreter."""

    def run(text: str, interpreter: Path) -> str:
        script = tmp_path / "x.agi"
        script.write_bytes(with_python(f"#!/usr/bin/env python3\n{text}".encode(), str(interpreter)))
        script.chmod(0o755)
        done = subprocess.run([script, "a b", "c"], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    return run


def test_an_interpreter_with_a_long_path_with_blanks_runs_the_script_too(tmp_path, run_script):
    folder = tmp_path / ("long " * 40)
    folder.mkdir()
    (folder / "python").symlink_to(sys.executable)
    assert run_script("import sys\nprint(sys.argv[1:])\n", folder / "python") == "['a b', 'c']\n"


def test_a_hang_up_while_the_interpreter_is_starting_does_not_end_the_script(tmp_path, run_script):
    starting = tmp_path / "python"
    starting.write_text(f'#!/bin/sh\nkill -HUP $$\nexec {sys.executable} "$@"\n')
    starting.chmod(0o755)
    assert run_script("print('sent')\n", starting) == "sent\n"


@pytest.fixture
def installed_units(pbx, tmp_path):
    """The units as they were installed, starting a program that exists."""
    pbx.install()
    folder = tmp_path / "units"
    folder.mkdir()
    for name in ("ixxmassivesms.service", "ixxmassivesms@.service"):
        text = re.sub(r"^ExecStart=.*$", "ExecStart=/bin/true", pbx.read(f"/lib/systemd/system/{name}"), flags=re.M)
        (folder / name).write_text(text)
    return [folder / "ixxmassivesms.service", folder / "ixxmassivesms@2.service"]


def needed(program: str) -> None:
    if not shutil.which(program, path="/usr/sbin:/usr/bin"):
        assert not os.environ.get("CI"), f"{program} is missing"
        pytest.skip(f"{program} is not installed")


def test_systemd_understands_the_units_and_finds_them_well_confined(installed_units):
    needed("systemd-analyze")
    done = subprocess.run(["systemd-analyze", "verify", *installed_units], capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    for unit in installed_units:
        command = ["systemd-analyze", "security", "--offline=yes", "--threshold=40", unit]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_under_systemd_the_daemon_may_write_sms_among_the_call_records_of_sqlite(installed_units):
    said = (ROOT / "cdr/sqlite/cdr_sqlite3_custom.conf").read_text().splitlines()[0]
    folder = Path(re.search(r"writes (/\S+)\.$", said)[1]).parent
    for unit in installed_units:
        text = unit.with_name(unit.name.replace("@2", "@")).read_text()
        paths = " ".join(re.findall(r"^ReadWritePaths=(.*)$", text, re.M)).split()
        assert f"-{folder}" in paths, "its absence must be no error: there may be no Asterisk on this host"


def test_logrotate_understands_its_file(pbx, tmp_path):
    needed("logrotate")
    pbx.install()
    text = pbx.read("/etc/logrotate.d/ixxsms")
    assert "su asterisk asterisk" in text
    file = tmp_path / "logrotate.conf"
    file.write_text(text.replace("    su asterisk asterisk\n", "").replace("/var/log/ixxsms", str(tmp_path)))
    file.chmod(0o644)
    (tmp_path / "ixxmassivesms.log").write_text("a line\n")
    command = ["/usr/sbin/logrotate", "--debug", "--state", tmp_path / "state", file]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and "error:" not in done.stderr, done.stderr
    assert "considering log" in done.stderr
