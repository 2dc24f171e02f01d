"""The local cloud: instances are processes on this machine."""
