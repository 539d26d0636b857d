"""One command per action."""
