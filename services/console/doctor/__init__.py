"""``parcours doctor``: whether an installation is set up correctly, and what to do if not.

It looks at settings, databases, broker, relay, DNS and disks. It changes nothing and sends no mail.
"""
