"""Small tools every other package stands on; nothing here reaches torch."""
