"""Records to figures: colour maps, overlays, sheets of tiles, charts."""
