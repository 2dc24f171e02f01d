"""The main job from end to end, as a story that a person can watch. Run it with `make demo`."""
