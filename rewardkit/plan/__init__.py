"""Expected memory and time of a ReFL run at a model's real size, before anything is loaded."""
