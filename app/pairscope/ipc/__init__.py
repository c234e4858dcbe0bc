"""One machine, two ends: descriptor passing, message kinds, channels, and how to look at a descriptor."""
