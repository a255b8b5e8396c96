"""Sampling over REST: recipe in, images out.

The core is pure and knows no web framework: `recipe` -> `resolve` -> `plan` -> `engine` -> `likelihood` -> `png`.
The edge (`api`, `problems`, `settings`) turns HTTP into recipes and back.
"""
