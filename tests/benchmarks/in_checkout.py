"""Run a part of the benchmark of the version in the working directory; print what it measured as JSON.

``python in_checkout.py latency on_kafka=true SECONDS=10``: names in capitals are constants of the module.
"""

import inspect
import json
import sys
from importlib import import_module

import uvloop


def main() -> None:
    name, *settings = sys.argv[1:]
    part = import_module(f"tests.benchmarks.{name}")
    options = {}
    for setting in settings:
        key, _, value = setting.partition("=")
        if key.isupper():
            setattr(part, key, json.loads(value))
        else:
            options[key] = json.loads(value)
    measured = part.run(**options)
    print(json.dumps(uvloop.run(measured) if inspect.iscoroutine(measured) else measured))


if __name__ == "__main__":
    main()
