"""Who gets a seat. Pure and total: requests and numbers in, decisions out, no clock, no I/O.

``requests`` are what is requested, ``states`` where an enrolment may stand. ``eligibility`` says what one
request deserves; ``seats`` and ``waiting_list`` are what there is to give, ``holds`` until when an offer
stands. A ``session_roster`` is one session while it is decided upon, the only place where seats and the
waiting list change. On it ``answering`` answers requests, ``session_changes`` follows the catalogue and
``expiry`` the clock; in ``organising`` organisers rank and prioritise, in ``attendance`` is who came.
Rules are numbered as in the domain's list.
"""
