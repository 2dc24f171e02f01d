"""Floor 3: HTTP in, runs begun, work handed on, answers in Trove's words."""
