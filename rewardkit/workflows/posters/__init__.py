"""`rewardkit posters`: data of the built-in world."""
