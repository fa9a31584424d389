"""`ccip-batch campaign`: many square degrees as one thing, in a pool or on this machine."""
