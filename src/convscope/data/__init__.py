"""Pictures in, no Keras: readers, split, audit, chance, loader."""
