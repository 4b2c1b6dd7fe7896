"""Taking away what an installation has put there, as long as nobody has changed it. Database and settings stay."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path, PurePath

from ixxsms.asterisk.install import conf, lines, manifest
from ixxsms.asterisk.install import layout as layouts
from ixxsms.asterisk.install.changes import KEPT, REMOVED, UPDATED, Changes
from ixxsms.asterisk.install.installing import INIT_SCRIPT, UNITS, Report, check_rights
from ixxsms.asterisk.install.known import Known
from ixxsms.asterisk.install.layout import Layout
from ixxsms.asterisk.install.root import Root, is_plain_file, kept, write_whole
from ixxsms.errors import Error


def uninstall(top: Path, *, dry_run: bool = False) -> Report:
    """Remove what `install` has made on the system in the folder `top`, and only that."""
    root = Root(top)
    check_rights(root, dry_run)
    changes = Changes(root, dry_run)
    layout = layouts.told(root, None)
    report = Report(layout.flavour, changes.actions)
    _disbelieve(changes, Known(root, layout))
    try:
        _each(sorted(changes.manifest.files), partial(_find_moved_line, layout), changes, report)
        _each(sorted(changes.manifest.lines), _lines, changes, report)
        _each(sorted(changes.manifest.blocks), _block, changes, report)
        _each(sorted(changes.manifest.files), partial(_file, layout), changes, report)
    finally:
        folders = changes.manifest.folders
        changes.manifest.forget()
        changes.save()  # or it goes, and the folder that it lies in can go too
    _each(sorted(folders, reverse=True), _folder, changes, report)
    changes.save()
    _say_what_to_reload(report)
    return report


def _disbelieve(changes: Changes, known: Known) -> None:
    """Drop from the list of what was installed whatever no installation writes."""
    listed = changes.manifest
    before = {*listed.files, *listed.blocks, *listed.lines}
    listed.files = {path: written for path, written in listed.files.items() if known.is_file(path)}
    listed.blocks = {path: written for path, written in listed.blocks.items() if known.is_block(path)}
    listed.lines = {
        path: added for path, added in listed.lines.items() if all(known.is_line(path, line) for line in added)
    }
    listed.folders = [path for path in listed.folders if known.is_folder(path)]
    for path in sorted(before - {*listed.files, *listed.blocks, *listed.lines}):
        if changes.root.exists(path):
            changes.note(KEPT, path, "nothing of ixxsms belongs there")


def _each(paths: Sequence[str], remove: Callable[[Changes, str], None], changes: Changes, report: Report) -> None:
    for path in paths:
        try:
            remove(changes, path)
        except (OSError, Error) as error:
            changes.note(KEPT, path, (isinstance(error, OSError) and error.strerror) or str(error))
            report.failed = True


def _own_line(layout: Layout, path: str) -> str:
    return lines.include(layout.etc, PurePath(path).name).text


def _read_by_asterisk(changes: Changes, layout: Layout) -> Iterator[tuple[str, str]]:
    for start in ("extensions.conf", "manager.conf"):
        yield from conf.with_includes(changes.root, layout.etc, start)


def _find_moved_line(layout: Layout, changes: Changes, path: str) -> None:
    """Our line goes from other files than the one that we wrote it into, too."""
    line = _own_line(layout, path)
    for file, text in _read_by_asterisk(changes, layout) if PurePath(path).parent == PurePath(layout.etc) else ():
        if lines.remove(text, line) != text:
            changes.manifest.lines.setdefault(file, []).append(line)


def _file(layout: Layout, changes: Changes, path: str) -> None:
    real = changes.root.at(path, follow=False)
    if not (real.exists() or real.is_symlink()):
        del changes.manifest.files[path]
    elif not is_plain_file(real) or not changes.manifest.is_ours(path, real.read_bytes()):
        changes.note(KEPT, path, "it was changed here")
    elif note := _why_needed(changes, layout, path) or _what_starts(changes.root, path):
        changes.note(KEPT, path, note)
    else:
        if not changes.dry_run:
            real.unlink()
        del changes.manifest.files[path]
        changes.note(REMOVED, path)


def _why_needed(changes: Changes, layout: Layout, path: str) -> str:
    """Asterisk loads no dialplan at all, or no manager users, when a file is missing that it is to include."""
    ours = changes.root.at(path)
    for file, text in _read_by_asterisk(changes, layout) if path.endswith(".conf") else ():
        left = lines.remove(text, _own_line(layout, path)) if changes.dry_run else text
        for include in conf.includes(left):
            if changes.root.at(PurePath(layout.etc) / include.name) == ours:
                return f"{file} still has {include.line}"
    return ""


def _what_starts(root: Root, path: str) -> str:
    """Without its unit or script the service could not be disabled any more, and links would lead nowhere."""
    links = {
        UNITS[0]: ("systemd/system/*.wants/ixxmassivesms[.]service",),
        UNITS[1]: ("systemd/system/*.wants/ixxmassivesms@*.service",),
        PurePath(INIT_SCRIPT).name: ("rc?.d/S[0-9]*ixxmassivesms", "rc.d/rc?.d/S[0-9]*ixxmassivesms"),
    }.get(PurePath(path).name if path == INIT_SCRIPT or path.endswith(".service") else "", ())
    found = next((link for pattern in links for link in sorted(root.at("/etc").glob(pattern))), None)
    return f"{root.path_of(found)} starts it: stop and disable the service first" if found else ""


def _block(changes: Changes, path: str) -> None:
    text = changes.root.read(path)
    found = lines.block(text)
    if found is not None and not changes.manifest.is_ours(path, found):
        changes.note(KEPT, path, "the part of ixxsms was changed here")
        return
    if found is not None:
        _rewrite(changes, path, lines.remove_block(text))
    del changes.manifest.blocks[path]


def _lines(changes: Changes, path: str) -> None:
    old = text = changes.root.read(path)
    for line in changes.manifest.lines[path]:
        text = lines.remove(text, line)
    if text != old:
        _rewrite(changes, path, text)
    del changes.manifest.lines[path]


def _rewrite(changes: Changes, path: str, text: str) -> None:
    """What nothing but us was in goes with us, where it was not there before."""
    real = changes.root.at(path)
    empty = all(not line.strip() or line.strip() == "[custom]" for line in text.splitlines())
    if empty and path in changes.manifest.made:
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
    gone = {changes.root.at(action.path, follow=False) for action in changes.actions if action.what == REMOVED}
    if not changes.manifest:
        gone.add(changes.root.at(manifest.PATH))
    if real.is_dir() and not real.is_symlink() and gone.issuperset(real.iterdir()):
        if not changes.dry_run:
            real.rmdir()
        if path in changes.manifest.folders:
            changes.manifest.folders.remove(path)
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
