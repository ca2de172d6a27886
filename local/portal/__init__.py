"""The example portal: a portal as others would write one, for people to try Parcours with.

It knows Parcours by its public contract alone (docs/portals.md): it reads sessions from the catalogue's HTTP
API, sends signed requests to Kafka and hears their answers on `portal.answers.<its name>`. It imports nothing
of `services` or `shared`.

`requests.py` says what can be asked, `signing.py` and `envelope.py` make records of it, `exchange.py` sends
them and hears the answers, `journal.py` keeps both, `standing.py` derives from them where each agent stands.
`people.py` has invented agents, `offer.py` reads the catalogue, `pages.py` shows it all, `serving.py` runs
the process and `server.py` starts and stops it.
"""
