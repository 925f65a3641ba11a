"""How a model learns: data, the learner, optimizers, schedules, penalties, callbacks and loggers."""
