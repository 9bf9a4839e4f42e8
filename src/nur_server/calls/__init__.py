"""Phone calls: placed, received, followed from the first ring to the last word, and ended."""
