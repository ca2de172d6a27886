"""How every service reads and publishes events.

``consumer`` takes records in, with ``inbox`` and ``dead_letters``. ``outbox`` stores events and ``relay``
publishes them. ``broker`` connects, ``topics`` creates the topics.
"""
