"""Expected memory and time of a ReFL run at a model's real size, without loading weights."""
