"""What asv times: every stage alone, ours only. Peers are in the scripts beside this folder."""
