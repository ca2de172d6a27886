"""What the catalogue does and what it is asked, whoever asks: the API, a page, a sheet, Kafka, the clock.

Functions ``(tx, command…) → result``, one file per subject, in the transaction of the caller: look, decide by
the rules, store with the events and the audit entry. What cannot be done is raised (``failures``), so that
nothing of it is stored. A delegation acts for itself alone: what belongs to another does not exist for it.
"""
