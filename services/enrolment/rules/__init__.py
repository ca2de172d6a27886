"""The rules of seats. Pure and total: requests and numbers in, decisions out, without clock or I/O.

``requests`` and ``states`` are the vocabulary. ``eligibility`` judges one request. ``seats`` and
``waiting_list`` count, ``holds`` computes the end of offers. A ``session_roster`` is one session while
requests are decided: seats and waiting list change only there. ``answering`` processes requests,
``session_changes`` follows the catalogue, ``expiry`` the clock. ``organising`` has the acts of organisers.
Rules are numbered as in docs/domain.md.
"""
