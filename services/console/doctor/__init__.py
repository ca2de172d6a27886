"""``parcours doctor``: whether an installation is set up correctly, and what to do if not.

It looks at settings, databases, the broker, the relay, the DNS and the disks. It changes nothing and sends no
mail.
"""
