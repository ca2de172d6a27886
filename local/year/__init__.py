"""A whole year on a moved clock: from the announcement to the certificates and the end of retention.

`situations/` has the people, their acts and what each person is to hear, as data written by hand from
docs/domain.md. `command.py` begins and ends the year, `script.py` walks through the calendar, `acts.py` does
the acts, `quiet.py` waits until all is done, `hearing.py` collects what was heard, `timeline.py` compares and
shows it, `keeping.py` looks for people whom the databases still know.

Nothing here imports a service.
"""
