"""The plan, and a short function around Keras fit."""
