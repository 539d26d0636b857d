"""What differs between jobs and nothing else: head, loss, encode, decode, scores."""
