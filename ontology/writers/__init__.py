"""Writers of terminologies: each takes an `Ontology` and writes one format, whole or not at all."""
