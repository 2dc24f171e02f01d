"""How the tables came to be: two branches, "control" and "announcing", each with a head of its own.

There is only a way forward: what a newer coffer wrote, an older one could not keep. The way back is a backup.
"""
