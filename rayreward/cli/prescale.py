"""``rayreward prescale``: replicas of a served reward, before there is work for them."""

from __future__ import annotations

from dataclasses import asdict

import typer

from rayreward.cli.output import OK, write_json
from rayreward.cli.service import service_url_of
from rayreward.client import HttpClient


def run_prescale(reward: str, *, replicas: int, for_s: float, url: str | None, is_json: bool) -> int:
    """Ask the service, and write what it grants."""
    with HttpClient(service_url_of(url)) as client:
        granted = client.prescale(reward, replicas, for_s=for_s)
    if is_json:
        write_json(asdict(granted))
        return OK
    bounds = f"may have {granted.min_replicas} to {granted.max_replicas}"
    if granted.asked:
        typer.echo(f"{reward}: {granted.granted} replicas until {granted.until}; {granted.asked} asked, {bounds}")
    else:
        typer.echo(f"{reward}: as many replicas as its work needs; {bounds}")
    return OK
