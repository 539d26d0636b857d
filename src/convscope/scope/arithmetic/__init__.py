"""The arithmetic of one value: a small rule per kind of layer, worked out in float64 and compared with the back end."""
