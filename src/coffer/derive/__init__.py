"""Floor 0: the catalogue as text for others: consumers' definitions, schemas and the documents."""
