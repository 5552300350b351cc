"""`rewardkit rounds`: the loop of reward learning, several times over (arXiv:2503.07703, 4.3.4).

A round draws images with the model as it is, finds what went wrong, has it labelled, trains the reward models on all
labels so far, and fine-tunes the model on from where it was. As the model changes, so do its mistakes, and a reward
model that has never seen them is easily fooled by them.
"""
