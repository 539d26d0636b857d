"""Pure NumPy maths: boxes, masks, resize, statistics."""
