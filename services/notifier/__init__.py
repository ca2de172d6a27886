"""The notifier: writes letters, sends each once, and knows what became of it.

It decides nothing about seats. It hears what was decided and tells people. Only ``delivery`` talks to the
relay.
"""
