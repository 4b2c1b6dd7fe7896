"""The init script as a process, with the real daemon: with Debian's start-stop-daemon and, as elsewhere, without it.

And `service ixxmassivesms start` on a whole system of its own: this machine's files seen through an overlay, so that
nothing that is done there reaches them, with processes of its own that end with the test.
"""

from __future__ import annotations

import getpass
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from namespaces import ROOT, System, need_root

from ixxsms import schema
from ixxsms.db import Database

SCRIPT = ROOT / "initscripts" / "ixxmassivesms"
NAME = "ixxmassivesms"
#: All that the script uses, but for start-stop-daemon.
TOOLS = "sh id cat grep head tail tr wc sleep mkdir chown chmod rm dirname setsid touch runuser su"

DAEMON = """#!{python}
import sys
sys.path.insert(0, {root!r})
from ixxsms.daemon import main
main()
"""
#: Says what it is told to say, and then does nothing.
IDLE = "#!/bin/sh\ntrap '' {ignored}\necho '{says}'\nid -un\nwhile :; do sleep 0.05; done\n"


class Service:
    """The init script with a defaults file of its own."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.folder = folder
        self.pidfile, self.log = folder / "run" / "daemon.pid", folder / "log" / "daemon.log"
        self.config = folder / "ixxsms.conf"
        self.config.write_text(f"[ixxsms]\ndatabase_url = sqlite:///{folder}/ixxsms.db\n")
        self.program(DAEMON.format(python=sys.executable, root=str(ROOT)))
        self.settings = {
            "DAEMON": folder / NAME,
            "USER": getpass.getuser(),
            "CONFIG": self.config,
            "PIDFILE": self.pidfile,
            "LOGFILE": self.log,
            "LOCKFILE": folder / "subsys" / NAME,
            **settings,
        }

    def program(self, text: str) -> None:
        (self.folder / NAME).write_text(text)
        (self.folder / NAME).chmod(0o755)

    def set_up(self) -> None:
        database = Database(f"sqlite:///{self.folder}/ixxsms.db")
        schema.upgrade(database)
        database.close()

    def __call__(self, *arguments: str, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        defaults = self.folder / "defaults"
        defaults.write_text("".join(f"{name}='{value}'\n" for name, value in self.settings.items()))
        defaults.chmod(0o644)
        environ = {k: v for k, v in os.environ.items() if not k.startswith("IXXSMS_")}
        environ |= {"IXXMASSIVESMS_DEFAULTS": str(defaults), "IXXSMS_FASTAGI_PORT": "0"}
        command = [*before, "/bin/sh", str(SCRIPT), *arguments]
        return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)

    def pid(self) -> int:
        return int(self.pidfile.read_text())

    def code(self, *arguments: str) -> int:
        return self(*arguments).returncode


@pytest.fixture(params=["start-stop-daemon", "plain"])
def way(request, tmp_path):
    """The settings for starting with or without start-stop-daemon."""
    if request.param == "plain":
        tools = tmp_path / "tools"
        tools.mkdir()
        for tool in TOOLS.split():
            (tools / tool).symlink_to(shutil.which(tool, path="/usr/sbin:/usr/bin:/sbin:/bin"))
        return {"PATH": tools}
    if not shutil.which("start-stop-daemon", path="/usr/sbin:/sbin"):
        assert not os.environ.get("CI"), "start-stop-daemon is missing"
        pytest.skip("this is not a Debian")
    return {}


@pytest.fixture
def service(way, tmp_path):
    made = Service(tmp_path, **way)
    made.set_up()
    yield made
    made("stop")


@pytest.fixture
def idle(way, tmp_path):
    """A service whose daemon needs no time to start."""
    made = Service(tmp_path, START_SECONDS=3, STOP_SECONDS=1, **way)
    made.program(IDLE.format(ignored="HUP", says="has started"))
    yield made
    made("stop")


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""  # that of a zombie is empty
    except OSError:
        return False


def eventually(condition, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# -- the real daemon --------------------------------------------------------------------------------------------------


def test_the_daemon_is_started_told_to_reload_and_stopped(service):
    assert service.code("status") == 3
    started = service("start")
    assert (started.returncode, started.stdout) == (0, f"{NAME}: started, process {service.pid()}.\n")
    pid = service.pid()
    assert Path(f"/proc/{pid}/cmdline").read_bytes().endswith(f"/{NAME}\0".encode())
    assert service("status").stdout == f"{NAME}: running, process {pid}.\n"

    again = service("start")
    assert (again.returncode, again.stdout) == (0, f"{NAME}: already running, process {pid}.\n")
    assert service.pid() == pid

    told = service("reload")
    assert (told.returncode, told.stdout) == (0, f"{NAME}: told to read the configuration again.\n")
    eventually(lambda: "configuration is read again" in service.log.read_text())
    assert service("force-reload").returncode == 0
    assert is_alive(pid)

    stopped = service("stop")
    assert (stopped.returncode, stopped.stdout) == (0, f"{NAME}: stopped.\n")
    assert not is_alive(pid) and not service.pidfile.exists()
    assert service.log.read_text().endswith("ixxmassivesms has stopped\n")
    assert service("stop").stdout == f"{NAME}: not running.\n"
    assert service.code("stop") == 0 and service.code("status") == 3


def test_a_restart_makes_a_new_process(service):
    assert service.code("restart") == 0
    first = service.pid()
    assert service.code("restart") == 0
    assert service.pid() != first and not is_alive(first)


def test_a_daemon_that_dies_at_once_is_not_started_and_its_sentence_is_told(service):
    (service.folder / "ixxsms.db").unlink()
    done = service("start")
    assert done.returncode == 1
    assert done.stderr == (
        f"{NAME}: not started: {NAME}: There is no database {service.folder}/ixxsms.db; run: ixxsms init\n"
    )
    assert service.code("status") == 3
    service.set_up()
    assert service.code("start") == 0, "what the last one said must not count again"


# -- exit codes -------------------------------------------------------------------------------------------------------


def test_only_a_running_daemon_is_restarted_by_condrestart(idle):
    for verb in ("condrestart", "try-restart"):
        assert idle.code(verb) == 0 and idle.code("status") == 3
        assert idle.code("start") == 0
        first = idle.pid()
        assert idle.code(verb) == 0
        assert idle.pid() != first and is_alive(idle.pid())
        idle("stop")


@pytest.mark.parametrize("verb", ["restart", "condrestart"])
@pytest.mark.parametrize(("missing", "code"), [(NAME, 5), ("ixxsms.conf", 6)])
def test_what_could_not_be_started_again_is_not_stopped(idle, verb, missing, code):
    assert idle.code("start") == 0
    pid = idle.pid()
    (idle.folder / missing).unlink()
    done = idle(verb)
    assert (done.returncode, done.stdout) == (code, "")
    assert missing in done.stderr and is_alive(pid) and idle.pid() == pid


@pytest.mark.parametrize("arguments", [(), ("begin",), ("",), ("status; true",)])
def test_what_is_not_understood_is_code_2(tmp_path, arguments):
    done = Service(tmp_path)(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: ") and "force-reload" in done.stderr


@pytest.mark.parametrize("verb", ["reload", "force-reload"])
def test_what_does_not_run_cannot_reload(tmp_path, verb):
    assert Service(tmp_path).code(verb) == 7


@pytest.mark.parametrize(
    ("settings", "code"),
    [({"DAEMON": "/nowhere/ixxmassivesms"}, 5), ({"CONFIG": "/nowhere/ixxsms.conf"}, 6), ({"USER": "nobody-here"}, 6)],
)
def test_what_is_missing_is_named(tmp_path, settings, code):
    done = Service(tmp_path, **settings)("start")
    assert done.returncode == code
    assert str(next(iter(settings.values()))) in done.stderr and len(done.stderr.splitlines()) == 1


def test_status_tells_a_crash_by_the_pid_file_and_then_by_the_lock_file(idle):
    (idle.folder / "subsys").mkdir()
    assert idle.code("start") == 0
    assert (idle.folder / "subsys" / NAME).exists()
    os.kill(idle.pid(), signal.SIGKILL)
    eventually(lambda: idle.code("status") == 1)
    idle.pidfile.unlink()
    assert idle.code("status") == 2
    assert idle.code("stop") == 0
    assert idle.code("status") == 3


# -- pid files that lie -----------------------------------------------------------------------------------------------


@pytest.fixture
def other(idle):
    """Runs a command under the number that the pid file has."""
    with ExitStack() as stack:

        def run(*command: object) -> subprocess.Popen[bytes]:
            made = subprocess.Popen([*map(str, command)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
            stack.enter_context(made)
            stack.callback(made.kill)
            idle.pidfile.parent.mkdir()
            idle.pidfile.write_text(f"{made.pid}\n")
            return made

        yield run


def is_left_alone(service: Service, process: subprocess.Popen[bytes]) -> bool:
    codes = [service.code(verb) for verb in ("status", "reload", "stop")]
    return codes == [1, 7, 0] and process.poll() is None


def test_a_pid_that_another_process_has_by_now_is_left_alone(idle, other):
    process = other("sleep", "60")
    assert is_left_alone(idle, process)
    idle.pidfile.write_text(f"{process.pid}\n")
    assert idle.code("start") == 0
    assert idle.pid() != process.pid and process.poll() is None


def test_a_process_that_merely_names_the_daemon_is_left_alone(idle, other):
    log = idle.folder / f"{NAME}.log"
    log.touch()
    assert is_left_alone(idle, other("tail", "-f", log))


def test_a_process_of_another_user_is_left_alone_whatever_its_arguments(idle, other):
    idle.settings["USER"] = "nobody"
    assert is_left_alone(idle, other("tail", "-f", idle.settings["DAEMON"]))


def test_a_shell_that_is_about_to_become_the_daemon_counts_as_it(idle, other):
    daemon = idle.settings["DAEMON"]
    process = other("/bin/sh", "-c", "read line", NAME, idle.pidfile, idle.log, daemon, "--option")
    assert idle("status").stdout == f"{NAME}: running, process {process.pid}.\n"


def test_a_daemon_whose_program_an_update_has_moved_is_still_the_daemon(idle, other):
    before = idle.folder / "old" / NAME
    process = other("/bin/sh", "-c", "read line", before)
    assert idle("status").stdout == f"{NAME}: running, process {process.pid}.\n"


@pytest.mark.parametrize("content", ["", "\n", "0\n", "-1\n", "1 1\n", "$(touch x)\n", "99999999\n", "99999999"])
def test_a_pid_file_with_anything_else_is_a_stale_one(idle, content):
    idle.pidfile.parent.mkdir()
    idle.pidfile.write_text(content)
    assert idle.code("status") == 1
    assert idle.code("start") == 0
    assert is_alive(idle.pid())


# -- other daemons ----------------------------------------------------------------------------------------------------


def test_a_daemon_that_does_not_end_is_killed(idle):
    idle.program(IDLE.format(ignored="TERM", says="has started"))
    assert idle.code("start") == 0
    pid = idle.pid()
    done = idle("stop")
    assert done.returncode == 0
    assert "is killed" in done.stdout and not is_alive(pid)


def test_a_daemon_that_says_nothing_has_started_when_it_lives(idle):
    idle.program(IDLE.format(ignored="HUP", says=""))
    assert idle.code("start") == 0
    assert is_alive(idle.pid())


def test_a_log_that_cannot_be_written_is_told(idle):
    idle.settings["LOGFILE"] = idle.folder / "log"
    idle.log.parent.mkdir()
    done = idle("start")
    assert done.returncode == 1 and "not write" in done.stderr
    assert idle.code("status") == 3


def test_the_daemon_gets_its_options_and_its_configuration(idle):
    idle.program('#!/bin/sh\necho "$IXXSMS_CONFIG $*"\necho has started\nwhile :; do sleep 0.05; done\n')
    idle.settings["OPTIONS"] = "--one  --two"
    assert idle.code("start") == 0
    assert idle.log.read_text().splitlines()[0] == f"{idle.config} --one --two"


# -- users ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def nobodys(way):
    """A service whose daemon runs as nobody, in a folder that everybody may read."""
    need_root()
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        made = Service(Path(folder), USER="nobody", START_SECONDS=5, **way)
        made.program(IDLE.format(ignored="HUP", says="has started"))
        if "PATH" in way:
            made.settings["PATH"] = shutil.copytree(way["PATH"], Path(folder) / "tools", symlinks=True)
        yield made
        assert made.code("stop") == 0


def by(user: str) -> tuple[str, ...]:
    entry = pwd.getpwnam(user)
    return ("setpriv", "--reuid", str(entry.pw_uid), "--regid", str(entry.pw_gid), "--clear-groups")


def test_root_starts_it_as_the_user_of_the_defaults_file(nobodys):
    assert nobodys.code("start") == 0
    assert nobodys.log.read_text().splitlines()[1:] == ["nobody"]
    assert Path(f"/proc/{nobodys.pid()}").stat().st_uid == nobodys.log.stat().st_uid != 0
    assert nobodys.log.stat().st_mode & 0o777 == 0o640
    assert nobodys.pidfile.parent.owner() == nobodys.log.parent.owner() == "nobody"
    assert nobodys("status", before=by("daemon")).returncode == 0
    assert nobodys("stop", before=by("daemon")).returncode == 4


def test_its_user_restarts_what_root_has_started_and_locked(nobodys):
    (nobodys.folder / "subsys").mkdir()
    assert nobodys.code("start") == 0
    first = nobodys.pid()
    done = nobodys("restart", before=by("nobody"))
    assert (done.returncode, done.stderr) == (0, "")
    assert nobodys.pid() != first and is_alive(nobodys.pid())
    assert (nobodys.folder / "subsys" / NAME).owner() == "root"


@pytest.mark.parametrize("verb", ["start", "restart"])
def test_who_may_not_start_it_is_told_so_though_the_configuration_is_hidden(nobodys, verb):
    hidden = nobodys.folder / "etc"
    hidden.mkdir(0o700)
    nobodys.settings["CONFIG"] = nobodys.config.rename(hidden / "ixxsms.conf")
    done = nobodys(verb, before=by("daemon"))
    assert (done.returncode, done.stderr) == (4, f"{NAME}: only root and nobody may do this.\n")


# -- the file itself --------------------------------------------------------------------------------------------------


def test_the_headers_are_those_of_lsb_and_of_chkconfig():
    text = SCRIPT.read_text()
    block = re.search(r"^### BEGIN INIT INFO\n(.*?)^### END INIT INFO$", text, re.M | re.S)[1]
    headers = dict(re.match(r"# ([\w-]+):\s+(.+)", line).groups() for line in block.splitlines())
    assert headers["Provides"] == NAME
    assert headers["Required-Start"] == headers["Required-Stop"] == "$local_fs $network $remote_fs $syslog"
    assert headers["Should-Start"] == "asterisk mysql mariadb postgresql"
    assert (headers["Default-Start"], headers["Default-Stop"]) == ("2 3 4 5", "0 1 6")
    assert {"Short-Description", "Description"} <= set(headers)
    for line in ("chkconfig: 2345 90 10", "description: ", f"processname: {NAME}", f"pidfile: /run/ixxsms/{NAME}.pid"):
        assert re.search(rf"^# {re.escape(line)}", text, re.M)
    assert os.access(SCRIPT, os.X_OK)


def test_the_script_is_plain_sh():
    checker = shutil.which("shellcheck")
    command = [checker, "--shell=sh", SCRIPT] if checker else ["/bin/sh", "-n", SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


# -- a whole system ---------------------------------------------------------------------------------------------------


@pytest.fixture
def system(tmp_path):
    """With an Asterisk's user and files, and ixxsms in /opt/ixxsms."""
    need_root()
    with ExitStack() as stack:
        made = System(tmp_path, stack)
        made.run("useradd", "--system", "--user-group", "--shell", "/usr/sbin/nologin", "asterisk")
        made.write("/etc/asterisk/asterisk.conf", "[directories](!)\nastetcdir => /etc/asterisk\n")
        made.write("/etc/asterisk/extensions.conf", "[default]\n")
        made.write("/etc/asterisk/manager.conf", '[general]\nenabled = yes\n#include "manager.d/*.conf"\n')
        base = Path(sys.executable).resolve()
        for folder in base.parents:  # the interpreter of the tests may be root's own
            made.run("chmod", "a+rx", str(folder))
        made.run(str(base), "-m", "venv", "--without-pip", "/opt/ixxsms")
        packages = made.run("/opt/ixxsms/bin/python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))")
        made.write(f"{packages.strip()}/tests.pth", f"{ROOT}\n{sysconfig.get_path('purelib')}\n")
        for name, module in (("ixxsms", "ixxsms.cli"), (NAME, "ixxsms.daemon")):
            made.write(
                f"/opt/ixxsms/bin/{name}", f"#!/opt/ixxsms/bin/python\nfrom {module} import main\nmain()\n", "755"
            )
        yield made


def test_on_a_system_the_service_command_starts_shows_and_stops_it(system):
    report = json.loads(system.run("/opt/ixxsms/bin/ixxsms", "asterisk", "install", "--json"))
    assert {action["action"] for action in report["actions"]} <= {"created", "updated"}
    # The environment is in /opt, but the interpreter under it is that of whoever runs the tests.
    assert [warning for warning in report["warnings"] if "cannot run programs in" not in warning] == []
    system.run("sed", "-i", "s/^# fastagi_port = .*/fastagi_port = 0/", "/etc/ixxsms/ixxsms.conf")

    commands = [command for command in report["reload"] if not command.startswith("asterisk -rx")]
    assert commands[-1] == "service ixxmassivesms start"
    assert any(command.startswith("runuser -u asterisk ") for command in commands)
    for command in commands:
        system.run("sh", "-c", command)

    shown = system.run("service", NAME, "status")
    pid = re.fullmatch(rf"{NAME}: running, process (\d+)\.\n", shown)[1]
    assert system.run("ps", "-o", "user=", "-p", pid).strip() == "asterisk"
    assert f"process {pid}" in system.run("/opt/ixxsms/bin/ixxsms", "status")
    assert system.run("service", NAME, "start") == f"{NAME}: already running, process {pid}.\n"
    system.run("service", NAME, "reload")
    system.run("service", NAME, "restart")
    system.run("service", NAME, "stop")
    system.run("service", NAME, "status", code=3)
    system.run("service", NAME, "stop")

    system.run("update-rc.d", NAME, "defaults")
    links = system.run("sh", "-c", "ls /etc/rc?.d/*ixxmassivesms")
    assert [name for level in "2345" for name in re.findall(rf"/etc/rc{level}.d/S\d\d{NAME}", links)] != []
    assert len(re.findall(rf"/rc[016].d/K\d\d{NAME}", links)) == 3
    if shutil.which("logrotate", path="/usr/sbin"):
        system.run("logrotate", "--debug", "/etc/logrotate.d/ixxsms")

    first = system.run("/opt/ixxsms/bin/ixxsms", "asterisk", "uninstall")
    assert f"{NAME} starts it: stop and disable the service first" in first
    system.run("update-rc.d", NAME, "disable")
    system.run("/opt/ixxsms/bin/ixxsms", "asterisk", "uninstall")
    system.run("test", "!", "-e", f"/etc/init.d/{NAME}")
    system.run("test", "-e", "/var/lib/ixxsms/ixxsms.db")
