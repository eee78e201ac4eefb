"""A marketplace in a box: the `/v2` API, an auction and its rivals, served from memory.

This is the other side. It imports nothing of the daemon, so that the two can only agree through the API.
"""
