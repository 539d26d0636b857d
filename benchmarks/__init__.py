"""Side by side with peers: one script per question, `python -m benchmarks NAME`, results as Markdown tables."""
