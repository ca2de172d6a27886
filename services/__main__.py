"""``parcours <service> <command>``: the same as ``python -m services.<service> <command>``."""

import runpy
import sys

SERVICES = ("catalogue", "enrolment", "notifier")


def main() -> None:
    """Hand over to the service that is named; each needs only its own dependencies."""
    if len(sys.argv) < 2 or sys.argv[1] not in SERVICES:
        sys.stderr.write(f"usage: parcours {{{','.join(SERVICES)}}} COMMAND …\n")
        raise SystemExit(2)
    service = sys.argv.pop(1)
    sys.argv[0] = f"parcours {service}"
    runpy.run_module(f"services.{service}", run_name="__main__", alter_sys=False)


if __name__ == "__main__":
    main()
