"""The mechanisms that every service uses and none repeats.

``consumer`` takes records in (with ``decoding``, ``inbox`` and ``dead_letters``), ``outbox`` and ``relay``
put events out, ``broker`` connects, ``topics`` creates what they travel on.
"""
