"""What a layer costs and sees, by formula: whole numbers in, whole numbers out, without torch."""
