"""Train a convolutional network on your pictures, and see why it says what it says."""
