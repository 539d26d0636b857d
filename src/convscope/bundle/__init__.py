"""The saved thing: architecture, weights, classes, preprocessing, card, checksums."""
