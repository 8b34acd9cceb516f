"""A fake `gcloud compute tpus` and `gcloud storage rsync`, as their reference pages say.

Its state is in the folder $CLOUD: the queued resource (`resource.json`), a home for each host of
its node (`host0`, `host1`), and buckets. A queued resource waits, is provisioned, and is active at
the third look. `ssh --worker=all` runs the command on every host in a real shell. `faults.json`
says what happens at the n-th call: {"4": "preempt"}, or "outage" (the service does not answer).
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

CLOUD = Path(os.environ["CLOUD"])
RESOURCE = CLOUD / "resource.json"
HOSTS = [CLOUD / "host0", CLOUD / "host1"]
NEXT = {"WAITING_FOR_RESOURCES": "PROVISIONING", "PROVISIONING": "ACTIVE"}


class Refused(Exception):
    """gcloud's `ERROR: (…) STATUS: …` and exit code 1."""


def main() -> int:
    """One call."""
    arguments = sys.argv[1:]
    with (CLOUD / "calls").open("a") as calls:
        calls.write(f"gcloud {' '.join(arguments[:4])}\n")
    number = len((CLOUD / "calls").read_text().splitlines())
    faults = json.loads((CLOUD / "faults.json").read_text())
    fault = faults.get(str(number))
    try:
        if fault == "preempt" and _resource():
            _preempt()
        if fault == "outage":
            raise Refused("UNAVAILABLE: the service is currently unavailable")
        if arguments[:2] == ["storage", "rsync"]:
            return _rsync(arguments[2:])
        assert arguments[:2] == ["compute", "tpus"], arguments
        return COMMANDS[" ".join(arguments[2:4])](arguments[4:])
    except Refused as refused:
        print(f"ERROR: (gcloud.{'.'.join(arguments[:4])}) {refused}", file=sys.stderr)
        return 1


def _resource() -> dict | None:
    return json.loads(RESOURCE.read_text()) if RESOURCE.exists() else None


def _save(resource: dict) -> None:
    RESOURCE.write_text(json.dumps(resource))


def _parser(*flags: str, name: bool = True) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    if name:
        parser.add_argument("name")
    for flag in ("--zone", "--project", *flags):
        parser.add_argument(flag)
    return parser


def _create(arguments: list[str]) -> int:
    parser = _parser("--node-id", "--accelerator-type", "--runtime-version", "--data-disk")
    parser.add_argument("--spot", action="store_true")
    options = parser.parse_args(arguments)
    assert options.zone
    assert options.node_id
    assert options.accelerator_type
    assert options.runtime_version
    if _resource():
        raise Refused(f"ALREADY_EXISTS: Resource '{options.name}' already exists")
    _save({"name": options.name, "state": "WAITING_FOR_RESOURCES", "node": options.node_id})
    return 0


def _list_resources(arguments: list[str]) -> int:
    options = _parser("--filter", "--format", name=False).parse_args(arguments)
    assert options.format == "value(state.state)"
    if resource := _resource():
        assert options.filter == f"name~(^|/){resource['name']}$"
        print(resource["state"])
        resource["state"] = NEXT.get(resource["state"], resource["state"])
        _save(resource)
        if resource["state"] == "ACTIVE":
            for host in HOSTS:
                host.mkdir(exist_ok=True)
    return 0


def _list_nodes(arguments: list[str]) -> int:
    options = _parser("--filter", "--format", name=False).parse_args(arguments)
    assert options.format == "value(state)"
    if HOSTS[0].exists():
        print("READY")
    return 0


def _delete(arguments: list[str]) -> int:
    parser = _parser()
    parser.add_argument("--force", action="store_true")
    parser.add_argument("--quiet", action="store_true")
    options = parser.parse_args(arguments)
    assert options.quiet, "it would ask"
    resource = _resource()
    if not resource:
        raise Refused(f"NOT_FOUND: Resource '{options.name}' was not found")
    if not options.force and resource["state"] not in ("ACCEPTED", "FAILED", "SUSPENDED"):
        raise Refused("FAILED_PRECONDITION: the queued resource has nodes")
    _remove_hosts()
    RESOURCE.unlink()
    return 0


def _describe(arguments: list[str]) -> int:
    _parser().parse_args(arguments)
    print(RESOURCE.read_text())
    return 0


def _ssh(arguments: list[str]) -> int:
    options = _parser("--worker", "--command").parse_args(arguments)
    hosts = HOSTS if options.worker == "all" else [HOSTS[int(options.worker)]]
    _need_node(options.name)
    codes = [
        subprocess.run(
            ["bash", "-c", options.command], cwd=host, env=os.environ | {"HOME": str(host)}
        ).returncode
        for host in hosts
    ]
    return max(codes)


def _scp(arguments: list[str]) -> int:
    parser = _parser("destination", "--worker")
    options = parser.parse_args(arguments)
    assert options.worker == "all"
    node, _, path = options.destination.partition(":")
    _need_node(node)
    for host in HOSTS:
        shutil.copy(options.name, host / path)
    return 0


def _rsync(arguments: list[str]) -> int:
    recursive, source, destination = arguments
    assert recursive == "--recursive"
    shutil.copytree(
        CLOUD / "buckets" / source.removeprefix("gs://"), destination, dirs_exist_ok=True
    )
    return 0


def _need_node(name: str) -> None:
    resource = _resource()
    if not resource or resource["node"] != name or not HOSTS[0].exists():
        raise Refused(f"NOT_FOUND: Resource '{name}' was not found")


def _preempt() -> None:
    resource = _resource()
    assert resource
    _remove_hosts()
    _save(resource | {"state": "SUSPENDED"})


def _remove_hosts() -> None:
    for host in HOSTS:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            _, group = (host / "churn_jax.group").read_text().split()
            os.killpg(int(group), signal.SIGKILL)
        shutil.rmtree(host, ignore_errors=True)


COMMANDS = {
    "queued-resources create": _create,
    "queued-resources list": _list_resources,
    "queued-resources delete": _delete,
    "queued-resources describe": _describe,
    "tpu-vm list": _list_nodes,
    "tpu-vm ssh": _ssh,
    "tpu-vm scp": _scp,
}

if __name__ == "__main__":
    sys.exit(main())
