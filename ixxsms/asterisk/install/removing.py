"""Taking away what an installation has put there, as long as nobody has changed it. Database and settings stay."""

from __future__ import annotations

from pathlib import Path, PurePath

from ixxsms.asterisk.install import layout as layouts
from ixxsms.asterisk.install import lines
from ixxsms.asterisk.install.changes import KEPT, REMOVED, UPDATED, Changes
from ixxsms.asterisk.install.installing import OF_ASTERISK, STATE, Report, check_rights
from ixxsms.asterisk.install.manifest import digest
from ixxsms.asterisk.install.root import Root, is_plain_file, kept, write_whole


def uninstall(top: Path, *, dry_run: bool = False) -> Report:
    """Remove what `install` has made on the system in the folder `top`, and only that."""
    root = Root(top)
    check_rights(root, dry_run)
    changes = Changes(root, dry_run)
    report = Report(layouts.detect(root), changes.actions)
    try:
        for path in sorted(changes.manifest.files):
            _file(changes, path)
        for path in sorted(changes.manifest.blocks):
            _block(changes, path)
        for path in sorted(changes.manifest.lines):
            _lines(changes, path)
    finally:
        folders, changes.manifest.folders = changes.manifest.folders, []
        changes.save(OF_ASTERISK)
    for path in sorted(folders, reverse=True):
        _folder(changes, path)
    _say_what_to_reload(report)
    return report


def _is_ours(path: str) -> bool:
    """The manifest lies where the daemon's user may write: it must not make root remove anything else."""
    name = PurePath(path).name
    return "ixxsms" in name or "ixxmassivesms" in name or path.startswith(f"{STATE}/scripts/sample")


def _file(changes: Changes, path: str) -> None:
    real = changes.root.at(path, follow=False)
    if not _is_ours(path) or not (real.exists() or real.is_symlink()):
        del changes.manifest.files[path]
    elif not is_plain_file(real) or digest(real.read_bytes()) != changes.manifest.files[path]:
        changes.note(KEPT, path, "it was changed here")
    else:
        if not changes.dry_run:
            real.unlink()
        del changes.manifest.files[path]
        changes.note(REMOVED, path)


def _block(changes: Changes, path: str) -> None:
    text = changes.root.read(path)
    found = lines.block(text)
    if found is not None and digest(found) != changes.manifest.blocks[path]:
        changes.note(KEPT, path, "the part of ixxsms was changed here")
        return
    del changes.manifest.blocks[path]
    if found is not None:
        _rewrite(changes, path, lines.remove_block(text))


def _lines(changes: Changes, path: str) -> None:
    old = text = changes.root.read(path)
    for line in changes.manifest.lines.pop(path):
        if "ixxsms" in line:
            text = lines.remove(text, line)
    if text != old:
        _rewrite(changes, path, text)


def _rewrite(changes: Changes, path: str, text: str) -> None:
    """What nothing but us was in goes with us, where it was not there before."""
    real = changes.root.at(path)
    empty = all(not line.strip() or line.strip() == "[custom]" for line in text.splitlines())
    made = path in changes.manifest.made
    if made:
        changes.manifest.made.remove(path)
    if made and empty:
        if not changes.dry_run:
            real.unlink()
        changes.note(REMOVED, path)
        return
    found = real.stat()
    if not changes.dry_run:
        write_whole(real, text.encode("utf-8", "surrogateescape"), found.st_mode & 0o7777, kept(found))
    changes.note(UPDATED, path)


def _folder(changes: Changes, path: str) -> None:
    """A folder that holds the database, the settings, or anything else, stays."""
    real = changes.root.at(path, follow=False)
    if real.is_dir() and not real.is_symlink() and not any(real.iterdir()):
        if not changes.dry_run:
            real.rmdir()
        changes.note(REMOVED, path)


def _say_what_to_reload(report: Report) -> None:
    changed = [action.path for action in report.actions if action.what in (REMOVED, UPDATED)]
    if any("/extensions" in path for path in changed):
        freepbx = report.flavour is layouts.Flavour.FREEPBX
        report.reload.append("fwconsole reload" if freepbx else "asterisk -rx 'dialplan reload'")
    if any("/manager" in path for path in changed):
        report.reload.append("asterisk -rx 'manager reload'")
    if any(path.endswith(".service") for path in changed):
        report.reload.append("systemctl daemon-reload")
    if any(path.endswith("init.d/ixxmassivesms") for path in changed):
        # Not before the script has gone: update-rc.d refuses to forget a service whose script is there.
        redhat = any("/sysconfig/" in path for path in changed)
        report.reload.append("chkconfig --del ixxmassivesms" if redhat else "update-rc.d ixxmassivesms remove")
