"""The studio: a local web page over the actions and the run folders; nothing is possible only there."""
