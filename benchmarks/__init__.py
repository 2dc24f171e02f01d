"""Measurements, as ratios within one run: this machine's absolute figures mean little on another one."""
