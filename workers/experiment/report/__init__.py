"""A result as one HTML file with pictures; `render.render` makes it."""
