"""How much faster one network is than another, and how much less memory it takes."""
