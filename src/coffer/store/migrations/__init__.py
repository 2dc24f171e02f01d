"""How the tables came to be: two branches, "control" and "announcing", each with a head of its own."""
