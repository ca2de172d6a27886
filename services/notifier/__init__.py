"""The notifier writes letters, sends each once, and knows what became of it.

It decides nothing about seats. Only ``delivery`` talks to the relay.
"""
