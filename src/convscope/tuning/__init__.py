"""Search among plans: a space of choices, Optuna underneath, each trial an ordinary run folder."""
