"""The example portal: a portal as others would write one, for people to try Parcours with.

It knows Parcours by its public contract alone (docs/portals.md): it reads sessions from the catalogue's HTTP
API, sends signed requests to Kafka and reads their answers on `portal.answers.<its name>`. It imports
nothing of `services` or `shared`.

`requests.py` has the requests, `envelope.py` makes signed records, `exchange.py` sends them and
reads answers, `journal.py` stores both, `standing.py` derives the state of each agent. `offer.py` reads the
catalogue, `pages.py` shows it all.
"""
