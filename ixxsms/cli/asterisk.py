"""ixxsms asterisk: install, uninstall."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from ixxsms.cli.output import Json, print_json, say
from ixxsms.cli.root import examples

if TYPE_CHECKING:
    from ixxsms.asterisk.install import Report

app = typer.Typer(help="Install on this PBX: scripts, dialplan, service.", no_args_is_help=True, rich_markup_mode=None)

#: Where the daemon, which is not root, keeps everything unless it is told otherwise.
_DATABASE = "sqlite:////var/lib/ixxsms/ixxsms.db"

Root = Annotated[Path, typer.Option(metavar="DIR", help="The root folder of the system, for images and tests.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only tell what would be done.")]


@app.command(
    epilog=examples(
        "ixxsms asterisk install --dry-run",
        "ixxsms asterisk install",
        "ixxsms asterisk install --root /mnt/image --freepbx",
    )
)
def install(
    root: Root = Path("/"),
    freepbx: Annotated[bool, typer.Option("--freepbx", help="It is a FreePBX.")] = False,
    issabel: Annotated[bool, typer.Option("--issabel", help="It is an Issabel or Elastix.")] = False,
    plain: Annotated[bool, typer.Option("--plain", help="It is an Asterisk without either.")] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Install AGI scripts, dialplan, manager user and service.

    Says what to reload. Can be run again at any time: what was changed here is kept. Without a flag it finds out which
    PBX this is.
    """
    from ixxsms.asterisk.install import Flavour
    from ixxsms.asterisk.install import install as do_install

    flags = {Flavour.FREEPBX: freepbx, Flavour.ISSABEL: issabel, Flavour.PLAIN: plain}
    chosen = [flavour for flavour, wanted in flags.items() if wanted]
    if len(chosen) > 1:
        raise typer.BadParameter("give only one of --freepbx, --issabel and --plain")
    flavour = chosen[0] if chosen else None
    _print(do_install(_folder(root), _template(), flavour, dry_run=dry_run), root, dry_run, as_json)


@app.command(epilog=examples("ixxsms asterisk uninstall --dry-run", "ixxsms asterisk uninstall"))
def uninstall(root: Root = Path("/"), dry_run: DryRun = False, as_json: Json = False) -> None:
    """Remove what was installed and not changed since.

    The database and the configuration stay.
    """
    from ixxsms.asterisk.install import uninstall as do_uninstall

    report = do_uninstall(_folder(root), dry_run=dry_run)
    _print(report, root, dry_run, as_json)
    if report.failed:
        raise typer.Exit(1)


def _folder(root: Path) -> Path:
    if not root.is_dir():
        raise typer.BadParameter(f"there is no folder {root}", param_hint="--root")
    return root


def _template() -> str:
    """A first configuration file, as `ixxsms init` writes it."""
    from ixxsms import config

    with TemporaryDirectory() as folder:
        path, _ = config.create(Path(folder) / "ixxsms.conf", {"IXXSMS_DATABASE_URL": _DATABASE})
        return path.read_text(encoding="utf-8")


def _print(report: Report, root: Path, dry_run: bool, as_json: bool) -> None:
    if as_json:
        actions = [{"action": a.what, "path": a.path, "note": a.note} for a in report.actions]
        about = {"flavour": report.flavour, "root": str(root), "dry_run": dry_run}
        print_json({**about, "actions": actions, "warnings": report.warnings, "reload": report.reload})
        return
    if dry_run:
        say("This would be done; nothing is changed.")
    if not report.actions:
        say("Nothing is installed here.")
    for action in report.actions:
        say(f"{action.what:9}  {action.path}{f' ({action.note})' if action.note else ''}")
    for warning in report.warnings:
        say(f"Attention: {warning}")
    if report.reload:
        say("For this to take effect:")
        for command in report.reload:
            say(f"  {command}")
