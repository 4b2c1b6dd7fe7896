"""What the driver of a trunk is built from: the trunk's own row, and the settings that are for all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ixxsms.config import Config
from ixxsms.drivers.base import TrunkConfig
from ixxsms.drivers.webhook import address
from ixxsms.models import Trunk


def driver_config(trunk: Trunk, config: Config) -> TrunkConfig:
    """What the trunk's driver is built from."""
    options: dict[str, Any] = dict(trunk.options)
    return TrunkConfig(
        name=trunk.name,
        kind=trunk.kind,
        options=options,
        password=trunk.password,
        script_dir=Path(config.script_dir),
        script_timeout=config.script_timeout,
        response_timeout=config.response_timeout,
        receipts=config.receipts,
        webhook=address(_webhook_base(config), trunk.name, trunk.password),
    )


def _webhook_base(config: Config) -> str:
    """How others reach the webhook; empty where there is none."""
    if config.webhook_url or not config.webhook_port:
        return str(config.webhook_url)
    host = f"[{config.webhook_host}]" if ":" in config.webhook_host else config.webhook_host
    return f"http://{host}:{config.webhook_port}"
