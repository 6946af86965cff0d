"""How weights move: optimizers, parameter groups, schedules of the rate, averages of weights."""
