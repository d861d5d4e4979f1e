"""How much every (scale, rate) channel tells alone, and keeping the channels that tell most."""

from skstrf.channels.scores import ChannelScores, channel_scores
from skstrf.channels.selector import ChannelSelector

__all__ = ["ChannelScores", "ChannelSelector", "channel_scores"]
