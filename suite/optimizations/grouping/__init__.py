"""Recipes of operator grouping, one file a family of diffusers' modules."""
