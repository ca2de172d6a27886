"""``parcours SERVICE COMMAND``, as ``python -m services.SERVICE``; and what belongs to no single service."""

import runpy
import sys

SERVICES = ("catalogue", "enrolment", "notifier")
FILES = ("portals", "tokens")
"""Files that all services read, and that have commands of their own."""
ACROSS = ("agent", "person", "logins")
"""What an operator does about one person in several services."""


def main() -> None:
    """Hand over to the service that is named; each needs only its own dependencies."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name in SERVICES:
        module = f"services.{name}"
    elif name in FILES:
        module = f"shared.cli.{name}"
    elif name in ACROSS:
        module = f"services.{name}"
    else:
        sys.stderr.write(f"usage: parcours {{{','.join((*SERVICES, *FILES, *ACROSS))}}} COMMAND …\n")
        raise SystemExit(2)
    del sys.argv[1]
    sys.argv[0] = f"parcours {name}"
    runpy.run_module(module, run_name="__main__", alter_sys=False)


if __name__ == "__main__":
    main()
