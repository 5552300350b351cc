"""`rewardkit rounds`: repeated rounds of reward learning and fine-tuning (arXiv:2503.07703, 4.3.4).

A round generates images with the current model, mines failures, has them labelled, trains the reward models on all
labels so far, and continues to fine-tune the model. As the model changes, so do its mistakes, and a reward model that
has never seen them is easily fooled.
"""
