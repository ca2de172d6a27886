"""The example portal: a portal as an outside team would write it, for people to try Parcours with.

It knows Parcours by its public contract alone (docs/portals.md): it reads sessions from the catalogue's HTTP
API, sends signed requests to Kafka and reads their answers on `portal.answers.<its name>`. It imports nothing
of `services` or `shared`.
"""
