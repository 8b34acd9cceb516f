"""Files that may be in a folder, or still inside the archive that they came in."""

import dataclasses
import hashlib
import os
import tarfile
from collections.abc import Iterator

from etils import epath

from churn_jax.errors import UserError

# Of the archives as their authors publish them: size in bytes, and SHA-256.
CHECKSUMS = {
    "cifar-10-binary.tar.gz": (
        170052171,
        "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    ),
    "cifar-100-binary.tar.gz": (
        168513733,
        "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
    ),
    "cifar-10-python.tar.gz": (
        170498071,
        "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    ),
    "cifar-100-python.tar.gz": (
        169001437,
        "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
    ),
    "train_32x32.mat": (
        182040794,
        "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8",
    ),
    "test_32x32.mat": (
        64275384,
        "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b",
    ),
    "ILSVRC2012_img_train.tar": (
        147897477120,
        "b08200a27a8e34218a0e58fde36b0fe8f73bc377f4acea2d91602057c3ca45bb",
    ),
    "ILSVRC2012_img_val.tar": (
        6744924160,
        "c7e06a6c0baccf06d8dbeb6577d71efff84673a5dbdd50633ab44f8ea0456ae0",
    ),
}
_CHUNK = 1 << 24


@dataclasses.dataclass(frozen=True)
class TarMember:
    """A file inside a tar file, read when it is asked for."""

    archive: tarfile.TarFile
    member: tarfile.TarInfo

    def read(self) -> bytes:
        """Its content."""
        file = self.archive.extractfile(self.member)
        assert file is not None  # members are files
        return file.read()


def find(source: epath.Path, *names: str) -> epath.Path | None:
    """The first of `names` that is in the folder `source`, or is the file `source` itself."""
    for name in names:
        if source.name == name and source.exists():
            return source
        if (source / name).exists():
            return source / name
    return None


def read_members(archive: epath.Path, wanted: set[str]) -> dict[str, bytes]:
    """The content of the files of an archive that are called as `wanted`, by their base name."""
    found = {}
    for member, file in members(archive):
        if (name := os.path.basename(member)) in wanted:
            found[name] = file.read()
    return found


def open_tar(path: epath.Path) -> tarfile.TarFile:
    """A tar file that stays open while its members may be read."""
    try:
        return tarfile.open(os.fspath(path))
    except (tarfile.TarError, EOFError, OSError) as error:
        raise UserError(f"{path} is damaged or no tar file: {error}") from error


def open_inner(outer: TarMember) -> tarfile.TarFile:
    """A tar file inside a tar file that is not packed."""
    return tarfile.open(fileobj=outer.archive.extractfile(outer.member))


def members(archive: epath.Path) -> Iterator[tuple[str, TarMember]]:
    """The files of a tar file, packed or not, by path; each is to be read before the next."""
    try:
        with tarfile.open(os.fspath(archive)) as tar:
            for member in tar:
                if member.isfile():
                    yield member.name, TarMember(tar, member)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise UserError(f"{archive} is damaged or no tar file: {error}") from error


def check_archive(path: epath.Path) -> None:
    """Raises UserError where an archive that is known is not as its authors published it."""
    if path.name not in CHECKSUMS:
        return
    size, checksum = CHECKSUMS[path.name]
    if (found := path.stat().length) != size:
        raise UserError(f"{path} has {found} bytes, the original {size}: download it again")
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    if digest.hexdigest() != checksum:
        raise UserError(f"{path} is damaged: its SHA-256 is not the original's")
