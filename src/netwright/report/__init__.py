"""The HTML report of a run, drawn from records alone; nothing here reaches torch."""
