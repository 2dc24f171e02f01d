"""Floor 0: texts made from the catalogue for its consumers; none of them is edited by hand."""
