"""`rewardkit seedling`: rebuild the built-in base from scratch."""
