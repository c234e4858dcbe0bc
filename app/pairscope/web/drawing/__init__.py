"""Drawings: SVG made on the server from the same values as the table beside it. Colours and faces stand in the style
sheet."""
