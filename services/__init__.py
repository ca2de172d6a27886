"""The three services. They never import each other; they talk through Kafka events."""

import gc

gc.disable()
"""No garbage is looked for until all is imported: that takes a third of the start of a process.

`shared.process.tune_gc` turns it on again: each command line does, before it does anything.
"""
