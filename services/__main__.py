"""``parcours SERVICE COMMAND``, that is ``python -m services.SERVICE``, and commands across services."""

import runpy
import sys

SERVICES = ("catalogue", "enrolment", "notifier")
FILES = ("portals", "tokens")
"""Commands about files that all services read."""
ACROSS = ("agent", "person", "logins")
CONSOLE = ("status", "lag", "doctor", "trace", "topics", "dead-letters", "outbox", "mails")
_OURS = ("services", "shared")


def main() -> None:
    """Import only the named service: each needs only its own dependencies."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name in SERVICES or name in ACROSS:
        module = f"services.{name}"
    elif name in FILES:
        module = f"shared.cli.{name}"
    elif name in CONSOLE:
        module = "services.console"
    else:
        names = ",".join((*SERVICES, *FILES, *ACROSS, *CONSOLE))
        sys.stderr.write(f"usage: parcours {{{names}}} COMMAND …\n")
        raise SystemExit(2)
    if name in CONSOLE:
        sys.argv[0] = "parcours"
    else:
        del sys.argv[1]
        sys.argv[0] = f"parcours {name}"
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=False)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in _OURS:
            raise
        extras = name if name in SERVICES else ",".join(SERVICES)
        sys.stderr.write(
            f"parcours: {name} needs the package of {missing!r}, which is not installed: "
            f"in the folder of the code, pip install '.[{extras}]'\n"
        )
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
