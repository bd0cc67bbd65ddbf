"""The rows of the budget: what is measured, how, and what it should be."""
