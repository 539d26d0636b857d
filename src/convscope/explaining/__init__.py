"""Why the network says so: methods as small functions on a Probe."""
