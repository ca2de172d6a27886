"""The three services. They never import each other; they talk through Kafka events."""

import gc

gc.disable()
"""Imports without garbage collection: that saves a third of a process's start.

`shared.garbage.tune_gc` turns it on again: each command line calls it first.
"""
