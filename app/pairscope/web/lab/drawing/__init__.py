"""A run as pictures: a moment of it, and all its steps from left to right."""
