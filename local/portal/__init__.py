"""The example portal: a portal as an outside team would write it, for people to try Parcours with.

It knows Parcours by its public contract alone (docs/portals.md): HTTP for sessions, Kafka for signed requests
and answers. It imports nothing of `services` or `shared`.
"""
