"""Files that are never half-written: atomic writes, manifests with SHA-256, locks, the journal."""
