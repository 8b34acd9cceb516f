"""How a host of a TPU slice mounts the data: the calls, beside fake tools."""

import subprocess

import pytest

from tests.fixtures.experiments import ROOT

TOOLS = {
    "mountpoint": 'grep -qx "$2" mounted',
    "sudo": 'exec "$@"',
    "chown": "",
    "mount": 'echo "mount $*" >>calls; echo "${!#}" >>mounted',
    "gcsfuse": 'echo "gcsfuse $*" >>calls; echo "${!#}" >>mounted',
    # The boot disk, a data disk, and a snap's loop device, which is read-only too.
    "lsblk": 'printf "%s\\n" "/dev/sda 0 disk" "$DISKS" "/dev/loop0 1 loop"',
}


@pytest.fixture
def host(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "mounted").touch()
    (tmp_path / "calls").touch()
    for name, body in TOOLS.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/bash\ncd {tmp_path}\n{body}\n")
        (tmp_path / "bin" / name).chmod(0o755)

    def mount(place, disks="/dev/sdb 1 disk"):
        variables = {
            "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin",
            "HOME": str(tmp_path),
            "MOUNT": str(tmp_path / "data"),
            "DISKS": disks,
        }
        done = subprocess.run(
            ["bash", str(ROOT / "launch/worker.sh"), "mount", place],
            env=variables,
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stderr, (tmp_path / "calls").read_text().splitlines()

    return mount


def test_a_disk_is_mounted_read_only_and_once(host, tmp_path):
    call = f"mount -o ro,noload /dev/sdb {tmp_path}/data"
    assert host("disk") == (0, "", [call])
    assert host("disk") == (0, "", [call])


@pytest.mark.parametrize("disks", ["/dev/sdb 0 disk", "/dev/sdb 1 disk\n/dev/sdc 1 disk"])
def test_no_disk_or_several_are_refused(host, disks):
    code, said, calls = host("disk", disks)
    assert (code, calls) == (2, [])
    assert "expected one disk attached read-only" in said


@pytest.mark.parametrize(
    ("place", "arguments"), [("gs://b", "b"), ("gs://b/imagenet/v5", "--only-dir=imagenet/v5 b")]
)
def test_a_bucket_is_mounted_with_a_file_cache(host, tmp_path, place, arguments):
    options = (
        f"-o ro --implicit-dirs --cache-dir={tmp_path}/gcsfuse --file-cache-max-size-mb=60000 "
        "--file-cache-cache-file-for-range-read"
    )
    assert host(place) == (0, "", [f"gcsfuse {options} {arguments} {tmp_path}/data"])
